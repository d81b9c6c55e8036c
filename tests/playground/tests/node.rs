//! The package as it is built, in Node, and its types by TypeScript's own compiler.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_playground_build::{node, web};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A folder as a user has it: the package installed, his own files beside it.
fn project() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let built = node(&dir.path().join("node_modules/credence-policy")).unwrap();
    for needed in [
        "index.js",
        "index.d.ts",
        "package.json",
        "README.md",
        "LICENSE",
        "credence_playground_bg.wasm",
    ] {
        assert!(
            built.files.iter().any(|(name, _)| name == needed),
            "{built:?}"
        );
    }
    for entry in fs::read_dir(Path::new(HERE).join("node")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(dir.path().join("package.json"), "{\"type\": \"module\"}").unwrap();
    dir
}

/// The first block of docs/policy.md that is fenced with this language.
fn documented(language: &str) -> String {
    let text = fs::read_to_string(Path::new(HERE).join("../../docs/policy.md")).unwrap();
    let block = text.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

fn answers(project: &Path) -> PathBuf {
    project.join("answers.ts")
}

fn run_in_node(project: &Path) -> String {
    fs::write(project.join("policy.json"), documented("json")).unwrap();
    fs::write(project.join("cases.yaml"), documented("yaml")).unwrap();
    let page = web(&project.join("page")).unwrap();
    succeeds(
        Command::new("node")
            .args([
                "--test",
                "--test-reporter",
                "tap",
                "package.test.mjs",
                "examples.test.mjs",
            ])
            .current_dir(project)
            .env("CREDENCE_CASES", project)
            .env("CREDENCE_ANSWERS", answers(project))
            .env("CREDENCE_PAGE", page.folder),
    )
}

fn compiler() -> PathBuf {
    let below = Path::new(HERE).join("../../.tools/typescript/node_modules/typescript/bin/tsc");
    assert!(
        below.is_file(),
        "there is no TypeScript: run scripts/setup --for-test"
    );
    below
}

#[test]
fn the_package_works_in_node_and_its_types_are_true() {
    let project = project();
    let said = run_in_node(project.path());
    assert!(
        said.contains("# pass 12") && said.contains("# fail 0"),
        "{said}"
    );

    let compile = |file: &str| {
        let mut command = Command::new("node");
        command.arg(compiler()).args([
            "--noEmit",
            "--strict",
            "--exactOptionalPropertyTypes",
            "--noUncheckedIndexedAccess",
            "--skipLibCheck",
            "false",
            "--target",
            "es2022",
            "--module",
            "nodenext",
        ]);
        command.arg(file).current_dir(project.path());
        command
    };
    succeeds(compile("example.ts").arg("answers.ts"));

    // The check bites: an answer with a word that the types do not know does not compile.
    let text = fs::read_to_string(answers(project.path())).unwrap();
    let wrong = text.replacen("\"deny_rule\"", "\"because\"", 1);
    assert_ne!(text, wrong);
    fs::write(project.path().join("wrong.ts"), wrong).unwrap();
    let output = compile("wrong.ts").output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("because"),
        "{output:?}"
    );
}

/// The blocks of the package's README, run as they stand.
#[test]
fn what_the_readme_shows_works() {
    let project = project();
    let text = fs::read_to_string(
        project
            .path()
            .join("node_modules/credence-policy/README.md"),
    );
    let text = text.unwrap();
    let blocks: Vec<_> = text
        .split("```js\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    let policy = project.path().join("policy");
    fs::create_dir(&policy).unwrap();
    fs::write(policy.join("policy.json"), documented("json")).unwrap();
    fs::write(policy.join("cases.yaml"), documented("yaml")).unwrap();
    fs::write(project.path().join("shown.mjs"), blocks[0]).unwrap();
    fs::write(project.path().join("shown.test.mjs"), blocks[1]).unwrap();
    let node = |arguments: &[&str]| {
        let mut command = Command::new("node");
        command.args(arguments).current_dir(project.path());
        command
    };
    let said = succeeds(&mut node(&["shown.mjs"]));
    assert!(said.starts_with("deny no_rule no rule of"), "{said}");
    assert!(said.contains("reads `methods` does not match"), "{said}");
    succeeds(&mut node(&["--test", "shown.test.mjs"]));

    // A case that is decided otherwise fails the user's test.
    let wrong = documented("yaml").replace("expect: allow", "expect: deny");
    fs::write(policy.join("cases.yaml"), wrong).unwrap();
    assert!(
        !node(&["--test", "shown.test.mjs"])
            .output()
            .unwrap()
            .status
            .success()
    );
}
