//! The demo as a person runs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    http::{self, Endpoint},
    process::{Fate, Process},
    tools, wait,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// The demo's programs run below the test's own folder, so that what is left behind is seen.
fn start(folder: &Path, arguments: &[&str]) -> Result<Process> {
    let credence = tools::fresh_credence()?;
    let mut all = vec![
        format!("CREDENCE={}", credence.display()),
        format!("TMPDIR={}", folder.display()),
        env!("CARGO_BIN_EXE_credence-demo").to_owned(),
    ];
    all.extend(arguments.iter().map(ToString::to_string));
    let log = folder.join("demo.log");
    Process::start(
        "demo",
        Path::new("/usr/bin/env"),
        all,
        &log,
        Fate::DiesWithUs,
    )
}

fn left_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|error: std::io::Error| error)?;
    paths.retain(|path| !path.ends_with("demo.log"));
    Ok(paths)
}

/// The processes whose command line names a path in the folder.
fn running_in(folder: &Path) -> Result<Vec<i32>> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(id) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        // One that has ended since cannot be read, and does not run.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&folder) {
            found.push(id);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn it_ends_well_and_leaves_nothing_behind() -> Result<()> {
    let folder = TempDir::new()?;
    let mut demo = start(folder.path(), &[])?;
    let status = demo.ended(Duration::from_secs(120)).await?;
    let output = demo.output()?;
    ensure!(status.success(), "{status}:\n{output}");
    assert_eq!(output.matches("PASS").count(), 7, "{output}");
    assert_eq!(output.matches("FAIL").count(), 0, "{output}");
    assert_eq!(left_in(folder.path())?, Vec::<PathBuf>::new());
    assert_eq!(running_in(folder.path())?, Vec::<i32>::new());
    Ok(())
}

#[tokio::test]
async fn interrupted_it_stops_what_it_started() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = TempDir::new()?;
        let mut demo = start(folder.path(), &[])?;
        demo.ready(Duration::from_secs(60), async |output| {
            output.contains("2.")
        })
        .await?;
        ensure!(running_in(folder.path())?.len() >= 4, "not all of it runs");
        demo.signal(signal)?;
        let status = demo.ended(Duration::from_secs(20)).await?;
        assert_eq!(status.code(), Some(1), "{}", demo.output()?);
        assert_eq!(left_in(folder.path())?, Vec::<PathBuf>::new());
        assert_eq!(running_in(folder.path())?, Vec::<i32>::new());
    }
    Ok(())
}

/// Killed, it can do nothing any more; the kernel does it.
#[tokio::test]
async fn killed_it_takes_what_it_started_along() -> Result<()> {
    let folder = TempDir::new()?;
    let mut demo = start(folder.path(), &[])?;
    demo.ready(Duration::from_secs(60), async |output| {
        output.contains("2.")
    })
    .await?;
    demo.kill()?;
    wait::until("their end", Duration::from_secs(10), async || {
        Ok(running_in(folder.path())?.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn kept_it_goes_on_and_says_how_to_stop_it() -> Result<()> {
    let folder = TempDir::new()?;
    let mut demo = start(folder.path(), &["--keep", "--leaf-life", "8s"])?;
    let status = demo.ended(Duration::from_secs(90)).await?;
    let output = demo.output()?;
    let kept = Kept(running_in(folder.path())?);
    ensure!(status.success(), "{status}:\n{output}");
    assert_eq!(kept.0.len(), 4, "{output}");
    for (comment, expected) in [("let in", 200), ("refused", 403)] {
        let address = line(&output, "curl -i http://", comment)?;
        let address = address.trim_start_matches("curl -i http://");
        let (address, _) = address.split_once('/').context("no path")?;
        let answer = http::get(&Endpoint::Tcp(address.parse()?), "/api/hello").await?;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
    shell(line(&output, "kill ", "rm -r")?).await?;
    wait::until("their end", Duration::from_secs(10), async || {
        Ok(running_in(folder.path())?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(left_in(folder.path())?, Vec::<PathBuf>::new());
    Ok(())
}

/// What a failed test must not leave running.
struct Kept(Vec<i32>);

impl Drop for Kept {
    fn drop(&mut self) {
        let ids = self.0.iter().filter_map(|id| Pid::from_raw(*id));
        for id in ids.filter(|id| test_kill_process(*id).is_ok()) {
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

/// The line of the demo's advice that begins and goes on like this.
fn line<'a>(output: &'a str, begin: &str, part: &str) -> Result<&'a str> {
    output
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(begin) && line.contains(part))
        .with_context(|| format!("no line '{begin}…{part}' in:\n{output}"))
}

async fn shell(line: &str) -> Result<()> {
    let output = tokio::process::Command::new("bash")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .await?;
    ensure!(output.status.success(), "{line}: {output:?}");
    Ok(())
}
