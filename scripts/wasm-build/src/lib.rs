//! Builds a workspace package to wasm from another package's build script.
//!
//! The artifact is the very file that ships: profile `wasm`, in the workspace's one target
//! folder. It says nothing of where it was built: the same sources, `Cargo.lock` and compiler make the same bytes in every folder
//! (`scripts/lib/check-reproducible`). Call it from `build.rs`; read the file through the environment variable it sets.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct WasmPackage<'a> {
    /// The cargo package, for example `credence-signer`.
    pub package: &'a str,
    /// The file cargo makes, without `.wasm`, for example `credence_signer`.
    pub artifact: &'a str,
    /// The target triple, for example `wasm32-wasip2`.
    pub target: &'a str,
    /// Folders, relative to the workspace, whose change means a new build.
    pub sources: &'a [&'a str],
}

/// Why a package could not be built; `Display` says what to do.
#[derive(Debug)]
pub struct BuildError(String);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// Variables of the outer cargo that would leak into the inner one and change its result.
const OUTER: [&str; 7] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "TARGET",
];

/// The filter for Envoy.
pub const FILTER: WasmPackage<'_> = WasmPackage {
    package: "credence-filter",
    artifact: "credence_filter",
    target: "wasm32-wasip1",
    sources: &["filter"],
};

/// The signing module.
pub const SIGNER: WasmPackage<'_> = WasmPackage {
    package: "credence-signer",
    artifact: "credence_signer",
    target: "wasm32-wasip2",
    sources: &["signer/module", "signer/wit"],
};

/// Builds `what`, sets the environment variable `variable` to the artifact's path for the crate
/// being built, and returns that path.
///
/// # Errors
/// If cargo cannot be run, the build fails, or cargo made no such file.
pub fn build(what: &WasmPackage<'_>, variable: &str) -> Result<PathBuf, BuildError> {
    let root = workspace_root()?;
    for source in what
        .sources
        .iter()
        .copied()
        .chain(["Cargo.toml", "Cargo.lock"])
    {
        println!("cargo::rerun-if-changed={}{source}", up(&root));
    }
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let target_dir =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    run_cargo(what, &root, &target_dir)?;
    let wasm = target_dir
        .join(what.target)
        .join("wasm")
        .join(format!("{}.wasm", what.artifact));
    if !wasm.is_file() {
        return Err(BuildError(format!(
            "cargo built {} but {} is not there",
            what.package,
            wasm.display()
        )));
    }
    println!("cargo::rustc-env={variable}={}", wasm.display());
    Ok(wasm)
}

/// The way from the package being built to the workspace. A relative one: two checkouts that share a target
/// folder share what cargo remembers, and an absolute one would have the second watch the first.
fn up(root: &Path) -> String {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let below = package
        .as_deref()
        .and_then(|dir| dir.strip_prefix(root).ok());
    below.map_or_else(
        || format!("{}/", root.display()),
        |below| "../".repeat(below.components().count()),
    )
}

fn workspace_root() -> Result<PathBuf, BuildError> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            BuildError("scripts/wasm-build is not two folders below the workspace".into())
        })
}

fn run_cargo(what: &WasmPackage<'_>, root: &Path, target_dir: &Path) -> Result<(), BuildError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--profile",
            "wasm",
            "--package",
            what.package,
        ])
        .args(["--target", what.target, "--target-dir"])
        .arg(target_dir);
    for name in OUTER {
        command.env_remove(name);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", same_everywhere(root, target_dir));
    let status = command
        .status()
        .map_err(|e| BuildError(format!("cargo could not be started: {e}")))?;
    if status.success() {
        return Ok(());
    }
    Err(BuildError(format!(
        "{} did not build for {} ({status}); if the target is missing, run scripts/setup",
        what.package, what.target
    )))
}

/// Flags that put names in the place of this machine's paths, which panics would name: of the checkout, the target folder, and the
/// sources of crates, whose folder is also called after the registry's address. The longest match stands last, since the last one counts.
fn same_everywhere(root: &Path, target_dir: &Path) -> OsString {
    let mut names = vec![
        (root.to_path_buf(), "/credence"),
        (target_dir.to_path_buf(), "/target"),
    ];
    let registries = cargo_home().map(|home| home.join("registry").join("src"));
    let folders = registries.and_then(|folder| fs::read_dir(folder).ok());
    let mut folders: Vec<_> = folders
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    names.extend(folders.into_iter().map(|folder| (folder, "/registry")));
    let mut flags = OsString::new();
    for (folder, name) in names {
        if !flags.is_empty() {
            flags.push(SEPARATOR);
        }
        flags.push("--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`: paths may have spaces.
const SEPARATOR: &str = "\u{1f}";

fn cargo_home() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| value.as_os_str() != OsStr::new(""));
    let named_home = named("CARGO_HOME").map(PathBuf::from);
    named_home.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cargo")))
}
