//! The process at the other end of a Unix socket, where and what it runs: the only place that looks at `/proc`.

use super::{
    cgroup::{CgroupError, LONGEST as LONGEST_CGROUPS},
    digests::Digests,
    place::Place,
};
use crate::error::Refusal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::PathBuf,
    sync::Arc,
};
use tokio::net::UnixStream;

/// The number that the kernel gives to the host's cgroup namespace (`PROC_CGROUP_INIT_INO`).
const HOSTS_CGROUPS: u64 = 0xEFFF_FFFB;
const GONE: Refusal = Refusal::Process("it is gone");
const UNSEEN: Refusal = Refusal::Process("it is in another PID namespace, or not to be held");
const ANOTHER: Refusal = Refusal::Process("it runs something else than when it connected");

/// What the kernel says of the other end.
#[derive(Debug, Clone)]
pub struct PeerCredentials {
    /// Its user when it connected.
    pub uid: u32,
    /// Its primary group when it connected.
    pub gid: u32,
    /// The process, where it can be held on to.
    pub process: Option<Process>,
}

/// A process that cannot be taken for a later one with the same number.
#[derive(Debug, Clone)]
pub struct Process {
    id: Pid,
    handle: Arc<OwnedFd>,
    /// What it ran when it was held; none if that was not to be seen.
    ran: Option<FileNumber>,
}

/// Tells a file from all others that there are at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileNumber {
    device: u64,
    inode: u64,
}

/// The file that a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// What it is called in the process's own mount namespace: a container calls its files as it likes.
    pub path: PathBuf,
    /// SHA-256 of it, where that was asked for.
    pub sha256: Option<[u8; 32]>,
}

impl PeerCredentials {
    /// Of a connected Unix socket. To be called as soon as it is accepted: a process that has ended before, and
    /// whose number was given to another, is not told apart.
    ///
    /// # Errors
    /// If the system does not know who is at the other end.
    pub fn of(socket: &UnixStream) -> io::Result<Self> {
        let credentials = socket.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            process: credentials.pid().and_then(Process::hold),
        })
    }

    /// That the process which connected is still there, and still runs what it ran then. Whoever gave its connection to
    /// another and ended, or became another program, is nobody any more.
    ///
    /// # Errors
    /// If it has ended, runs another file, or could not be held on to in the first place.
    pub fn check(&self) -> Result<(), Refusal> {
        self.process.as_ref().ok_or(UNSEEN)?.check()
    }

    /// Where it runs now.
    pub(super) fn place(&self) -> Result<Place, Refusal> {
        self.process.as_ref().ok_or(UNSEEN)?.place()
    }

    /// That it runs there now, too: what was found out meanwhile is of one process in one place.
    pub(super) fn is_still_at(&self, place: &Place) -> Result<(), Refusal> {
        match self.place()? == *place {
            true => Ok(()),
            false => Err(CgroupError::Moved.into()),
        }
    }

    /// What it runs now, with its hash where these are given.
    pub(super) fn executable(&self, digests: Option<&Digests>) -> Result<Executable, Refusal> {
        self.process.as_ref().ok_or(UNSEEN)?.executable(digests)
    }

    /// What it runs now is called, where that can be read.
    pub(super) fn path(&self) -> Option<PathBuf> {
        fs::read_link(self.process.as_ref()?.link()).ok()
    }
}

impl Process {
    /// The kernel says 0 of a process in a PID namespace that is not seen from here.
    fn hold(number: i32) -> Option<Self> {
        let id = Some(number)
            .filter(|number| *number > 0)
            .and_then(Pid::from_raw)?;
        let handle = pidfd_open(id, PidfdFlags::empty()).ok()?;
        let mut process = Self {
            id,
            handle: Arc::new(handle),
            ran: None,
        };
        process.ran = process.runs();
        Some(process)
    }

    fn link(&self) -> String {
        format!("/proc/{}/exe", self.id())
    }

    /// The file that it runs now. One that was removed or replaced meanwhile is still the same.
    fn runs(&self) -> Option<FileNumber> {
        let file = fs::metadata(self.link()).ok()?;
        Some(FileNumber {
            device: file.dev(),
            inode: file.ino(),
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        let runs = self.runs();
        match self.is_alive() {
            false => Err(GONE),
            true if runs == self.ran => Ok(()),
            true => Err(ANOTHER),
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Whether it still runs. A handle on a process becomes readable when it ends.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut handles = [PollFd::new(&*self.handle, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut handles, Some(&at_once)).is_ok_and(|ended| ended == 0)
    }

    /// The kernel writes all hierarchies at one moment, as seen from this process's cgroup namespace. Read where it is asked for and
    /// not on a thread apart: it takes microseconds.
    fn place(&self) -> Result<Place, Refusal> {
        const CANNOT: Refusal = Refusal::Process("its control groups cannot be read");
        let own = fs::metadata("/proc/self/ns/cgroup").map_err(|_| CANNOT)?;
        if own.ino() != HOSTS_CGROUPS {
            return Err(CgroupError::Namespace.into());
        }
        let mut octets = Vec::new();
        let file = File::open(format!("/proc/{}/cgroup", self.id())).map_err(|_| CANNOT)?;
        let read = file
            .take(LONGEST_CGROUPS as u64 + 1)
            .read_to_end(&mut octets);
        read.map_err(|_| CANNOT)?;
        // the number was this process's all along
        match self.is_alive() {
            true => Ok(Place::parse(&octets)?),
            false => Err(GONE),
        }
    }

    fn executable(&self, digests: Option<&Digests>) -> Result<Executable, Refusal> {
        let link = self.link();
        let cannot = |_| Refusal::Process("what it runs cannot be read");
        // opened first: the file is held while its name and content are looked at
        let file = File::open(&link).map_err(cannot)?;
        let executable = Executable {
            path: fs::read_link(&link).map_err(cannot)?,
            sha256: digests.map(|digests| digests.of(&file)).transpose()?,
        };
        // the number was this process's all along
        if self.is_alive() {
            Ok(executable)
        } else {
            Err(GONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Unit;
    use std::process::{Command, Stdio};

    /// The number of a process that has ended now is another's, here ours.
    #[test]
    fn a_number_that_was_given_to_another_is_seen() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let ended = Process::hold(child.id().try_into().unwrap()).unwrap();
        assert!(ended.executable(None).is_ok());
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        let own = Process::hold(std::process::id().try_into().unwrap()).unwrap();
        let reused = Process {
            id: own.id,
            handle: ended.handle,
            ran: own.ran,
        };
        assert_eq!(reused.executable(None), Err(GONE));
        assert_eq!(reused.check(), Err(GONE));
        assert_eq!(own.check(), Ok(()));
    }

    /// As anywhere else where processes' places are asked for, the test has to run in the host's cgroup namespace.
    #[test]
    fn a_process_that_was_moved_meanwhile_is_seen() {
        let peer = PeerCredentials {
            uid: 0,
            gid: 0,
            process: Process::hold(std::process::id().try_into().unwrap()),
        };
        let place = peer.place().unwrap();
        assert_eq!(peer.is_still_at(&place), Ok(()));
        let other = Place {
            unit: Some(Unit::new("another.service").unwrap()),
            ..place
        };
        assert_eq!(peer.is_still_at(&other), Err(CgroupError::Moved.into()));
    }

    #[test]
    fn a_number_that_is_no_process_is_none() {
        for number in [0, -1, i32::MIN, i32::MAX] {
            assert!(Process::hold(number).is_none(), "{number}");
        }
        let own = i32::try_from(std::process::id()).unwrap();
        let process = Process::hold(own).unwrap();
        assert!(process.is_alive());
        assert_eq!(process.id(), own);
    }
}
