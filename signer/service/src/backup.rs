//! Copies of a CA's state, and how one is made of them again.
//!
//! A backup is a folder, mode 0700, with all that the state folder has: **the CA's keys are in it** (encrypted, if they are so in the state; not, if
//! they are in a token or in others' files). It is written beside and gets its name once it is whole and its ledger has been verified.

use crate::{
    book::{Book, KeyFileError, checkpoint_key},
    clock::Shared,
    lifecycle::StoreError,
};
use credence_ca::{
    certificate::CaCertificate,
    lifecycle::{Event, KeyPlace, Refused, RootCertificate, RunId, State, World},
};
use credence_host::{
    authorities::{Authorities, Imported},
    custody::{Custodian, Role},
    private_file::{self, FileError},
    state::{StateError, StateFolder},
};
use credence_ledger::{
    checkpoint::{CheckpointKey, CheckpointSigner as _, KeyError, MemorySigner},
    entry::By,
    sqlite::{Authority, BackupError as LedgerError, Options, ReadError, Reader, restore},
};
use spiffe::SpiffeId;
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// What is copied besides the ledger, first what is needed by what follows.
const FILES: &[&str] = &["ledger.key", "lifecycle.json"];
/// What there may be besides: whether lists of what is revoked are out there, and their last number.
const MAYBE: &[&str] = &["revocations.json"];
const FOLDERS: &[&str] = &["authorities", "requests"];

/// Why there is no backup, or nothing is restored. Nothing is left half done.
#[derive(Debug, Error)]
pub enum BackupError {
    /// Something is there.
    #[error("{} is there already: name a place where nothing is", .0.display())]
    Taken(PathBuf),
    /// It is no backup.
    #[error("{} is not a backup of a CA: {missing} is missing", .path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
        /// What should be there.
        missing: &'static str,
    },
    /// The file system.
    #[error("{} cannot be {action}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger, reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The ledger's key, as a checkpoint's.
    #[error("the key of the ledger's checkpoints cannot be used: {0}")]
    CheckpointKey(#[from] KeyError),
    /// The lifecycle's state.
    #[error(transparent)]
    State(#[from] StoreError),
    /// Roots that the backup does not know.
    #[error(transparent)]
    Anchors(#[from] StateError),
    /// What is told to the lifecycle.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No random octets.
    #[error("the system has no randomness")]
    Random,
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_path_buf();
    move |source| BackupError::Io {
        path,
        action,
        source,
    }
}

fn new_folder(path: &Path) -> Result<(), BackupError> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    made.map_err(io_error(path, "made"))
}

/// Where it is made until it is whole.
fn beside(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Writes a backup of a state that does not change meanwhile, while the ledger goes on.
pub(crate) fn write(from: &Path, to: &Path, book: &Book) -> Result<(), BackupError> {
    if to.exists() {
        return Err(BackupError::Taken(to.to_path_buf()));
    }
    let part = beside(to);
    clear(&part)?;
    new_folder(&part)?;
    copy_all(from, &part)?;
    let keys = [book.ledger().key().clone()];
    book.reader()?.backup(&part.join("ledger.db"), &keys)?;
    finish(&part, to)
}

/// Makes a state folder of a backup: the ledger's next entry says that it was restored, and so does the lifecycle's state, which keeps
/// its gates shut for a leaf's longest life. `anchors` are roots that are out there and that the backup does not know; they are trusted at once.
///
/// # Errors
/// If the backup is not whole, or the place is taken.
pub fn make_again(
    backup: &Path,
    state: &Path,
    trust_domain: &SpiffeId,
    anchors: Vec<CaCertificate>,
    clock: &Shared,
    uid: u32,
) -> Result<(), BackupError> {
    for missing in ["ledger.db", "ledger.key", "lifecycle.json", "authorities"] {
        if !backup.join(missing).exists() {
            let path = backup.to_path_buf();
            return Err(BackupError::NotABackup { path, missing });
        }
    }
    if state.exists() {
        return Err(BackupError::Taken(state.to_path_buf()));
    }
    let part = beside(state);
    clear(&part)?;
    new_folder(&part)?;
    copy_all(backup, &part)?;
    restore_ledger(backup, &part, trust_domain, clock, uid)?;
    let new = tell_lifecycle(&part.join("lifecycle.json"), anchors, clock)?;
    store(new, &part)?;
    finish(&part, state)
}

fn restore_ledger(
    backup: &Path,
    part: &Path,
    trust_domain: &SpiffeId,
    clock: &Shared,
    uid: u32,
) -> Result<(), BackupError> {
    let seed = checkpoint_key(&part.join("ledger.key"), true)?;
    let signer = MemorySigner::new(&seed);
    let from = backup.join("ledger.db");
    let origin = Reader::open(&from)?.base()?.origin;
    let keys = [CheckpointKey::new(origin, &signer.public_key())?];
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| BackupError::Random)?;
    let authority = Authority {
        trust_domain: trust_domain.trust_domain_name(),
        random,
        signer: Box::new(signer),
        former_keys: &[],
        clock: Box::new(clock.clone()),
    };
    let order = (clock.time(), By::Uid(uid));
    restore(
        &from,
        &part.join("ledger.db"),
        &Options::default(),
        authority,
        &keys,
        order,
    )?;
    Ok(())
}

/// Gives the anchors that the backup does not know.
fn tell_lifecycle(
    file: &Path,
    anchors: Vec<CaCertificate>,
    clock: &Shared,
) -> Result<Vec<CaCertificate>, BackupError> {
    let Some(mut state) = crate::lifecycle::load(file)? else {
        return Ok(Vec::new());
    };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| BackupError::Random)?;
    let run = RunId::from_random(random);
    let step = |state: &State, event| {
        let world = World {
            reading: clock.reading(run),
            holders: None,
        };
        state.step(world, event)
    };
    (state, _) = step(&state, Event::Restored)?;
    let mut new = Vec::new();
    for anchor in anchors {
        let event = Event::ImportAnchor {
            root: RootCertificate::of(&anchor, KeyPlace::Elsewhere),
            longest_leaf_life: state.settings().terms().longest_leaf_life,
        };
        match step(&state, event) {
            Ok((next, _)) => {
                state = next;
                new.push(anchor);
            }
            // the backup knows this root
            Err(Refused::Known(_)) => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    crate::lifecycle::store(file, &state)?;
    Ok(new)
}

/// Puts certificates without keys beside the others; the others' keys are not read for that.
fn store(anchors: Vec<CaCertificate>, part: &Path) -> Result<(), BackupError> {
    let apart = part.join("anchors");
    {
        let folder = StateFolder::open(&apart)?;
        let mut authorities = Authorities::open(&folder, &Custodian::default())?;
        for certificate in anchors {
            authorities.import(Imported {
                role: Role::Root,
                certificate,
                above: Vec::new(),
                key: None,
            })?;
        }
    }
    let from = apart.join("authorities");
    for entry in fs::read_dir(&from).map_err(io_error(&from, "read"))? {
        let entry = entry.map_err(io_error(&from, "read"))?;
        let to = part.join("authorities").join(entry.file_name());
        fs::rename(entry.path(), &to).map_err(io_error(&to, "written"))?;
    }
    fs::remove_dir_all(&apart).map_err(io_error(&apart, "removed"))
}

fn copy_all(from: &Path, to: &Path) -> Result<(), BackupError> {
    for name in FOLDERS {
        let folder = from.join(name);
        if folder.exists() {
            copy_folder(&folder, &to.join(name))?;
        }
    }
    let maybe = MAYBE.iter().filter(|name| from.join(name).exists());
    for name in FILES.iter().chain(maybe) {
        copy_file(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), BackupError> {
    new_folder(to)?;
    for entry in fs::read_dir(from).map_err(io_error(from, "read"))? {
        let entry = entry.map_err(io_error(from, "read"))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(io_error(&path, "looked at"))?;
        if kind.is_dir() {
            copy_folder(&path, &target)?;
        } else if kind.is_file() {
            copy_file(&path, &target)?;
        }
    }
    Ok(private_file::sync_folder(to)?)
}

/// Every file of a state is its owner's alone, and the copies are.
fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let octets = zeroize::Zeroizing::new(private_file::read_public(from)?);
    Ok(private_file::write_new(to, &octets)?)
}

fn clear(part: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(part, "removed")(error))
        }
        _ => Ok(()),
    }
}

fn finish(part: &Path, to: &Path) -> Result<(), BackupError> {
    private_file::sync_folder(part)?;
    fs::rename(part, to).map_err(io_error(to, "written"))?;
    let above = to.parent().filter(|above| !above.as_os_str().is_empty());
    Ok(private_file::sync_folder(above.unwrap_or(Path::new(".")))?)
}
