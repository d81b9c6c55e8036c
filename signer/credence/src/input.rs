//! Files that commands are given.

use crate::failure::Failure;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The octets of a file, or of standard input for `-`.
///
/// # Errors
/// If it cannot be read, or has more than `longest`.
pub(crate) fn read(path: &Path, longest: usize) -> Result<Vec<u8>, Failure> {
    let unreadable = |e| Failure::Unreadable(path.to_path_buf(), e);
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    source
        .take((longest as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > longest {
        return Err(Failure::BadInput(
            path.to_path_buf(),
            format!("longer than {longest} octets"),
        ));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub(crate) fn read_text(path: &Path, longest: usize) -> Result<String, Failure> {
    let bytes = read(path, longest)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::BadInput(path.to_path_buf(), "not UTF-8".to_owned()))
}
