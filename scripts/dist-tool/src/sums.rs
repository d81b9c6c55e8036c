//! `SHA256SUMS`, as `sha256sum --check` reads it.

use crate::files;
use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The file's name.
pub const NAME: &str = "SHA256SUMS";

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for octet in Sha256::digest(bytes) {
        // writing to a String cannot fail
        let _ = write!(hex, "{octet:02x}");
    }
    hex
}

/// Writes the sums of all files below a folder to `SHA256SUMS` in it.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for path in files::below(folder)? {
        if path != Path::new(NAME) {
            let sum = sha256(&files::read(&folder.join(&path))?);
            writeln!(text, "{sum}  {}", path.display())?;
        }
    }
    files::write(&folder.join(NAME), text.as_bytes())
}

/// Compares a folder with its `SHA256SUMS`; gives how many files it names.
///
/// # Errors
/// If a file is missing, another one than was summed, or not named.
pub fn check(folder: &Path) -> Result<usize> {
    let list = files::read(&folder.join(NAME))?;
    let named = parse(std::str::from_utf8(&list).context("SHA256SUMS is not UTF-8")?)?;
    let there: BTreeSet<PathBuf> = files::below(folder)?.into_iter().collect();
    for path in &there {
        ensure!(
            path == Path::new(NAME) || named.contains_key(path),
            "{} is not in {NAME}",
            path.display()
        );
    }
    for (path, sum) in &named {
        ensure!(there.contains(path), "{} is missing", path.display());
        let bytes = files::read(&folder.join(path))?;
        ensure!(
            sha256(&bytes) == *sum,
            "{} is not what {NAME} says",
            path.display()
        );
    }
    ensure!(!named.is_empty(), "{NAME} names nothing");
    Ok(named.len())
}

fn parse(list: &str) -> Result<BTreeMap<PathBuf, String>> {
    let mut named = BTreeMap::new();
    for line in list.lines() {
        let (sum, path) = line
            .split_once("  ")
            .with_context(|| format!("{NAME}: not a sum and a path: {line}"))?;
        let hex = sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(hex, "{NAME}: not a SHA-256: {sum}");
        let before = named.insert(PathBuf::from(path), sum.to_owned());
        ensure!(before.is_none(), "{NAME} names {path} twice");
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_what_was_summed() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        files::write(&folder.join("a/b"), b"1").unwrap();
        files::write(&folder.join("c"), b"2").unwrap();
        write(folder).unwrap();
        assert_eq!(check(folder).unwrap(), 2);

        files::write(&folder.join("c"), b"3").unwrap();
        assert!(check(folder).unwrap_err().to_string().contains("c is not"));
        files::write(&folder.join("c"), b"2").unwrap();
        files::write(&folder.join("d"), b"").unwrap();
        assert!(check(folder).unwrap_err().to_string().contains("d is not"));
        fs::remove_file(folder.join("d")).unwrap();
        fs::remove_file(folder.join("a/b")).unwrap();
        assert!(check(folder).unwrap_err().to_string().contains("missing"));
        files::write(&folder.join(NAME), b"").unwrap();
        assert!(check(folder).is_err());
    }

    #[test]
    fn sums_are_those_that_the_standard_gives() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
