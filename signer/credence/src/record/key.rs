//! The Ed25519 key of a ledger's checkpoints: `ledger.key` beside it, 64 hexadecimal digits, mode 0600.

use crate::failure::Failure;
use credence_ca::hex;
use credence_host::{
    private_file::{self, FileError},
    state::StateError,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The file of the key in a folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join("ledger.key")
}

/// The key in a folder; a new one if there is none, and no ledger either.
pub(crate) fn open(folder: &Path, has_ledger: bool) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let path = file(folder);
    match read(&path)? {
        Some(seed) => Ok(seed),
        None if has_ledger => {
            let what = "the key of ledger.db's checkpoints is missing; put it back, or move ledger.db away to begin another";
            Err(Failure::BadInput(path, what.into()))
        }
        None => new(&path),
    }
}

/// The key in a file; nothing if the file is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, Failure> {
    match private_file::read_secret(path) {
        Ok(text) => seed(&text).map(Some).ok_or_else(|| {
            let what = "it is not 64 lower-case hexadecimal digits and a line's end";
            Failure::BadInput(path.to_path_buf(), what.into())
        }),
        Err(FileError::Missing(_)) => Ok(None),
        Err(error) => Err(StateError::from(error).into()),
    }
}

fn new(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    fill(&mut *seed)?;
    let text = Zeroizing::new(format!("{}\n", hex(&*seed)));
    private_file::write_new(path, text.as_bytes()).map_err(StateError::from)?;
    private_file::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(StateError::from)?;
    Ok(seed)
}

fn seed(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 2 * seed.len() {
        return None;
    }
    for (octet, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?;
        *octet = value(high)? << 4 | value(low)?;
    }
    Some(seed)
}

/// From the system's random number generator.
pub(crate) fn fill(octets: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(octets)
        .map_err(|e| Failure::Start("system's randomness", io::Error::other(e.to_string())))
}
