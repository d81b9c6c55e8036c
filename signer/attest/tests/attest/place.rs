//! Real processes in real control groups: run as root, in the host's cgroup namespace, with cgroup v2 mounted to be written.

use crate::{
    now,
    peer::{Connected, attestor, connect, from},
    refusal,
};
use credence_attest::{
    Attestor as _, Refusal,
    peer::{Conditions, ContainerId, Unit},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A slice of the test's own, as systemd would make it.
struct Slice {
    path: PathBuf,
    groups: Vec<PathBuf>,
}

impl Slice {
    fn new(name: &str) -> Self {
        let path = hierarchy().join(format!("credence{name}{}.slice", std::process::id()));
        fs::create_dir(&path).expect("no control group can be made; run this test as root");
        Self {
            path,
            groups: Vec::new(),
        }
    }

    /// Makes a group below it where there is none, and moves the process there.
    fn take(&mut self, process: &Connected, below: &str) {
        let mut path = self.path.clone();
        for name in below.split('/') {
            path.push(name);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                self.groups.push(path.clone());
            }
        }
        fs::write(path.join("cgroup.procs"), process.child.id().to_string()).unwrap();
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        for group in self.groups.iter().rev().chain([&self.path]) {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Where cgroup v2 is mounted.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let unified = mounts.lines().find(|mount| mount.contains(" - cgroup2 "));
    let path = unified.and_then(|mount| mount.split(' ').nth(4));
    Path::new(path.expect("cgroup v2 is not mounted here")).to_owned()
}

fn in_unit(name: &str) -> Conditions {
    Conditions {
        unit: Some(Unit::new(name).unwrap()),
        ..Conditions::default()
    }
}

#[tokio::test]
async fn a_process_is_the_unit_s_that_it_is_in_and_no_other_s() {
    let folder = tempfile::tempdir().unwrap();
    let mut slice = Slice::new("unit");
    let mut connected = connect(folder.path()).await;
    let web = attestor(in_unit("web.service"));
    let evidence = from(connected.peer.clone());
    let nobody = Refusal::NoEntry(connected.peer.uid);
    assert_eq!(refusal(&web, &evidence, now()).await, nobody);

    slice.take(&connected, "web.service");
    let found = web.attest(&evidence, now()).await.unwrap();
    let subject = found.proof.subject.unwrap();
    assert!(subject.contains(" unit=web.service exe="), "{subject}");
    // what a service that has its part of the tree for itself makes below
    slice.take(&connected, "web.service/other.service");
    assert!(web.attest(&evidence, now()).await.is_ok());
    let other = attestor(in_unit("other.service"));
    assert_eq!(refusal(&other, &evidence, now()).await, nobody);
    let narrower = Conditions {
        uid: Some(connected.peer.uid + 1),
        ..in_unit("web.service")
    };
    assert_eq!(refusal(&attestor(narrower), &evidence, now()).await, nobody);

    slice.take(&connected, "other.service");
    assert_eq!(refusal(&web, &evidence, now()).await, nobody);
    slice.take(&connected, "od\\x2D.service");
    let why = refusal(&web, &evidence, now()).await;
    assert!(matches!(why, Refusal::Cgroup(_)), "{why}");
    connected.child.kill().unwrap();
    connected.child.wait().unwrap();
}

#[tokio::test]
async fn a_container_is_not_what_a_unit_calls_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut slice = Slice::new("container");
    let mut connected = connect(folder.path()).await;
    let digits = "0a".repeat(32);
    let container = attestor(Conditions {
        container: Some(ContainerId::new(&digits).unwrap()),
        ..Conditions::default()
    });
    let evidence = from(connected.peer.clone());
    let scope = format!("docker-{digits}.scope");
    slice.take(&connected, &scope);
    let found = container.attest(&evidence, now()).await.unwrap();
    let subject = found.proof.subject.unwrap();
    let told = format!(" unit={scope} container={digits} exe=");
    assert!(subject.contains(&told), "{subject}");
    slice.take(&connected, &format!("own.service/{scope}"));
    let why = refusal(&container, &evidence, now()).await;
    assert_eq!(why, Refusal::NoEntry(connected.peer.uid));
    connected.child.kill().unwrap();
    connected.child.wait().unwrap();
}
