//! What docs/policy.md shows is what the program does.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use std::{fs, path::Path, process::Command};

/// The text of each block that is fenced with this language.
fn blocks(language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let text = fs::read_to_string(file).unwrap();
    let mut blocks = Vec::new();
    let mut inside: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut inside) {
            (Some(tag), None) => inside = Some((tag == language, String::new())),
            (Some(_), Some((wanted, block))) => {
                if *wanted {
                    blocks.push(std::mem::take(block));
                }
                inside = None;
            }
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(inside.is_none() && !blocks.is_empty(), "{language}");
    blocks
}

/// In a folder with the first policy of the page and its cases.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("policy.json"), &blocks("json")[0]).unwrap();
    fs::write(dir.path().join("cases.yaml"), &blocks("yaml")[0]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn every_policy_shown_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let shown = blocks("json");
    assert_eq!(shown.len(), 3);
    for block in shown {
        let file = dir.path().join("p.json");
        fs::write(&file, &block).unwrap();
        let (code, said) = run(&["policy", "check", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}{block}");
    }
}

#[test]
fn the_cases_shown_are_decided_as_shown() {
    let (code, said) = run(&["policy", "test", "cases.yaml"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "4 cases as expected, 0 not\n")
    );
}

#[test]
fn the_explanation_shown_is_given() {
    let shown = blocks("");
    let shown = shown.iter().find(|block| block.starts_with("$ ")).unwrap();
    let (command, answer) = shown.split_once('\n').unwrap();
    let arguments: Vec<_> = command.split(' ').skip(2).collect();
    assert_eq!(run(&arguments), (Some(0), answer.to_owned()));
}
