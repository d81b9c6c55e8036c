//! `credence dev` by itself: how soon it is ready, and how much memory it takes then.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{figures::Figures, spread};
use crate::usage;

const STARTS: usize = 11;

const CONFIG: &str = r#"
trust_domain = "example.org"
state_dir = "state"
[[identities]]
id = "spiffe://example.org/frontend"
socket = "frontend.sock"
[[identities]]
id = "spiffe://example.org/backend"
socket = "backend.sock"
"#;

/// Starts it a few times; the first time it makes its CA.
pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let program = env::var_os("CREDENCE")
        .context("CREDENCE names no program; scripts/bench sets it to a release build")?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("dev.toml"), CONFIG)?;
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    let (first, _) = start(Path::new(&program), folder.path())?;
    for _ in 0..STARTS {
        let (ms, mb) = start(Path::new(&program), folder.path())?;
        ready.push(ms);
        resident.push(mb);
    }
    figures.add("daemon", "first_ready_ms", "ms", spread([first])?);
    figures.add("daemon", "ready_ms", "ms", spread(ready)?);
    figures.add("daemon", "resident_mb", "MB", spread(resident)?);
    Ok(())
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Milliseconds until it says that it is ready, and MB of memory a moment later.
fn start(program: &Path, folder: &Path) -> Result<(f64, f64)> {
    let before = Instant::now();
    let child = Command::new(program)
        .args(["dev", "--config", "dev.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut daemon = Daemon(child);
    let log = daemon.0.stderr.take().context("its log")?;
    let mut lines = BufReader::new(log).lines();
    let ready = lines.find_map(|line| match line {
        Ok(line) => line.contains("ready").then_some(before.elapsed()),
        Err(_) => None,
    });
    let Some(ready) = ready else {
        bail!("credence dev ended before it was ready");
    };
    // the first certificates are made meanwhile
    std::thread::sleep(Duration::from_millis(300));
    let resident = usage::resident_kib(daemon.0.id())? * 1024.0 / 1e6;
    Ok((ready.as_secs_f64() * 1e3, resident))
}
