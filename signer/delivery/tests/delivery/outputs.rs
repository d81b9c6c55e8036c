//! Certificates written for applications.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use credence_delivery::outputs::{Output, OutputState, Outputs, States};
use credence_files::written::{Place, Reload, Signal};
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::rig::{LIFE, Rig, SECOND, blocks, id, soon, text, until};

fn output(folder: &Path, reload: Option<Reload>) -> Output {
    Output {
        identity: id(),
        place: Place::new(folder).unwrap(),
        reload,
    }
}

pub(crate) fn start(rig: &Rig, folder: &Path, reload: Option<Reload>) -> States {
    let outputs = vec![output(folder, reload)];
    let outputs = Outputs::new(outputs, &rig.shelf, &rig.clock).unwrap();
    let states = outputs.states();
    tokio::spawn(outputs.run());
    states
}

pub(crate) fn state(states: &States) -> OutputState {
    states.report().remove(0)
}

fn serial(states: &States) -> Option<String> {
    Some(state(states).written?.serial)
}

/// The serial number of the certificate in a folder, whose key is the one beside it.
pub(crate) fn in_files(folder: &Path) -> String {
    let folder = folder.join(fs::read_link(folder.join("..data")).unwrap());
    let pem = pem(&text(&folder.join("tls.crt")));
    let (_, leaf) = X509Certificate::from_der(&pem).unwrap();
    let key = KeyPair::from_pem(&text(&folder.join("tls.key"))).unwrap();
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
    leaf.raw_serial()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// Of the first block.
fn pem(text: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(text.as_bytes())
        .unwrap()
        .1
        .contents
}

/// Files below a folder that have a key in them.
fn keys_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| {
        if path.is_symlink() {
            0
        } else if path.is_dir() {
            keys_below(&path)
        } else {
            usize::from(text(&path).contains("PRIVATE KEY"))
        }
    };
    entries.map(count).sum()
}

#[tokio::test(start_paused = true)]
async fn files_follow_what_is_served_and_a_bundle_alone_is_followed_too() {
    let rig = Rig::start();
    let folder = rig.below("tls");
    let states = start(&rig, &folder, None);
    for expected in ["01", "02", "03"] {
        until("the next certificate", || {
            (serial(&states)? == expected).then_some(())
        })
        .await;
        assert_eq!(in_files(&folder), expected);
        assert_eq!(keys_below(rig.folder.path()), 1, "an old key is left");
    }
    assert_eq!(
        (
            blocks(&folder.join("tls.crt")),
            blocks(&folder.join("ca.crt"))
        ),
        (2, 1)
    );
    let mode = fs::metadata(folder.join("tls.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    rig.put_bundle(1, Vec::new(), 100);
    until("the bundle", || {
        (blocks(&folder.join("ca.crt")) == 2).then_some(())
    })
    .await;
    assert_eq!(in_files(&folder), "03");
    assert_eq!(state(&states).trouble, None);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_has_ended_leaves_its_files() {
    let rig = Rig::start();
    let folder = rig.below("tls");
    let states = start(&rig, &folder, None);
    until("a certificate", || serial(&states)).await;
    rig.ca.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(2 * LIFE).await;
    let (last, ended) = (in_files(&folder), state(&states).written.unwrap().not_after);
    assert!(ended < rig.clock.now());
    // nor are they made anew
    fs::remove_file(folder.join("tls.crt")).unwrap();
    tokio::time::sleep(LIFE).await;
    assert!(!folder.join("tls.crt").exists());
    rig.ca.away.store(false, Ordering::Relaxed);
    until("the next one", || (serial(&states)? != last).then_some(())).await;
    assert_ne!(in_files(&folder), last);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_was_gone_is_taken_when_it_is_there() {
    let rig = Rig::start();
    let folder = rig.path("tls");
    let states = start(&rig, &folder, None);
    let trouble = until("the trouble", || state(&states).trouble).await;
    assert!(trouble.reason.contains("must exist") && trouble.reason.contains("No such file"));
    fs::create_dir(&folder).unwrap();
    until("files", || serial(&states)).await;
    assert_eq!(state(&states).trouble, None);
    // as a volume that is taken away and comes back
    let first = in_files(&folder);
    for attempt in ["removed", "moved away"] {
        match attempt {
            "removed" => fs::remove_dir_all(&folder).unwrap(),
            _ => fs::rename(&folder, rig.path("old")).unwrap(),
        }
        fs::create_dir(&folder).unwrap();
        until(attempt, || folder.join("..data").exists().then_some(())).await;
        assert_eq!(
            in_files(&folder),
            first,
            "it is written anew, not asked for anew"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_cannot_be_told_is_told_later() {
    let rig = Rig::start();
    let (folder, pid_file) = (rig.below("tls"), rig.path("pid"));
    let reload = Reload::Signal {
        pid_file: pid_file.clone(),
        signal: Signal::Hup,
    };
    let states = start(&rig, &folder, Some(reload));
    let reloaded = || state(&states).reload.unwrap();
    let trouble = until("the trouble", || reloaded().trouble).await;
    assert!(trouble.reason.contains("process number"), "{trouble:?}");
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(
        reloaded().trouble,
        Some(trouble),
        "since when it is so is lost"
    );
    assert_eq!(state(&states).trouble, None, "the files are there");
    let mut child = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    fs::write(&pid_file, child.id().to_string()).unwrap();
    until("the signal", || reloaded().told).await;
    let ended = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(1)
    );
    assert_eq!(reloaded().trouble, None);
}

/// Time is real: a process has its own.
#[tokio::test]
async fn an_application_is_told_once_at_a_time_and_once_for_many() {
    let rig = Rig::start();
    let folder = rig.below("tls");
    let (log, hold) = (rig.path("log"), rig.path("hold"));
    fs::write(&hold, "").unwrap();
    let script = r#"cd "$0" && mkdir running || echo twice >> log; echo run >> log
        while [ -e hold ]; do sleep 0.02; done; rmdir running"#;
    let reload = Reload::Command {
        program: "/bin/sh".into(),
        arguments: ["-c", script, &rig.folder.path().display().to_string()]
            .map(str::to_owned)
            .into(),
    };
    let states = start(&rig, &folder, Some(reload));
    soon("the first run", || (text(&log) == "run\n").then_some(())).await;
    for (number, roots) in [(101, 1), (102, 2), (103, 3)] {
        rig.put_bundle(roots, Vec::new(), number);
        soon("the files", || {
            (blocks(&folder.join("ca.crt")) == roots + 1).then_some(())
        })
        .await;
    }
    assert_eq!(
        text(&log),
        "run\n",
        "the files did not wait, and the next run does"
    );
    fs::remove_file(&hold).unwrap();
    soon("the second run", || {
        (text(&log) == "run\nrun\n").then_some(())
    })
    .await;
    let ended = || {
        state(&states)
            .reload?
            .told
            .filter(|_| !rig.path("running").exists())
    };
    let first = soon("its end", ended).await;
    // another bundle's run shows that there was none between
    rig.put_bundle(4, Vec::new(), 104);
    soon("the last run", || {
        state(&states).reload?.told.filter(|told| *told > first)
    })
    .await;
    soon("its line", || {
        (text(&log) == "run\nrun\nrun\n").then_some(())
    })
    .await;
}

/// The files were switched, and only what was there before could not be cleared away. Time is real: a process has its own.
#[tokio::test]
async fn an_application_is_told_of_files_that_were_written_in_two_attempts() {
    let rig = Rig::start();
    let folder = rig.below("tls");
    let reload = Reload::Command {
        program: "/bin/true".into(),
        arguments: Vec::new(),
    };
    let states = start(&rig, &folder, Some(reload));
    let told = || state(&states).reload?.told;
    let first = soon("the first telling", told).await;
    fs::write(folder.join("..data/of-somebody-else"), "").unwrap();
    rig.put_bundle(1, Vec::new(), 100);
    let trouble = soon("the trouble", || state(&states).trouble).await;
    assert!(
        trouble.reason.contains("Directory not empty"),
        "{trouble:?}"
    );
    assert_eq!(blocks(&folder.join("ca.crt")), 2);
    soon("the second telling", || told().filter(|told| *told > first)).await;
    assert_eq!(state(&states).trouble, None);
}

#[tokio::test(start_paused = true)]
async fn revocation_lists_alone_are_no_new_files() {
    let rig = Rig::start();
    let folder = rig.below("tls");
    let states = start(&rig, &folder, None);
    let written = until("files", || state(&states).written).await;
    rig.put_bundle(0, vec![vec![1]], 100);
    tokio::time::sleep(90 * SECOND).await;
    assert_eq!(state(&states).written, Some(written));
}

#[tokio::test(start_paused = true)]
async fn two_outputs_have_two_folders() {
    let rig = Rig::start();
    let one = || output(&rig.path("tls"), None);
    let refused = Outputs::new(vec![one(), one()], &rig.shelf, &rig.clock).unwrap_err();
    assert!(refused.to_string().contains("/tls"), "{refused}");
}

/// Nobody but an output writes a key, and nothing but an output's folder gets one.
#[tokio::test(start_paused = true)]
async fn without_outputs_nothing_is_written() {
    let rig = Rig::start();
    let outputs = Outputs::new(Vec::new(), &rig.shelf, &rig.clock).unwrap();
    assert!(outputs.states().report().is_empty());
    let ended = tokio::time::timeout(3 * LIFE, outputs.run()).await;
    assert!(ended.is_err(), "it ended");
    assert_eq!(fs::read_dir(rig.folder.path()).unwrap().count(), 0);
}
