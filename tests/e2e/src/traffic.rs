//! Steady traffic that counts every failure.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::{task::JoinSet, time::sleep};

use crate::http::{Connection, Endpoint};

/// How many requests are under way at once, each on a connection of its own.
const WORKERS: usize = 4;
/// What a worker waits between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// How many failures are kept word for word.
const KEPT: usize = 5;

/// What became of the requests so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Answered 200.
    pub succeeded: u64,
    /// Everything else: another status, a broken connection, no answer in time.
    pub failed: u64,
    /// The first few failures in words.
    pub failures: Vec<String>,
}

impl Tally {
    /// Fails if any request did.
    ///
    /// # Errors
    /// With the first few failures.
    pub fn without_failure(&self) -> Result<()> {
        ensure!(
            self.failed == 0,
            "{} of {} requests failed: {}",
            self.failed,
            self.failed + self.succeeded,
            self.failures.join("; ")
        );
        ensure!(self.succeeded > 0, "no request was made at all");
        Ok(())
    }

    fn add(&mut self, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.succeeded += 1,
            Err(error) => {
                self.failed += 1;
                if self.failures.len() < KEPT {
                    self.failures.push(format!("{error:#}"));
                }
            }
        }
    }
}

/// Traffic under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    tally: Arc<Mutex<Tally>>,
    workers: JoinSet<()>,
}

impl Traffic {
    /// Starts asking for `path`.
    #[must_use]
    pub fn start(address: SocketAddr, path: &'static str) -> Self {
        Self::start_with(address, path, WORKERS, PAUSE)
    }

    /// The same, so many requests at once, with such a pause after each.
    #[must_use]
    pub fn start_with(
        address: SocketAddr,
        path: &'static str,
        at_once: usize,
        pause: Duration,
    ) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut workers = JoinSet::new();
        for _ in 0..at_once {
            workers.spawn(work(address, path, pause, Arc::clone(&tally)));
        }
        Self { tally, workers }
    }

    /// What became of it so far.
    #[must_use]
    pub fn so_far(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Ends it. What is under way is not counted: we cut it, the server did not.
    pub async fn stop(mut self) -> Tally {
        self.workers.shutdown().await;
        self.so_far()
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(address: SocketAddr, path: &'static str, pause: Duration, tally: Arc<Mutex<Tally>>) {
    let mut connection = None;
    loop {
        let outcome = once(&mut connection, address, path).await;
        if outcome.is_err() {
            connection = None;
        }
        lock(&tally).add(outcome);
        sleep(pause).await;
    }
}

async fn once(open: &mut Option<Connection>, address: SocketAddr, path: &str) -> Result<()> {
    let connection = match open {
        Some(connection) => connection,
        None => open.insert(Connection::open(&Endpoint::Tcp(address)).await?),
    };
    let answer = connection.get(path).await?;
    ensure!(
        answer.status == 200,
        "status {}: {}",
        answer.status,
        answer.body.trim()
    );
    Ok(())
}
