//! Files in folders.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Mode of what can be run.
const PROGRAM: u32 = 0o755;
/// Mode of the rest.
const PLAIN: u32 = 0o644;

/// Every file below a folder, relative to it, sorted.
///
/// # Errors
/// If a folder cannot be read, or has something that is neither file nor folder.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    gather(folder, Path::new(""), &mut found)?;
    found.sort();
    Ok(found)
}

fn gather(folder: &Path, relative: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let here = folder.join(relative);
    for entry in fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let entry = entry?;
        let path = relative.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            gather(folder, &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        } else {
            bail!("{} is neither a file nor a folder", path.display());
        }
    }
    Ok(())
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read; the path is named.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Writes a file, mode 0644, in a folder that is made if need be.
///
/// # Errors
/// If it cannot be written; the path is named.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, PLAIN).with_context(|| path.display().to_string())
}

/// The same for a program, mode 0755.
///
/// # Errors
/// As [`write()`].
pub fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, PROGRAM).with_context(|| path.display().to_string())
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)?;
    // whatever the umask of who makes a release
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The mode that a file has in an archive: 0755 for programs, 0644 for the rest.
///
/// # Errors
/// If it cannot be looked at.
pub fn mode(path: &Path) -> Result<u32> {
    let mode = fs::metadata(path)?.permissions().mode();
    Ok(if mode & 0o100 == 0 { PLAIN } else { PROGRAM })
}
