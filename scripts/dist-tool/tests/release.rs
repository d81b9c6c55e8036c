//! A release folder, made with the binary that is there: whole, the same each time, and noticed when it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_dist::{
    VERSION, check, files,
    layout::Layout,
    release::{self, Origin, Parts},
    sbom, workspace,
};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const TIME: u64 = 1_700_000_000;

/// The credence binary of this very source: the one that `CREDENCE` names, or one that is built now.
fn credence() -> PathBuf {
    if let Some(named) = env::var_os("CREDENCE") {
        return named.into();
    }
    let built = Command::new(env!("CARGO"))
        .current_dir(workspace().unwrap())
        .args(["build", "--locked", "--quiet", "--package", "credence"])
        .status()
        .unwrap();
    assert!(built.success());
    Path::new(env!("CARGO_BIN_EXE_credence-dist")).with_file_name("credence")
}

/// The same without its symbols, which make it five times as large.
fn small() -> &'static Path {
    static SMALL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SMALL.get_or_init(|| {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("credence");
        let stripped = Command::new("strip")
            .arg("-o")
            .args([&path, &credence()])
            .status()
            .unwrap();
        assert!(stripped.success());
        (scratch, path)
    });
    path
}

fn made(out: &Path) -> PathBuf {
    let parts = Parts {
        binary: small().to_path_buf(),
        filter: wasm("wasm32-wasip1/wasm/credence_filter.wasm"),
        signer: wasm("wasm32-wasip2/wasm/credence_signer.wasm"),
    };
    let origin = Origin {
        commit: "c0ffee".into(),
        time: TIME,
    };
    release::make(out, &parts, &origin).unwrap()
}

fn wasm(name: &str) -> PathBuf {
    let debug = Path::new(env!("CARGO_BIN_EXE_credence-dist")).parent();
    debug.unwrap().with_file_name(name)
}

#[test]
fn a_release_is_whole_and_the_same_each_time() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = made(one.path());
    let found = check::folder(&folder).unwrap();
    assert_eq!(found.len(), 5, "{found:?}");

    let again = made(two.path());
    let names = files::below(&folder).unwrap();
    assert_eq!(names, files::below(&again).unwrap());
    for name in &names {
        let same =
            files::read(&folder.join(name)).unwrap() == files::read(&again.join(name)).unwrap();
        assert!(same, "{}", name.display());
    }
    as_others_see_it(&folder);
    changes_are_noticed(&folder);
}

/// By the tools that a user has.
fn as_others_see_it(folder: &Path) {
    for sums in [folder.to_path_buf(), folder.join("wasm")] {
        let output = Command::new("sha256sum")
            .current_dir(&sums)
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let bash = Command::new("bash")
        .arg("-n")
        .arg(folder.join("completions/credence.bash"))
        .status();
    assert!(bash.unwrap().success());
    let modules = Layout::read(&folder.join(release::LAYOUT)).unwrap().modules;
    assert_eq!(modules.len(), 2);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(
        readme.contains("c0ffee") && !readme.contains('{'),
        "{readme}"
    );
}

fn changes_are_noticed(folder: &Path) {
    let change = |name: &str| {
        let path = folder.join(name);
        let before = files::read(&path).unwrap();
        let mut changed = before.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, &changed).unwrap();
        // who changes a file changes its sum, too
        credence_dist::sums::write(&folder.join("wasm")).unwrap();
        credence_dist::sums::write(folder).unwrap();
        let error = check::folder(folder).expect_err(name);
        fs::write(&path, before).unwrap();
        format!("{error:#}")
    };
    let filter = change(release::FILTER);
    assert!(filter.contains("another filter"), "{filter}");
    let signer = change(release::SIGNER);
    assert!(signer.contains("credence-signer"), "{signer}");
    let page = change("man/man1/credence-ca-run.1");
    assert!(page.contains("another page"), "{page}");
    let fish = change("completions/credence.fish");
    assert!(fish.contains("is not what"), "{fish}");
}

/// `cargo tree`, asked otherwise than the tool asks it.
fn by_cargo(package: &str, target: &str, edges: &str) -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace().unwrap())
        .args(["tree", "--locked", "-p", package, "--target", target])
        .args(["-e", edges, "--prefix", "none", "--no-dedupe"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let packages = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap().to_owned();
        (next(), next().trim_start_matches('v').to_owned())
    });
    packages.collect()
}

#[test]
fn the_bill_names_every_crate_of_cargo_tree() {
    for (_, _, program) in release::SBOMS {
        let document = sbom::of(program, b"its octets", TIME).unwrap();
        assert_eq!(document, sbom::of(program, b"its octets", TIME).unwrap());
        let bom = sbom::check(&document, b"its octets").unwrap();
        assert!(sbom::check(&document, b"others").is_err());
        let mut inside = by_cargo(program.package, program.target, "normal,no-proc-macro");
        let mut all = by_cargo(program.package, program.target, "normal,build");
        for carried in program.carries {
            inside.extend(by_cargo(
                carried.package,
                carried.target,
                "normal,no-proc-macro",
            ));
            all.extend(by_cargo(carried.package, carried.target, "normal,build"));
        }
        all.remove(&(program.package.to_owned(), VERSION.to_owned()));
        inside.remove(&(program.package.to_owned(), VERSION.to_owned()));
        let named = |scope: Option<&str>| -> BTreeSet<_> {
            let components = bom.components.iter().filter(|c| c.name != "rust-std");
            components
                .filter(|c| scope.is_none() || c.scope.as_deref() == scope)
                .map(|c| (c.name.clone(), c.version.clone()))
                .collect()
        };
        assert_eq!(named(None), all, "{}", program.package);
        assert_eq!(named(Some("required")), inside, "{}", program.package);
        assert!(bom.components.iter().any(|c| c.name == "rust-std"));
        let ours = |name: &str| name.starts_with("credence");
        for component in bom.components.iter().filter(|c| !ours(&c.name)) {
            let hashed = component.hashes.len() == 1 || component.name == "rust-std";
            assert!(hashed, "{}", component.name);
        }
    }
}
