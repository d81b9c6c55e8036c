//! Child processes that do not outlive us.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a log a failure shows.
const TAIL_LINES: usize = 20;

/// What happens to a process when we end without having stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The kernel kills it, whatever ended us (`setpriv --pdeathsig`; calling `prctl` between
    /// fork and exec ourselves would take unsafe code). It is tied to the *thread* that started
    /// it, so start processes from a thread that lives as long as they shall.
    DiesWithUs,
    /// It may be left running, see [`Process::leave_running`].
    MayStay,
}

/// A running process, its output in a file. Dropping it stops it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    left: bool,
}

impl Process {
    /// Starts `program`, with both its outputs in the file `log`.
    ///
    /// # Errors
    /// If the log cannot be made or the program not be started.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
        fate: Fate,
    ) -> Result<Self> {
        let output =
            File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = match fate {
            Fate::DiesWithUs => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args(["--pdeathsig", "SIGKILL", "--"]).arg(program);
                setpriv
            }
            Fate::MayStay => Command::new(program),
        };
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} ({}) cannot be started", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            left: false,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("{}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Fails if the process has ended, with its status and the end of its log.
    ///
    /// # Errors
    /// See above.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended ({status})"))),
        }
    }

    /// Waits until `ready` says so, failing early if the process ends.
    ///
    /// # Errors
    /// If it ends, or is not ready in time; either shows the end of its log.
    pub async fn ready(
        &mut self,
        limit: Duration,
        mut ready: impl AsyncFnMut(&str) -> bool,
    ) -> Result<()> {
        let waited = wait::until("ready", limit, async || {
            self.still_runs()?;
            let output = self.output()?;
            Ok(ready(&output).await.then_some(()))
        })
        .await;
        waited.map_err(|error| {
            if error.to_string().starts_with("ready:") {
                self.failure(&format!("was not {error}"))
            } else {
                error
            }
        })
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let output = self.output().unwrap_or_default();
        let skipped = output.lines().count().saturating_sub(TAIL_LINES);
        let tail: Vec<&str> = output.lines().skip(skipped).collect();
        anyhow!(
            "{} {what}; the end of {}:\n  {}",
            self.name,
            self.log.display(),
            tail.join("\n  ")
        )
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(pid).context("process id 0")?;
        kill_process(pid, signal).with_context(|| format!("signal to {}", self.name))
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If it takes longer than five seconds; it is killed then.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(GRACE).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it has not by then.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.name);
        wait::until(&what, limit, async || Ok(self.child.try_wait()?)).await
    }

    /// Kills it without warning, as a crash would.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it run on after we have ended.
    ///
    /// # Errors
    /// If it no longer runs.
    pub fn leave_running(&mut self) -> Result<()> {
        self.still_runs()?;
        self.left = true;
        Ok(())
    }

    fn stop_now(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // An error here means that it is gone already, which is what we want.
        let _ = self.signal(Signal::TERM);
        let steps = GRACE.as_millis() / 10;
        for _ in 0..steps {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if let Err(error) = self.stop_now() {
            eprintln!(
                "{} ({}) could not be stopped: {error}",
                self.name,
                self.id()
            );
        }
    }
}

/// Runs a tool to its end and gives its output, both streams together.
///
/// # Errors
/// If it cannot be started, or fails: then with its output.
pub async fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if !output.status.success() {
        bail!(
            "{} {} failed ({}):\n{text}",
            program.display(),
            arguments.join(" "),
            output.status
        );
    }
    Ok(text)
}
