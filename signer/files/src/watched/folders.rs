//! The folders that files may be read from, and the only way to a file in them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// The longest file that is read, in octets.
const LONGEST: u64 = 256 * 1024;

/// Folders whose files may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(Vec<PathBuf>);

/// Why a folder cannot be one of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldersError {
    /// It depends on where the agent was started.
    #[error("the folder {} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// Everything is below it.
    #[error("the folder / has every file of the machine below it; name the folders that are meant")]
    Everything,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No folder has it.
    #[error("{}: it is not below a folder that may be read", .0.display())]
    Elsewhere(PathBuf),
    /// It leads out of its folder.
    #[error("{}: a link on the way leads out of the folder {}", .path.display(), .folder.display())]
    LeadsOut {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// It is a folder, a device or a pipe.
    #[error("{}: it is not a file", .0.display())]
    NotAFile(PathBuf),
    /// It is too long.
    #[error("{}: it has more than {LONGEST} bytes", .0.display())]
    TooLong(PathBuf),
    /// The system said no.
    #[error("{}: it cannot be read", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Folders {
    /// These, and what is below them.
    ///
    /// # Errors
    /// If one is not absolute, or is the root of everything.
    pub fn new(folders: Vec<PathBuf>) -> Result<Self, FoldersError> {
        for folder in &folders {
            if !folder.is_absolute() {
                return Err(FoldersError::Relative(folder.clone()));
            }
            if folder.parent().is_none() {
                return Err(FoldersError::Everything);
            }
        }
        Ok(Self(folders))
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether a path is below one of them, by its words alone.
    #[must_use]
    pub fn have(&self, path: &Path) -> bool {
        self.folder_of(path).is_some()
    }

    fn folder_of<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
        let below = |folder: &'a PathBuf| Some((folder.as_path(), path.strip_prefix(folder).ok()?));
        // the one that is nearest, so that links may go as little far as possible
        self.0
            .iter()
            .filter_map(below)
            .min_by_key(|(_, rest)| rest.as_os_str().len())
    }

    /// What is in a file. Links are followed as long as they stay below the folder: the kernel sees to that (`RESOLVE_BENEATH`, openat2(2)), so
    /// that nobody can switch one between the look and the reading.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        let elsewhere = || ReadError::Elsewhere(path.to_owned());
        let (folder, rest) = self.folder_of(path).ok_or_else(elsewhere)?;
        let file = File::from(open(folder, rest).map_err(|errno| match errno {
            Errno::XDEV => ReadError::LeadsOut {
                path: path.to_owned(),
                folder: folder.to_owned(),
            },
            errno => io_error(path)(errno.into()),
        })?);
        if !file.metadata().map_err(io_error(path))?.is_file() {
            return Err(ReadError::NotAFile(path.to_owned()));
        }
        let mut content = Zeroizing::new(Vec::new());
        file.take(LONGEST + 1)
            .read_to_end(&mut content)
            .map_err(io_error(path))?;
        if content.len() as u64 > LONGEST {
            return Err(ReadError::TooLong(path.to_owned()));
        }
        Ok(content)
    }
}

fn open(folder: &Path, rest: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    // without waiting: a pipe would keep whoever opens it
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(&folder, rest, flags, Mode::empty(), stay)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ReadError + '_ {
    |source| ReadError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folders(folder: &tempfile::TempDir) -> Folders {
        Folders::new(vec![folder.path().to_owned()]).unwrap()
    }

    #[test]
    fn a_file_below_a_folder_is_read_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/ca.crt");
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(&path, "roots").unwrap();
        assert_eq!(**folders(&folder).read(&path).unwrap(), *b"roots");
        let other = tempfile::tempdir().unwrap();
        let refused = folders(&other).read(&path);
        assert!(matches!(refused, Err(ReadError::Elsewhere(_))));
        assert!(!Folders::default().have(&path));
    }

    #[test]
    fn a_folder_whose_name_begins_the_same_is_another() {
        let folders = Folders::new(vec!["/etc/certs".into()]).unwrap();
        assert!(folders.have(Path::new("/etc/certs/a")));
        assert!(!folders.have(Path::new("/etc/certs-of-others/a")));
    }

    #[test]
    fn links_may_stay_and_not_lead_out() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = other.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::create_dir(folder.path().join("..1")).unwrap();
        fs::write(folder.path().join("..1/tls.crt"), "mine").unwrap();
        symlink("..1", folder.path().join("..data")).unwrap();
        symlink("..data/tls.crt", folder.path().join("tls.crt")).unwrap();
        let read = |name: &str| folders(&folder).read(&folder.path().join(name));
        assert_eq!(**read("tls.crt").unwrap(), *b"mine");
        symlink(&secret, folder.path().join("absolute")).unwrap();
        let up = format!("../{}/secret", other.path().file_name().unwrap().display());
        symlink(up, folder.path().join("relative")).unwrap();
        symlink(other.path(), folder.path().join("folder")).unwrap();
        symlink("/proc/self/environ", folder.path().join("magic")).unwrap();
        for bad in ["absolute", "relative", "folder/secret", "magic"] {
            let refused = read(bad).unwrap_err();
            assert!(
                matches!(refused, ReadError::LeadsOut { .. }),
                "{bad}: {refused:?}"
            );
        }
    }

    #[test]
    fn only_files_of_some_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| folders(&folder).read(&folder.path().join(name));
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(matches!(read("folder"), Err(ReadError::NotAFile(_))));
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
        assert!(matches!(read("pipe"), Err(ReadError::NotAFile(_))));
        fs::write(folder.path().join("long"), vec![b'a'; 256 * 1024 + 1]).unwrap();
        assert!(matches!(read("long"), Err(ReadError::TooLong(_))));
        assert!(matches!(read("missing"), Err(ReadError::Io { .. })));
    }

    #[test]
    fn folders_come_together() {
        let folders = |path: &str| Folders::new(vec![path.into()]).unwrap();
        let both = folders("/etc/a").and(&folders("/etc/b"));
        assert!(both.have(Path::new("/etc/a/x")) && both.have(Path::new("/etc/b/x")));
        assert!(!folders("/etc/a").have(Path::new("/etc/b/x")));
    }

    #[test]
    fn folders_are_named_one_by_one() {
        assert_eq!(
            Folders::new(vec!["/".into()]),
            Err(FoldersError::Everything)
        );
        let refused = Folders::new(vec!["certs".into()]);
        assert_eq!(refused, Err(FoldersError::Relative("certs".into())));
    }
}
