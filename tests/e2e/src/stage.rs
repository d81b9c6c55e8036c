//! What a demo shows: step after step, each with its evidence and how long it took.

use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
};

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// What is shown, and how it went so far.
#[derive(Debug)]
pub struct Stage {
    colour: bool,
    number: u32,
    failed: u32,
    start: Instant,
    step: Option<Instant>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Nothing shown yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            number: 0,
            failed: 0,
            start: Instant::now(),
            step: None,
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A line of its own.
    pub fn say(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    /// A step begins.
    pub fn begin(&mut self, what: &str) {
        self.number += 1;
        self.step = Some(Instant::now());
        println!("\n{} {what}", self.paint("1", &format!("{}.", self.number)));
    }

    /// Something seen on the way.
    pub fn detail(&self, text: &str) {
        println!("   {}", self.paint("2", text));
    }

    /// A step has ended: its evidence, or what was wrong.
    pub fn end(&mut self, outcome: Result<String>) {
        match outcome {
            Ok(evidence) => {
                self.detail(&evidence);
                println!("   {} ({})", self.paint("32;1", "PASS"), self.took());
                self.step = None;
            }
            Err(error) => self.wrong(&error),
        }
    }

    /// It went wrong.
    pub fn wrong(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        println!("   {error:#}");
        println!("   {} ({})", self.paint("31;1", "FAIL"), self.took());
        self.step = None;
    }

    fn took(&self) -> String {
        let since = self.step.unwrap_or(self.start);
        format!("{:.1} s", since.elapsed().as_secs_f64())
    }

    /// Whether a step has failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed > 0
    }

    /// The last line, and what the program says to who started it.
    #[must_use]
    pub fn curtain(&self) -> ExitCode {
        let seconds = self.start.elapsed().as_secs();
        if self.failed == 0 {
            println!("\n{} in {seconds} s", self.paint("32;1", "All of it held,"));
            ExitCode::SUCCESS
        } else {
            let what = format!("{} of {} steps failed,", self.failed, self.number);
            println!("\n{} after {seconds} s", self.paint("31;1", &what));
            ExitCode::FAILURE
        }
    }
}

/// Ends with an error when this process is told to end.
///
/// # Errors
/// Always.
pub async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(anyhow::anyhow!("interrupted")).context("everything is being stopped")
}
