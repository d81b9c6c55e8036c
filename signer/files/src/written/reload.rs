//! Tells an application that its files are new: by a command or a signal.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A process number and a newline take eleven bytes.
const LONGEST_PID_FILE: u64 = 64;

/// What is done after new files are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Runs a program with arguments: no shell, no input, the output thrown away.
    Command {
        /// The program, an absolute path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Sends a signal to the process whose number is in a file.
    Signal {
        /// The file.
        pid_file: PathBuf,
        /// The signal.
        signal: Signal,
    },
}

/// A signal that asks for new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`
    Hup,
    /// `SIGUSR1`
    Usr1,
    /// `SIGUSR2`
    Usr2,
}

/// Why an application was not told, or did not take it. The files are there.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The program could not be run.
    #[error("{}: it cannot be run", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program failed.
    #[error("{}: it ended with {status}", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// The program did not end.
    #[error("{}: it did not end within {PATIENCE:?} and was killed", .0.display())]
    Slow(PathBuf),
    /// The file with the process number cannot be read.
    #[error("{}: the process number cannot be read", .pid_file.display())]
    PidFile {
        /// The file.
        pid_file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file with the process number could name any process.
    #[error("{}: others than root and this agent's user can write it, so that it could name any process", .0.display())]
    OpenPidFile(PathBuf),
    /// It has no process number.
    #[error("{}: it has no process number above 1", .0.display())]
    NoPid(PathBuf),
    /// The process is not there, or is not to be signalled.
    #[error("{}: process {pid} cannot be signalled", .pid_file.display())]
    Signal {
        /// The file.
        pid_file: PathBuf,
        /// The number in it.
        pid: i32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Signal {
    /// By its name, with or without `SIG`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix("SIG").unwrap_or(name) {
            "HUP" => Some(Self::Hup),
            "USR1" => Some(Self::Usr1),
            "USR2" => Some(Self::Usr2),
            _ => None,
        }
    }

    fn number(self) -> rustix::process::Signal {
        match self {
            Self::Hup => rustix::process::Signal::HUP,
            Self::Usr1 => rustix::process::Signal::USR1,
            Self::Usr2 => rustix::process::Signal::USR2,
        }
    }
}

impl Reload {
    /// Tells the application.
    ///
    /// # Errors
    /// [`ReloadError`]; whether to try again is the caller's choice.
    pub async fn tell(&self) -> Result<(), ReloadError> {
        match self {
            Self::Command { program, arguments } => run(program, arguments).await,
            Self::Signal { pid_file, signal } => send(pid_file, *signal),
        }
    }
}

async fn run(program: &Path, arguments: &[String]) -> Result<(), ReloadError> {
    let start = |source| ReloadError::Start {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let status = match timeout(PATIENCE, child.wait()).await {
        Ok(ended) => ended.map_err(start)?,
        Err(_) => {
            child.kill().await.map_err(start)?;
            return Err(ReloadError::Slow(program.to_owned()));
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(ReloadError::Failed {
        program: program.to_owned(),
        status,
    })
}

fn send(pid_file: &Path, signal: Signal) -> Result<(), ReloadError> {
    let pid = read_pid(pid_file)?;
    // held before it is signalled: the number is then nobody else's
    pidfd_open(pid, PidfdFlags::empty())
        .and_then(|process| pidfd_send_signal(process, signal.number()))
        .map_err(|errno| ReloadError::Signal {
            pid_file: pid_file.to_owned(),
            pid: pid.as_raw_nonzero().get(),
            source: errno.into(),
        })
}

fn read_pid(pid_file: &Path) -> Result<Pid, ReloadError> {
    let unreadable = |source| ReloadError::PidFile {
        pid_file: pid_file.to_owned(),
        source,
    };
    // without waiting: a pipe would keep whoever opens it
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(pid_file, flags, Mode::empty());
    let file = File::from(file.map_err(io::Error::from).map_err(unreadable)?);
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ReloadError::NoPid(pid_file.to_owned()));
    }
    let own = rustix::process::geteuid().as_raw();
    let trusted = metadata.uid() == 0 || metadata.uid() == own;
    if !trusted || metadata.mode() & 0o022 != 0 {
        return Err(ReloadError::OpenPidFile(pid_file.to_owned()));
    }
    let mut text = String::new();
    file.take(LONGEST_PID_FILE)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number > 1)
        .and_then(Pid::from_raw)
        .ok_or_else(|| ReloadError::NoPid(pid_file.to_owned()))
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
