//! `credence dev` by itself: how soon it is ready, and how much memory it takes then.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use credence_e2e::credence::Config;

use super::figures::Figures;
use crate::usage::{self, CpuTime};

/// It is idle once it has used no CPU time for so long.
const QUIET: Duration = Duration::from_millis(100);
/// How often to look whether it is, before that is an error.
const LOOKS: usize = 100;

/// Starts `program` as often as told, with a CA that is there already; and once before, to make it.
pub(super) fn measure(program: &Path, starts: usize, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("dev.toml"), config().to_toml())?;
    let first = start(program, folder.path())?;
    let again = (0..starts).map(|_| start(program, folder.path()));
    let again = again.collect::<Result<Vec<_>>>()?;
    let mut add = |metric, unit, figure: fn(&Start) -> f64| {
        figures.add("daemon", metric, unit, again.iter().map(figure))
    };
    add("ready_ms", "ms", |start| start.ready_ms)?;
    add("certified_ms", "ms", |start| start.certified_ms)?;
    add("resident_mb", "MB", |start| start.resident_mb)?;
    add("anonymous_mb", "MB", |start| start.anonymous_mb)?;
    figures.add("daemon", "first_ready_ms", "ms", [first.ready_ms])
}

fn config() -> Config {
    Config {
        trust_domain: "example.org".to_owned(),
        leaf_life: "1h".to_owned(),
        identities: ["frontend", "backend"].map(str::to_owned).to_vec(),
        sections: String::new(),
    }
}

/// What a start took.
struct Start {
    /// Until it said that it is ready: its sockets are there.
    ready_ms: f64,
    /// Until every identity had its certificate.
    certified_ms: f64,
    /// When it had become idle.
    resident_mb: f64,
    /// The part of it that no file backs.
    anonymous_mb: f64,
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, folder: &Path) -> Result<Start> {
    let before = Instant::now();
    let child = Command::new(program)
        .args(["dev", "--config", "dev.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let mut daemon = Daemon(child);
    let mut log = BufReader::new(daemon.0.stderr.take().context("its log")?);
    let ready = told(&mut log, " ready ", 1, before)?;
    let certified = told(&mut log, "certificate received", 2, before)?;
    let pid = daemon.0.id();
    until_idle(pid)?;
    Ok(Start {
        ready_ms: ready.as_secs_f64() * 1e3,
        certified_ms: certified.as_secs_f64() * 1e3,
        resident_mb: usage::resident_kib(pid)? * 1024.0 / 1e6,
        anonymous_mb: usage::anonymous_mib(pid)? * 1_048_576.0 / 1e6,
    })
}

/// When the log has said something so many times.
fn told(
    log: &mut BufReader<ChildStderr>,
    what: &str,
    times: usize,
    since: Instant,
) -> Result<Duration> {
    let mut all = String::new();
    for _ in 0..times {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            ensure!(
                log.read_line(&mut line)? > 0,
                "credence dev ended before it said '{what}':\n{all}"
            );
            all.push_str(&line);
        }
    }
    Ok(since.elapsed())
}

fn until_idle(pid: u32) -> Result<()> {
    let mut used = CpuTime::of(pid)?;
    for _ in 0..LOOKS {
        thread::sleep(QUIET);
        let now = CpuTime::of(pid)?;
        if now.exact == used.exact {
            return Ok(());
        }
        used = now;
    }
    bail!("credence dev is never idle for {QUIET:?}")
}
