//! Which ledger, and by which key it is verified.

use crate::{cli::BookArguments, failure::Failure};
use credence_ledger::{
    checkpoint::{CheckpointKey, CheckpointSigner as _, MemorySigner},
    sqlite::Reader,
};
use credence_service::book::{KEY, KeyFileError, LEDGER, checkpoint_key};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The ledger that was typed.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) path: PathBuf,
    /// `ledger.key` beside it.
    key_file: PathBuf,
}

impl Book {
    pub(super) fn new(arguments: &BookArguments) -> Self {
        let path = match (&arguments.ledger, &arguments.state) {
            (Some(file), _) => file.clone(),
            (None, state) => state.clone().unwrap_or_default().join(LEDGER),
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        Self {
            key_file: folder.join(KEY),
            path,
        }
    }

    pub(super) fn reader(&self) -> Result<Reader, Failure> {
        Ok(Reader::open(&self.path)?)
    }

    /// The key that signs its checkpoints.
    pub(super) fn secret(&self) -> Result<Zeroizing<[u8; 32]>, Failure> {
        match checkpoint_key(&self.key_file, true) {
            Err(KeyFileError::Missing(_)) => Err(self.without_key()),
            read => Ok(read?),
        }
    }

    /// The public half of the key beside it.
    pub(super) fn own_key(&self, reader: &Reader) -> Result<CheckpointKey, Failure> {
        let public = MemorySigner::new(&self.secret()?).public_key();
        let origin = reader.base()?.origin;
        CheckpointKey::new(origin, &public)
            .map_err(|error| Failure::BadInput(self.key_file.clone(), error.to_string()))
    }

    fn without_key(&self) -> Failure {
        let what = "the key of the ledger's checkpoints is not there; say another folder, or what its public half is: --key NAME+HASH+KEY";
        Failure::BadInput(self.key_file.clone(), what.into())
    }
}
