use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command as Process, Stdio};

use super::*;

fn command(script: &str) -> Reload {
    Reload::Command {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
    }
}

#[tokio::test]
async fn a_command_is_run_with_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let reload = Reload::Command {
        program: "/usr/bin/touch".into(),
        arguments: vec![told.display().to_string()],
    };
    reload.tell().await.unwrap();
    assert!(told.exists());
}

#[tokio::test]
async fn a_command_that_fails_is_told() {
    let refused = command("exit 3").tell().await.unwrap_err();
    assert!(
        matches!(&refused, ReloadError::Failed { status, .. } if status.code() == Some(3)),
        "{refused}"
    );
    let missing = Reload::Command {
        program: "/nowhere/reload".into(),
        arguments: Vec::new(),
    };
    assert!(matches!(
        missing.tell().await,
        Err(ReloadError::Start { .. })
    ));
}

/// Time is paused: the clock runs on as soon as nothing else does.
#[tokio::test(start_paused = true)]
async fn a_command_that_does_not_end_is_not_waited_for() {
    let refused = command("exec sleep 1000").tell().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Slow(_)), "{refused}");
}

#[tokio::test]
async fn a_signal_reaches_the_process_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut child = Process::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    fs::write(&pid_file, format!("{}\n", child.id())).unwrap();
    let reload = |signal| Reload::Signal {
        pid_file: pid_file.clone(),
        signal,
    };
    reload(Signal::Hup).tell().await.unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(1)
    );
    // it is gone now, and is told to be
    let refused = reload(Signal::Hup).tell().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Signal { .. }), "{refused}");
}

#[tokio::test]
async fn a_file_that_names_no_process_signals_none() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let reload = Reload::Signal {
        pid_file: pid_file.clone(),
        signal: Signal::Usr1,
    };
    assert!(matches!(
        reload.tell().await,
        Err(ReloadError::PidFile { .. })
    ));
    for nobody in ["", "0", "1", "-1", "x", "99999999999999999999"] {
        fs::write(&pid_file, nobody).unwrap();
        let refused = reload.tell().await.unwrap_err();
        assert!(
            matches!(refused, ReloadError::NoPid(_)),
            "{nobody:?}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_file_that_others_can_write_signals_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    fs::write(&pid_file, "2").unwrap();
    let reload = Reload::Signal {
        pid_file: pid_file.clone(),
        signal: Signal::Hup,
    };
    for mode in [0o666, 0o620, 0o602] {
        fs::set_permissions(&pid_file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = reload.tell().await.unwrap_err();
        assert!(matches!(refused, ReloadError::OpenPidFile(_)), "{refused}");
    }
}

#[test]
fn signals_have_names() {
    assert_eq!(Signal::parse("SIGHUP"), Some(Signal::Hup));
    assert_eq!(Signal::parse("USR2"), Some(Signal::Usr2));
    assert_eq!(Signal::parse("SIGKILL"), None);
}

/// Whoever opens a pipe for reading waits for its writer, and nobody waits with it.
#[tokio::test]
async fn a_pipe_in_the_place_of_the_file_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pid_file, Mode::RUSR | Mode::WUSR).unwrap();
    let (reload, signal) = (pid_file.clone(), Signal::Hup);
    let (said, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || said.send(send(&reload, signal)));
    let heard = hear.recv_timeout(Duration::from_secs(20));
    // whoever waits is let go, so that the test ends either way
    drop(rustix::fs::open(
        &pid_file,
        OFlags::RDWR | OFlags::NONBLOCK,
        Mode::empty(),
    ));
    assert!(matches!(heard, Ok(Err(ReloadError::NoPid(_)))), "{heard:?}");
}
