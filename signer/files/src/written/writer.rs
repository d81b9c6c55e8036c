//! Writes a certificate, its key and the bundle so that they are there together or not at all.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Gid, Mode, OFlags, Uid, fchmod, fchown, flock, fsync, mkdirat,
    openat, readlinkat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::place::Place;

/// The name that is switched.
const DATA: &str = "..data";
/// What it is before it takes that name.
const NEXT: &str = "..data_tmp";
/// As much is read back of a file, to see whether it is what should be there.
const LONGEST: u64 = 1 << 20;

/// What is written: PEM.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The certificate, and behind it its issuers.
    pub certificate: &'a str,
    /// Its key, PKCS #8.
    pub key: &'a str,
    /// The trust bundle.
    pub bundle: &'a str,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there now.
    New,
    /// It was there already.
    Same,
}

/// Why nothing was written. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder cannot be used.
    #[error("{}: the folder for certificates cannot be opened; it must exist already", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process writes there.
    #[error("{}: another process writes certificates there; give each agent a folder of its own", .0.display())]
    Busy(PathBuf),
    /// Something is there that this agent did not make.
    #[error("{}: it is there and was not made by an agent; move it away or choose another name", .0.display())]
    InTheWay(PathBuf),
    /// A system call failed.
    #[error("{}: {attempt} failed", .path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What was tried.
        attempt: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Writes to one folder, and is the only one that does.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    /// Everything goes by this: a path could lead elsewhere by the time of the next call.
    folder: OwnedFd,
}

impl fmt::Debug for Material<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

impl Material<'_> {
    /// Tells one set from another: the key is not in it, each certificate has its own.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.certificate, self.bundle] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let octets = hash.finalize();
        let digits = octets.iter().take(8).map(|octet| format!("{octet:02x}"));
        std::iter::once("..".to_owned()).chain(digits).collect()
    }
}

impl Writer {
    /// Takes the folder, and clears away what an agent that was killed left half-done.
    ///
    /// # Errors
    /// If the folder is not there, another process writes to it, or something is in the way.
    pub fn open(place: Place) -> Result<Self, FilesError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&place.folder, flags, Mode::empty());
        let folder = folder.map_err(|errno| FilesError::Folder {
            folder: place.folder.clone(),
            source: errno.into(),
        })?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(FilesError::Busy(place.folder)),
            done => done.map_err(failed(&place.folder, "locking it"))?,
        }
        let writer = Self { place, folder };
        for name in writer.place.names.all() {
            writer.is_ours(name)?;
        }
        writer.sweep()?;
        Ok(writer)
    }

    /// Where it writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// Whether its folder is still the one at that path: it may have been removed, made anew or mounted over since.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let own = rustix::fs::fstat(&self.folder);
        let there = rustix::fs::stat(&self.place.folder);
        matches!((own, there), (Ok(own), Ok(there)) if (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino))
    }

    /// Writes all three and switches to them in one step. They are on the disk when this returns.
    ///
    /// # Errors
    /// [`FilesError`]; what was there is there still, and nothing else.
    pub fn write(&self, material: &Material<'_>) -> Result<Written, FilesError> {
        let name = material.name();
        let links = self.links()?;
        if self.current()?.as_deref() == Some(name.as_str()) && self.holds(&name, material) {
            self.link(&links)?;
            return Ok(Written::Same);
        }
        self.remove(&name)?;
        if let Err(error) = self.fill(&name, material).and_then(|()| self.switch(&name)) {
            // as far as that goes: the first error is the one to tell
            drop(self.sweep());
            return Err(error);
        }
        self.link(&links)?;
        self.sweep()?;
        Ok(Written::New)
    }

    /// The names that are still to be made.
    fn links(&self) -> Result<Vec<&str>, FilesError> {
        let mut missing = Vec::new();
        for name in self.place.names.all() {
            if !self.is_ours(name)? {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    /// Whether a name is there already, and leads where it should.
    fn is_ours(&self, name: &str) -> Result<bool, FilesError> {
        match self.target(name) {
            Ok(target) if target == through(name) => Ok(true),
            Ok(_) | Err(Errno::INVAL) => Err(FilesError::InTheWay(self.path(name))),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed(&self.path(name), "looking at it")(errno)),
        }
    }

    /// What is switched to now. Anything but a folder of ours counts as nothing.
    fn current(&self) -> Result<Option<String>, FilesError> {
        match self.target(DATA) {
            Ok(target) => Ok(Some(target).filter(|target| is_generation(target))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::INVAL) => Err(FilesError::InTheWay(self.path(DATA))),
            Err(errno) => Err(failed(&self.path(DATA), "looking at it")(errno)),
        }
    }

    fn target(&self, name: &str) -> Result<String, Errno> {
        let target = readlinkat(&self.folder, name, Vec::new())?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Whether a folder has this and nothing less; whoever may write there may have changed it.
    fn holds(&self, name: &str, material: &Material<'_>) -> bool {
        let Ok(folder) = self.enter(name) else {
            return false;
        };
        self.parts(material)
            .iter()
            .all(|(file, text, _)| read(&folder, file).is_ok_and(|found| *found == text.as_bytes()))
    }

    fn parts<'a>(&'a self, material: &Material<'a>) -> [(&'a str, &'a str, u32); 3] {
        let (names, mode) = (&self.place.names, self.place.mode);
        [
            (names.certificate(), material.certificate, mode),
            (names.key(), material.key, self.place.key_mode),
            (names.bundle(), material.bundle, mode),
        ]
    }

    fn enter(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.folder, name, flags, Mode::empty())
    }

    /// A new folder with everything in it, on the disk. Nobody else enters it before it is whole.
    fn fill(&self, name: &str, material: &Material<'_>) -> Result<(), FilesError> {
        let path = self.path(name);
        let folder = mkdirat(&self.folder, name, Mode::RWXU).and_then(|()| self.enter(name));
        let folder = folder.map_err(failed(&path, "making it"))?;
        for (file, text, mode) in self.parts(material) {
            let made = self.make(&folder, file, text, mode);
            made.map_err(|source| FilesError::Io {
                path: path.join(file),
                attempt: "writing it",
                source,
            })?;
        }
        let open = fchmod(&folder, Mode::from_raw_mode(0o755));
        open.and_then(|()| self.give(&folder))
            .and_then(|()| fsync(&folder))
            .map_err(failed(&path, "making it readable"))
    }

    fn make(&self, folder: &OwnedFd, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(text.as_bytes())?;
        // given away before it is opened to a group: not to the agent's own
        self.give(&file)?;
        fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()
    }

    fn give(&self, what: impl AsFd) -> Result<(), Errno> {
        match self.place.owner {
            None => Ok(()),
            Some(owner) => fchown(
                what,
                owner.uid.map(Uid::from_raw),
                owner.gid.map(Gid::from_raw),
            ),
        }
    }

    fn switch(&self, name: &str) -> Result<(), FilesError> {
        let next = self.path(NEXT);
        match unlinkat(&self.folder, NEXT, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(&next, "removing what is left of it")(errno)),
        }
        symlinkat(name, &self.folder, NEXT).map_err(failed(&next, "making it"))?;
        renameat(&self.folder, NEXT, &self.folder, DATA)
            .and_then(|()| fsync(&self.folder))
            .map_err(failed(&self.path(DATA), "switching to the new files"))
    }

    fn link(&self, names: &[&str]) -> Result<(), FilesError> {
        for name in names {
            symlinkat(through(name), &self.folder, *name)
                .map_err(failed(&self.path(name), "making it"))?;
        }
        if names.is_empty() {
            return Ok(());
        }
        fsync(&self.folder).map_err(failed(&self.place.folder, "fsync(2)"))
    }

    /// Removes every set but the one that is switched to.
    fn sweep(&self) -> Result<(), FilesError> {
        let current = self.current()?;
        for name in self.generations()? {
            if Some(&name) != current.as_ref() {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    fn generations(&self) -> Result<Vec<String>, FilesError> {
        let list =
            Dir::read_from(&self.folder).map_err(failed(&self.place.folder, "listing it"))?;
        let names = list
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| is_generation(name)).collect())
    }

    /// A folder of ours has files and nothing else; one that has more is somebody else's, and stays.
    fn remove(&self, name: &str) -> Result<(), FilesError> {
        let path = self.path(name);
        let folder = match self.enter(name) {
            Err(Errno::NOENT) => return Ok(()),
            entered => entered.map_err(failed(&path, "opening it"))?,
        };
        for file in self.place.names.all() {
            match unlinkat(&folder, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(&path.join(file), "removing it")(errno)),
            }
        }
        unlinkat(&self.folder, name, AtFlags::REMOVEDIR).map_err(failed(&path, "removing it"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.folder.join(name)
    }
}

fn read(folder: &OwnedFd, name: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let mut found = Zeroizing::new(Vec::new());
    file.take(LONGEST).read_to_end(&mut found)?;
    Ok(found)
}

fn through(name: &str) -> String {
    format!("{DATA}/{name}")
}

/// Two dots and 16 hexadecimal digits.
fn is_generation(name: &str) -> bool {
    let hex = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
    name.strip_prefix("..")
        .is_some_and(|digits| digits.len() == 16 && digits.bytes().all(hex))
}

fn failed<'a>(path: &'a Path, attempt: &'static str) -> impl FnOnce(Errno) -> FilesError + 'a {
    move |errno| FilesError::Io {
        path: path.to_owned(),
        attempt,
        source: errno.into(),
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
