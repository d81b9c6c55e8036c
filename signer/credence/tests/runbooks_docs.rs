//! Every command on docs/runbooks.md is one.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has to fail loudly"
)]

use std::process::Command;

const PAGE: &str = include_str!("../../../docs/runbooks.md");

/// The lines of blocks for a shell that call credence.
fn commands() -> Vec<&'static str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in PAGE.lines() {
        match line.strip_prefix("```") {
            Some(tag) => inside = tag == "sh",
            None if inside && line.starts_with("credence ") => found.push(line),
            None => {}
        }
    }
    found
}

/// As a shell would take it apart, with something in the place of what is to be filled in.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(filled_in)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn filled_in(word: &str) -> String {
    match word {
        "ID" => "spiffe://example.org/web".to_owned(),
        "SERIAL" => "05ab7c".to_owned(),
        "ROOT" => "12".repeat(32),
        other => other.replace("$STATE", "/nowhere"),
    }
}

#[test]
fn every_command_of_the_runbooks_is_one() {
    let commands = commands();
    assert!(commands.len() > 30, "{}", commands.len());
    for command in commands {
        let words = words(command);
        let (_, arguments) = words.split_first().unwrap();
        // What stands before it on the line is judged first.
        let output = Command::new(env!("CARGO_BIN_EXE_credence"))
            .args(arguments)
            .arg("--help")
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}\n{said}");
        let mut called = words.iter().take_while(|word| {
            word.chars()
                .all(|c| c.is_ascii_lowercase() || c == '-' && !word.starts_with('-'))
        });
        let usage = format!(
            "Usage: {}",
            called.by_ref().cloned().collect::<Vec<_>>().join(" ")
        );
        assert!(said.contains(&usage), "{command}: no {usage:?} in\n{said}");
    }
}
