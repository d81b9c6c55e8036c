//! Completions and man pages say what `--help` says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

fn credence(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, as its help lists them.
fn below(words: &[&str]) -> Vec<String> {
    let help = credence(&[words, &["--help"]].concat());
    // sentry's help is sentry's own, and has commands of nobody
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Each command's words, joined by dashes.
fn all(words: &[&str], found: &mut BTreeSet<String>) {
    found.insert([&["credence"], words].concat().join("-"));
    for name in below(words) {
        all(&[words, &[name.as_str()]].concat(), found);
    }
}

fn pages(folder: &Path, environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_credence"))
        .arg("man")
        .arg(folder)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, fs::read_to_string(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_command_has_a_page() {
    let mut expected = BTreeSet::new();
    all(&[], &mut expected);
    assert!(expected.contains("credence-ca-force-activate"));
    let scratch = tempfile::tempdir().unwrap();
    let pages = pages(&scratch.path().join("new/man1"), &[]);
    let names: BTreeSet<_> = pages
        .keys()
        .map(|name| name.strip_suffix(".1").unwrap().to_owned())
        .collect();
    assert_eq!(names, expected);
    let version = format!("\"credence {}\"", env!("CARGO_PKG_VERSION"));
    for (name, page) in &pages {
        assert!(page.contains(".TH"), "{name}: {page}");
        assert!(page.contains(&version), "{name}: {page}");
    }
    let run = &pages["credence-ca-run.1"];
    for part in ["trust_domain", "new\\-ledger", "SIGHUP reads"] {
        assert!(run.contains(part), "{part} in {run}");
    }
}

/// The same binary writes the same pages for everybody.
#[test]
fn pages_say_nothing_of_who_wrote_them() {
    let scratch = tempfile::tempdir().unwrap();
    let here = pages(&scratch.path().join("a"), &[]);
    let there = pages(
        &scratch.path().join("b"),
        &[
            ("CREDENCE_LOG", "debug,of=somebody"),
            ("CREDENCE_ADMIN_SOCKET", "/somewhere/admin.sock"),
            ("COLUMNS", "40"),
            ("LANG", "de_DE.UTF-8"),
        ],
    );
    assert_eq!(here, there);
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(["man", "/proc/nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("could not be written"), "{told}");
}

/// What bash offers after these words and a TAB.
fn offered(file: &Path, words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source "$1"; shift
        complete -p credence >/dev/null || exit 9
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _credence credence "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", script, "bash"])
        .arg(file)
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_what_help_lists() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("credence.bash");
    fs::write(&file, credence(&["completions", "bash"])).unwrap();
    let ca: BTreeSet<_> = below(&["ca"]).into_iter().collect();
    assert!(ca.contains("rotate-root"), "{ca:?}");
    let after_ca = offered(&file, &["credence", "ca", ""]);
    assert!(ca.is_subset(&after_ca), "{ca:?} of {after_ca:?}");
    let begun = offered(&file, &["credence", "ca", "rot"]);
    assert_eq!(
        begun,
        ["rotate-issuer", "rotate-root"].map(str::to_owned).into()
    );
    let options = offered(&file, &["credence", "ca", "status", "--"]);
    for option in ["--socket", "--json", "--log-level"] {
        assert!(options.contains(option), "{option} in {options:?}");
    }
}

#[test]
fn other_shells_have_theirs() {
    for (shell, part) in [
        ("zsh", "#compdef credence"),
        ("fish", "complete -c credence"),
    ] {
        let text = credence(&["completions", shell]);
        assert!(text.contains(part), "{shell}");
        assert!(text.contains("rotate-root"), "{shell}");
    }
}
