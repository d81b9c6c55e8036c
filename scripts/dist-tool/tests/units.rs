//! The systemd units: systemd reads them without a word, and finds them as closed as docs/systemd.md says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const UNITS: [&str; 2] = ["credence-ca.service", "credence-agent.service"];
/// Ten times the exposure that docs/systemd.md gives, of 100.
const EXPOSURES: [u32; 2] = [12, 17];

fn shipped(name: &str) -> PathBuf {
    let workspace = credence_dist::workspace().unwrap();
    workspace.join("envoy/systemd").join(name)
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit);
    command
        .output()
        .expect("systemd-analyze is missing: run scripts/setup --for-test")
}

fn told(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn systemd_reads_every_line() {
    let scratch = tempfile::tempdir().unwrap();
    for name in UNITS {
        let unit = fs::read_to_string(shipped(name)).unwrap();
        assert!(unit.contains("/usr/local/bin/credence "), "{unit}");
        // it looks for the program, too
        let program = env!("CARGO_BIN_EXE_credence-dist");
        let here = unit.replace("/usr/local/bin/credence", program);
        let file = scratch.path().join(name);
        fs::write(&file, &here).unwrap();
        let output = systemd_analyze(&["verify", "--man=no"], &file);
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(told(&output), "", "{name}");

        fs::write(&file, here.replace("ProtectSystem=", "ProtectSytem=")).unwrap();
        let wrong = told(&systemd_analyze(&["verify", "--man=no"], &file));
        assert!(wrong.contains("ProtectSytem"), "{wrong}");
    }
}

#[test]
fn they_are_as_closed_as_is_said() {
    let docs = credence_dist::workspace().unwrap().join("docs/systemd.md");
    let docs = fs::read_to_string(docs).unwrap();
    for (name, exposure) in UNITS.into_iter().zip(EXPOSURES) {
        let security = |threshold: u32| {
            let threshold = format!("--threshold={threshold}");
            systemd_analyze(
                &["security", "--offline=yes", "--no-pager", &threshold],
                &shipped(name),
            )
        };
        let output = security(exposure);
        assert!(output.status.success(), "{name}: {}", told(&output));
        assert!(!security(exposure - 1).status.success(), "{name}: better");
        let said = format!("| `{name}` | {}.{} |", exposure / 10, exposure % 10);
        assert!(docs.contains(&said), "{said} in docs/systemd.md");
    }
}

/// systemd's filter for `RestrictSUIDSGID=`, which `DynamicUser=` brings along, takes openat2(2) away: the agent would not read what it
/// kept for its next start, nor watched files.
#[test]
fn the_agent_keeps_openat2() {
    let unit = fs::read_to_string(shipped("credence-agent.service")).unwrap();
    let settings: Vec<_> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    for taken in ["DynamicUser=", "RestrictSUIDSGID="] {
        let named = settings.iter().any(|line| line.starts_with(taken));
        assert!(!named, "{taken}");
    }
    assert!(settings.contains(&"User=credence-agent"));
}

/// What a unit names is what `credence` takes.
#[test]
fn the_units_start_commands_that_there_are() {
    for (name, start) in UNITS.into_iter().zip([
        "ExecStart=/usr/local/bin/credence ca run --config /etc/credence/ca.toml\n",
        "ExecStart=/usr/local/bin/credence agent run --config /etc/credence/agent.toml\n",
    ]) {
        let unit = fs::read_to_string(shipped(name)).unwrap();
        assert!(unit.contains(start), "{unit}");
    }
}
