//! `credence log export`: all of it, as lines of JSON.

use super::book::Book;
use crate::{cli::ExportArguments, failure::Failure};
use credence_ledger::sqlite::Reader;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Writes it, little by little.
///
/// # Errors
/// If the ledger cannot be read, or the file is there or cannot be written. Nothing is left of it
/// then.
pub(super) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let reader = Book::new(&arguments.book).reader()?;
    let Some(path) = &arguments.to else {
        return Ok(reader.export(&mut io::stdout().lock()).map(drop)?);
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| unwritable(path, error))?;
    let done = write(&reader, file, path);
    if done.is_err() {
        // it would look like an export
        drop(fs::remove_file(path));
    }
    done
}

fn write(reader: &Reader, mut file: File, path: &Path) -> Result<(), Failure> {
    let head = reader.export(&mut file)?;
    file.sync_all().map_err(|error| unwritable(path, error))?;
    eprintln!(
        "credence: {} has the record up to entry {}",
        path.display(),
        head.size
    );
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::BadInput(path.to_path_buf(), "it is there; name a new file".into())
        }
        _ => Failure::Output(error),
    }
}
