//! Passphrases and PINs: from a file or a descriptor, never from an argument or the environment,
//! which others may read.

use crate::private_file::{self, FileError};
use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest secret, in octets.
const LONGEST: u64 = 1024;

/// Why a secret cannot be had. Never says anything of it.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Its file cannot be read, or others can.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its descriptor cannot be read.
    #[error("the secret on file descriptor {0} cannot be read")]
    Descriptor(u32, #[source] io::Error),
    /// Nothing, or too much, or more than a line.
    #[error("{0} does not hold one line of 1 to {LONGEST} octets")]
    NotALine(SecretSource),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file of mode 0600 or stricter.
    File(PathBuf),
    /// On a descriptor that this process was started with.
    Descriptor(u32),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Descriptor(number) => write!(f, "file descriptor {number}"),
        }
    }
}

impl SecretSource {
    /// Reads it. A newline at its end is not part of it.
    ///
    /// # Errors
    /// If it cannot be read, others can read its file, or it is not one line.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::File(path) => private_file::read_secret(path)?,
            Self::Descriptor(number) => {
                read_descriptor(*number).map_err(|e| SecretError::Descriptor(*number, e))?
            }
        };
        Secret::from_line(&bytes).ok_or_else(|| SecretError::NotALine(self.clone()))
    }
}

/// Through /proc, since taking over a descriptor by its number is not safe Rust.
fn read_descriptor(number: u32) -> io::Result<Zeroizing<Vec<u8>>> {
    // room for all of it, so that it is not left behind where a growing vector moved from
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        2 * usize::try_from(LONGEST).unwrap_or_default(),
    ));
    File::open(format!("/proc/self/fd/{number}"))?
        .take(LONGEST + 2)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A passphrase or PIN. Wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl Secret {
    /// One line; none if it is empty, longer, or has a line break inside.
    #[must_use]
    pub fn from_line(bytes: &[u8]) -> Option<Self> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let good = (1..=LONGEST).contains(&(line.len() as u64))
            && !line.iter().any(|octet| matches!(octet, b'\n' | b'\r' | 0));
        good.then(|| Self(Zeroizing::new(line.to_vec())))
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn one_line_is_a_secret_and_nothing_else() {
        for good in [&b"hunter2"[..], b"hunter2\n", b"hunter2\r\n"] {
            assert_eq!(Secret::from_line(good).unwrap().octets(), b"hunter2");
        }
        for bad in [&b""[..], b"\n", b"a\nb", b"a\0", &[b'x'; 1025]] {
            assert!(Secret::from_line(bad).is_none());
        }
    }

    #[test]
    fn it_is_read_from_a_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        private_file::write_new(&path, b"hunter2\n").unwrap();
        let file = File::open(&path).unwrap();
        let source = SecretSource::Descriptor(file.as_raw_fd().try_into().unwrap());
        assert_eq!(source.read().unwrap().octets(), b"hunter2");
        let closed = SecretSource::Descriptor(9_999).read().unwrap_err();
        assert!(closed.to_string().contains("9999"), "{closed}");
    }

    #[test]
    fn it_is_never_shown() {
        let secret = Secret::from_line(b"hunter2").unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        private_file::write_new(&path, b"hunter2\nhunter3").unwrap();
        let error = SecretSource::File(path).read().unwrap_err().to_string();
        assert!(!error.contains("hunter"), "{error}");
    }
}
