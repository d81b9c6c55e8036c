//! What the images are made of, side by side: compiled outside, copied in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// Where the compose file looks for it, if its environment names no other folder.
///
/// # Errors
/// Never, unless this crate is moved.
pub fn place() -> Result<PathBuf> {
    Ok(tools::workspace()?.join(".tools/compose/stage"))
}

/// Makes the two build contexts: credence, its symbols stripped, and Envoy with the filter.
///
/// # Errors
/// If something is not there, or cannot be written.
pub fn fill(folder: &Path) -> Result<()> {
    let workspace = tools::workspace()?;
    let ours = workspace.join("envoy/compose");
    let credence = fresh(&folder.join("credence"))?;
    copy(&ours.join("credence/Dockerfile"), &credence)?;
    copy(&ours.join("credence/credence-healthy"), &credence)?;
    strip(&tools::credence()?, &credence.join("credence"))?;
    let envoy = fresh(&folder.join("envoy"))?;
    copy(&ours.join("envoy/Dockerfile"), &envoy)?;
    copy(&ours.join("envoy/credence-envoy"), &envoy)?;
    copy(&workspace.join("filter/plugin/capabilities.txt"), &envoy)?;
    fs::copy(tools::filter()?, envoy.join("credence_filter.wasm"))?;
    fs::copy(tools::envoy()?, envoy.join("envoy"))?;
    Ok(())
}

fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    Ok(folder.to_owned())
}

fn copy(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name)).with_context(|| file.display().to_string())?;
    Ok(())
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("strip")
        .arg("-o")
        .args([to, from])
        .output()
        .context("strip cannot be run (Debian: binutils)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "strip: {complaint}");
    Ok(())
}
