//! Where the programs are that the demo and the tests run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The workspace's folder.
///
/// # Errors
/// Never, unless this crate is moved.
pub fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("tests/e2e is not two folders below the workspace")
}

/// Envoy: the one that `ENVOY` names, or the one that scripts/setup fetched.
///
/// # Errors
/// If it is not there. A test that needs it then fails; it does not pass.
pub fn envoy() -> Result<PathBuf> {
    if let Some(named) = env::var_os("ENVOY").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        ensure!(
            named.is_file(),
            "ENVOY names {}, which is no file",
            named.display()
        );
        return Ok(named);
    }
    found(
        workspace()?.join(".tools/envoy/1.40.0/envoy"),
        "run scripts/setup, or name an Envoy with ENVOY=PATH",
    )
}

/// pkilint's certificate linter.
///
/// # Errors
/// If it is not there.
pub fn pkilint() -> Result<PathBuf> {
    found(
        workspace()?.join(".tools/venv/bin/lint_pkix_cert"),
        "run scripts/setup",
    )
}

/// A Python with PyPI's spiffe and gRPC.
///
/// # Errors
/// If it is not there.
pub fn python_with_spiffe() -> Result<PathBuf> {
    found(
        workspace()?.join(".tools/spiffe/bin/python"),
        "run scripts/setup --for-test",
    )
}

/// The filter that was built with this crate.
///
/// # Errors
/// If it is not there.
pub fn filter() -> Result<PathBuf> {
    found(env!("CREDENCE_FILTER_WASM").into(), "run cargo build")
}

/// The signing module that was built with this crate, as the credence binary carries it.
///
/// # Errors
/// If it is not there.
pub fn signer() -> Result<PathBuf> {
    found(env!("CREDENCE_SIGNER_WASM").into(), "run cargo build")
}

/// The credence binary: the one that `CREDENCE` names, or the one beside the program that asks.
///
/// # Errors
/// If it is not there.
pub fn credence() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CREDENCE").filter(|value| !value.is_empty()) {
        return found(named.into(), "CREDENCE names it");
    }
    beside_us("credence", "credence")
}

/// A program in the folder of the one that asks, or, as that is a test, in the one above.
fn beside_us(program: &str, package: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(program))
        .find(|binary| binary.is_file())
        .with_context(|| {
            format!(
                "there is no {program} beside {}: run cargo build -p {package}",
                own.display()
            )
        })
}

/// For tests: the credence binary of this very source. Cargo builds it, once a test program,
/// unless `CREDENCE` names one: a test of yesterday's binary would prove nothing.
///
/// # Errors
/// If it does not build.
pub fn fresh_credence() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if env::var_os("CREDENCE").is_none() {
        BUILT
            .get_or_init(|| build("credence"))
            .clone()
            .map_err(|error| anyhow!(error))?;
    }
    credence()
}

/// For tests: a program of docs/examples/rust of this very source. As with [`fresh_credence`], whoever sets `CREDENCE` has built it.
///
/// # Errors
/// If it does not build.
pub fn fresh_example(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if env::var_os("CREDENCE").is_none() {
        BUILT
            .get_or_init(|| build("credence-example"))
            .clone()
            .map_err(|error| anyhow!(error))?;
    }
    beside_us(name, "credence-example")
}

fn build(package: &str) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = workspace().map_err(|error| format!("{error:#}"))?;
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--locked", "--quiet", "--package", package])
        .output()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{package} does not build:\n{complaint}"))
}

fn found(path: PathBuf, advice: &str) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} is not there: {advice}", path.display());
    }
    Ok(path)
}
