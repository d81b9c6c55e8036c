//! A disk that is full, and has room again.

use crate::{setup, until};
use credence_ca_tests::{
    client::serial,
    daemon::{Daemon, Running, Setup},
};
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use tonic::Code;

/// Its state is on a disk of 12 MiB that only it sees: it goes with the process.
fn on_a_small_disk() -> (Daemon, PathBuf) {
    let mut ca = Setup {
        top: "admin_socket = \"admin.sock\"".into(),
        prepare: Some(Box::new(|folder| {
            fs::create_dir(folder.join("state")).unwrap();
            symlink("../admin.sock", folder.join("state/admin.sock")).unwrap();
        })),
        ..setup("")
    }
    .prepared();
    let state = ca.folder().join("state");
    let mount = format!(
        "mount -t tmpfs -o size=12m,mode=0700 none '{}' && exec \"$0\" \"$@\"",
        state.display()
    );
    let binary = ca.setup.binary.to_string_lossy().into_owned();
    let unshare = [
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &mount,
        &binary,
    ];
    let running = Running::start_as(Path::new("unshare"), &unshare, ca.folder(), &[]);
    let running = running.unwrap_or_else(|log| {
        panic!("no CA on a small disk: mounting one takes root, and unshare(1) and mount(8)\n{log}")
    });
    let seen = format!("/proc/{}/root{}", running.pid(), state.display());
    ca.take(running);
    (ca, seen.into())
}

fn fill(state: &Path) -> PathBuf {
    let path = state.join("filling");
    let mut file = File::create(&path).unwrap();
    let block = vec![1; 4 << 10];
    while file.write_all(&block).is_ok() {}
    path
}

#[tokio::test]
async fn while_the_disk_is_full_nothing_leaves_and_then_it_goes_on_by_itself() {
    let (ca, state) = on_a_small_disk();
    let first = ca.certificate("shop", "first").await.unwrap();
    let filling = fill(&state);
    // what is allocated already is used up first
    let (mut left, mut asked) = (vec![first], 0);
    let refused = loop {
        asked += 1;
        match ca.certificate("shop", &format!("web-{asked}")).await {
            Ok(pair) => left.push(pair),
            Err(refused) => break refused,
        }
        assert!(asked < 5_000, "the disk does not get full");
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(
        !refused.message().contains("space"),
        "callers are told too much"
    );
    for again in 0..5 {
        let refused = ca.certificate("shop", &format!("more-{again}")).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    }
    let text = until("health to say why", async || {
        let (status, text) = ca.page("/readyz").await;
        (status == 503).then_some(text)
    })
    .await;
    assert!(
        text.contains("ledger: failing") && text.contains("no space"),
        "{text}"
    );
    let pid = ca.running().pid();
    fs::remove_file(filling).unwrap();
    let last = until("certificates again", async || {
        ca.certificate("shop", "last").await.ok()
    })
    .await;
    until("health again", async || {
        (ca.page("/readyz").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(ca.running().pid(), pid);
    left.push(last);
    inside(&ca, &["log", "verify"]);
    for pair in &left {
        inside(&ca, &["log", "show", &serial(&pair.chain[0])]);
    }
}

/// A command about the record, where the CA has its state.
fn inside(ca: &Daemon, arguments: &[&str]) {
    let output = Command::new("nsenter")
        .args(["--mount", "--target", &ca.running().pid().to_string()])
        .arg(&ca.setup.binary)
        .args(arguments)
        .arg("--state")
        .arg(ca.folder().join("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}
