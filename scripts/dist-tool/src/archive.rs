//! Tar and gzip, the same bytes for the same files.

use crate::files;
use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};
use tar::{Builder, EntryType, Header};

/// A tar of one file: root's, mode 0644, of 1970.
///
/// # Errors
/// If the name is too long.
pub fn tar_of_one(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    add_file(&mut tar, Path::new(name), bytes, 0o644, 0)?;
    Ok(tar.into_inner()?)
}

/// Compresses; no name and no time in it.
///
/// # Errors
/// Never, in memory.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The opposite.
///
/// # Errors
/// If it is not gzip, or cut short.
pub fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .context("not gzip")?;
    Ok(plain)
}

/// A folder as a compressed tar: below the folder's own name, sorted, root's, all of it of one time (seconds since 1970).
///
/// # Errors
/// If a file cannot be read or a name is too long.
pub fn of_folder(folder: &Path, time: u64) -> Result<Vec<u8>> {
    let top = PathBuf::from(folder.file_name().context("a folder without a name")?);
    let mut tar = Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for path in files::below(folder)? {
        let inside = top.join(&path);
        let above: Vec<_> = inside.ancestors().skip(1).collect();
        for parent in above.iter().rev().filter(|p| !p.as_os_str().is_empty()) {
            if folders.insert(parent.to_path_buf()) {
                add_folder(&mut tar, parent, time)?;
            }
        }
        let file = folder.join(&path);
        let mode = files::mode(&file)?;
        add_file(&mut tar, &inside, &files::read(&file)?, mode, time)?;
    }
    gzip(&tar.into_inner()?)
}

fn add_file(
    tar: &mut Builder<Vec<u8>>,
    path: &Path,
    bytes: &[u8],
    mode: u32,
    time: u64,
) -> Result<()> {
    let mut header = header(path, EntryType::Regular, mode, time)?;
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    Ok(tar.append(&header, bytes)?)
}

fn add_folder(tar: &mut Builder<Vec<u8>>, path: &Path, time: u64) -> Result<()> {
    let mut header = header(path, EntryType::Directory, 0o755, time)?;
    header.set_size(0);
    header.set_cksum();
    Ok(tar.append(&header, std::io::empty())?)
}

fn header(path: &Path, kind: EntryType, mode: u32, time: u64) -> Result<Header> {
    let mut header = Header::new_ustar();
    header
        .set_path(path)
        .with_context(|| path.display().to_string())?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    fn sample(folder: &Path, names: &[&str]) {
        for name in names {
            files::write(&folder.join(name), name.as_bytes()).unwrap();
        }
        files::write_program(&folder.join("bin/p"), b"p").unwrap();
    }

    /// Whoever makes it, whenever, in whatever order.
    #[test]
    fn the_same_files_are_the_same_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (scratch.path().join("1/x"), scratch.path().join("2/x"));
        sample(&one, &["b", "a/c"]);
        sample(&two, &["a/c", "b"]);
        fs::set_permissions(
            two.join("b"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        let file = fs::File::open(two.join("b")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let made = of_folder(&one, 1_700_000_000).unwrap();
        assert_eq!(made, of_folder(&two, 1_700_000_000).unwrap());
        assert_ne!(made, of_folder(&two, 1_700_000_001).unwrap());
    }

    #[test]
    fn other_peoples_tar_reads_it() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("x");
        let long = format!("oci/{}/{}", "d".repeat(80), "f".repeat(64));
        sample(&folder, &[&long]);
        let archive = scratch.path().join("x.tar.gz");
        files::write(&archive, &of_folder(&folder, 86_400).unwrap()).unwrap();
        let output = Command::new("tar")
            .env("TZ", "UTC")
            .args(["--numeric-owner", "-tvzf"])
            .arg(&archive)
            .output()
            .unwrap();
        let list = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines.len(), 6, "{list}");
        for line in &lines {
            assert!(
                line.contains(" 0/0 ") && line.contains("1970-01-02"),
                "{line}"
            );
        }
        assert!(
            list.contains("-rwxr-xr-x") && list.contains(&format!("x/{long}")),
            "{list}"
        );
    }
}
