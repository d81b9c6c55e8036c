//! Unix sockets that are private from the first moment, and never anybody else's.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::one_writer::name_writers;

/// The longest path that fits in `sockaddr_un.sun_path` with its final NUL (unix(7)).
const LONGEST_PATH: usize = 107;
/// How many connections may wait to be accepted. One more fails at once with `EAGAIN`: after a restart, all Envoys of a machine come
/// together.
const BACKLOG: i32 = 512;
/// Read and write for the owner only: on Linux, write is what connect(2) asks for.
const PRIVATE: u32 = 0o600;
/// The same for all.
const FOR_ALL: u32 = 0o666;

/// Why a socket could not be made. Each names the path, and leaves what was there as it was.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit in a socket address.
    #[error("socket path {} has {length} bytes, the most that fit are {LONGEST_PATH}; choose a shorter one", .path.display())]
    PathTooLong {
        /// The socket's path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The folder that the socket should be in cannot be used.
    #[error("socket {}: its folder {} cannot be opened; it must exist already", .path.display(), .folder.display())]
    Folder {
        /// The socket's path.
        path: PathBuf,
        /// The folder's path.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A living process accepts connections there.
    #[error("socket {} is already served by a running process; stop it or choose another path", .path.display())]
    AlreadyServed {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something else than a socket is there.
    #[error("{} exists and is not a socket; move it away or choose another path", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("socket {}: {attempt} failed", .path.display())]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What was tried.
        attempt: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A listening socket and the file that it made. The file goes when this is dropped, if it is still the same one.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl BoundSocket {
    /// Listens at `path`: mode 0600 from the start, owned by `owner` (the only uid besides root that can connect). Of all that is sent to
    /// it the kernel says who wrote it, as [`OneWriter`](crate::OneWriter) asks for.
    ///
    /// A socket that a dead process left behind is replaced. The folder is locked (flock(2)) meanwhile, so that two
    /// agents that start at the same moment cannot both take the other for dead.
    ///
    /// # Errors
    /// If it cannot be made, or somebody answers there.
    pub fn bind(path: &Path, owner: u32) -> Result<Self, SocketError> {
        check_length(path)?;
        let _locked = lock_folder(path)?;
        clear_the_way(path)?;
        let (listener, file) = create(path)?;
        file.hand_over_to(owner)?;
        Ok(Self { listener, file })
    }

    /// Listens at `path` for every process on the machine: who may have what is for whoever serves it to find out.
    ///
    /// As with [`BoundSocket::bind`], it is private until it listens.
    pub(crate) fn bind_for_all(path: &Path) -> Result<Self, SocketError> {
        let bound = Self::bind(path, rustix::process::geteuid().as_raw())?;
        fs::set_permissions(path, fs::Permissions::from_mode(FOR_ALL))
            .map_err(io_error(path, "opening it to all"))?;
        Ok(bound)
    }

    /// Gives the listener and, apart from it, the guard that removes the file.
    #[must_use]
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The file of a socket that this process made; dropped, it removes that file and no other.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    made: Identity,
}

/// What tells a file from another one that took its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    created: (i64, i64),
}

impl Identity {
    /// The change time would move with chown, so the modification time, which for a socket is its birth.
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            created: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SocketFile {
    /// Whether it is there still: nobody can connect any more where it is gone, or another file has its name.
    pub(crate) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| Identity::of(&found) == self.made)
    }

    /// Remembers the file at `path`, which was bound just now, and makes sure that it is as private as it should be.
    fn made_at(path: &Path) -> Result<Self, SocketError> {
        let metadata =
            fs::symlink_metadata(path).map_err(io_error(path, "looking at the new socket"))?;
        let file = Self {
            path: path.to_owned(),
            made: Identity::of(&metadata),
        };
        match metadata.mode() & 0o777 {
            PRIVATE => Ok(file),
            _ => Err(io_error(path, "making it private")(io::Error::from(
                io::ErrorKind::Unsupported,
            ))),
        }
    }

    fn hand_over_to(&self, owner: u32) -> Result<(), SocketError> {
        if owner == rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        lchown(&self.path, Some(owner), None)
            .map_err(io_error(&self.path, "giving it to the workload's uid"))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if Identity::of(&found) == self.made => remove(&self.path),
            Ok(_) => {
                tracing::info!(socket = %self.path.display(), "left alone: somebody else's file is there now");
            }
            Err(_) => {}
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(socket = %path.display(), %error, "could not be removed");
    }
}

fn check_length(path: &Path) -> Result<(), SocketError> {
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        return Err(SocketError::PathTooLong {
            path: path.to_owned(),
            length,
        });
    }
    Ok(())
}

/// The lock ends when the file is closed.
fn lock_folder(path: &Path) -> Result<File, SocketError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let opened = open_folder(folder).map_err(|source| SocketError::Folder {
        path: path.to_owned(),
        folder: folder.to_owned(),
        source,
    })?;
    lock(&opened).map_err(io_error(path, "locking its folder"))?;
    Ok(opened)
}

/// Takes the lock, or gives up after some 2 s: whoever may open the folder could hold it for ever.
fn lock(folder: &File) -> rustix::io::Result<()> {
    let mut attempts = 200;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if attempts > 0 => attempts -= 1,
            done => return done,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open_folder(folder: &Path) -> io::Result<File> {
    let opened = File::open(folder)?;
    if opened.metadata()?.is_dir() {
        Ok(opened)
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// Removes what a dead process left at `path`; anything else that is there is an error.
fn clear_the_way(path: &Path) -> Result<(), SocketError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(io_error(path, "looking at what is there"))?,
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
        });
    }
    match knock(path) {
        Err(Errno::CONNREFUSED) => {
            fs::remove_file(path).map_err(io_error(path, "removing what a dead process left"))
        }
        // A full backlog is a sign of life.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::AlreadyServed {
            path: path.to_owned(),
        }),
        Err(error) => Err(io_error(path, "finding out whether it is served")(error)),
    }
}

/// Connects and leaves at once. Without blocking: whoever has the socket may never accept.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

/// Binds and listens. The mode is set on the socket before it has a name: Linux creates the file with it, so there is
/// no moment at which others could connect, and the process-wide umask is left alone.
fn create(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(io_error(path, "socket(2)"))?;
    fchmod(&socket, Mode::from_raw_mode(PRIVATE)).map_err(io_error(path, "making it private"))?;
    let address =
        SocketAddrUnix::new(path).map_err(io_error(path, "using the path as an address"))?;
    bind(&socket, &address).map_err(io_error(path, "bind(2)"))?;
    let file = SocketFile::made_at(path)?;
    name_writers(&socket).map_err(io_error(path, "setting SO_PASSCRED"))?;
    listen(&socket, BACKLOG).map_err(io_error(path, "listen(2)"))?;
    Ok((socket.into(), file))
}

fn io_error<E: Into<io::Error>>(
    path: &Path,
    attempt: &'static str,
) -> impl FnOnce(E) -> SocketError {
    move |source| SocketError::Io {
        path: path.to_owned(),
        attempt,
        source: source.into(),
    }
}
