//! The Ed25519 key of a ledger's checkpoints: a file of 64 hexadecimal digits, mode 0600.

use credence_ca::{hex, lifecycle::CertificateId};
use credence_host::private_file::{self, FileError};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something else is in it.
    #[error("{}: it is not 64 lower-case hexadecimal digits and a line's end", .0.display())]
    Form(PathBuf),
    /// The ledger is there and its key is not.
    #[error(
        "{}: the key of the ledger's checkpoints is missing; put it back, or move the ledger away and begin another with --new-ledger", .0.display()
    )]
    Missing(PathBuf),
    /// The system gives no random octets.
    #[error("the system has no randomness")]
    Random,
}

/// Reads the key, or makes one where there is no ledger yet.
///
/// # Errors
/// If it cannot be read or made, or is missing beside a ledger.
pub fn checkpoint_key(path: &Path, has_ledger: bool) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    match private_file::read_secret(path) {
        Ok(text) => seed(&text).ok_or_else(|| KeyFileError::Form(path.to_path_buf())),
        Err(FileError::Missing(_)) if has_ledger => Err(KeyFileError::Missing(path.to_path_buf())),
        Err(FileError::Missing(_)) => new_key(path),
        Err(error) => Err(error.into()),
    }
}

fn new_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| KeyFileError::Random)?;
    let text = Zeroizing::new(format!("{}\n", hex(&*seed)));
    private_file::write_new(path, text.as_bytes())?;
    private_file::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(seed)
}

fn seed(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = str::from_utf8(text.strip_suffix(b"\n").unwrap_or(text)).ok()?;
    let octets: CertificateId = digits.parse().ok()?;
    Some(Zeroizing::new(octets.sha256()))
}
