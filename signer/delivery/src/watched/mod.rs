//! `file-cert:CERT~KEY` and `file-root:PATH` on SDS: files that somebody else rotates, for those who may have them.
//!
//! A name is watched once it was asked for by a caller whose folders it is below, and as long as it is asked for. To everybody else it is a
//! name that does not exist.

mod entry;
mod register;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credence_agent::sds::{Elsewhere, Secret};
use credence_agent::{Clock, View};
use credence_files::watched::{Folders, Source};
use spiffe::SpiffeId;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

pub use entry::{FromFiles, WatchedState};

use entry::{Key, Looked, Rights};
use register::{Answer, Bound, Job, Register};

/// How often files are looked at.
const EACH: Duration = Duration::from_secs(1);

/// Whose callers may have what is below some folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody who is served at all.
    Everyone,
    /// Callers whose default identity is one of these.
    Only(BTreeSet<SpiffeId>),
}

/// Folders, and who may have what is below them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The folders.
    pub folders: Folders,
    /// Who may.
    pub who: Who,
}

/// Looks at files for all callers. Clones are the same.
#[derive(Clone)]
pub struct WatchedFiles(Arc<Shared>);

struct Shared {
    grants: Vec<Grant>,
    clock: Arc<dyn Clock>,
    register: Mutex<Register>,
    /// There is a name that nobody has looked at yet.
    fresh: Notify,
    changes: watch::Sender<()>,
}

impl Who {
    fn has(&self, id: &SpiffeId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(ids) => ids.contains(id),
        }
    }
}

impl WatchedFiles {
    /// Nothing is looked at before somebody asks, and before it is [run](Self::run).
    #[must_use]
    pub fn new(grants: Vec<Grant>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            grants,
            clock,
            register: Mutex::default(),
            fresh: Notify::new(),
            changes: watch::Sender::new(()),
        }))
    }

    /// What is watched, by name and who may have it.
    #[must_use]
    pub fn report(&self) -> Vec<WatchedState> {
        self.0.lock().report(self.0.clock.now())
    }

    /// Looks at the files, for ever. What blocks in the file system blocks a thread that is there for it, and the other sources of those
    /// who have the same folders.
    ///
    /// # Errors
    /// If a look ends by a panic, which is a fault in this crate.
    pub async fn run(self) -> Result<(), JoinError> {
        let mut looks = JoinSet::new();
        let mut ticks = interval(EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let jobs = tokio::select! {
                _ = ticks.tick() => self.0.round(),
                () = self.0.fresh.notified() => self.0.lock().fresh(),
                Some(looked) = looks.join_next() => self.0.take(looked?),
            };
            for job in jobs {
                let clock = Arc::clone(&self.0.clock);
                looks.spawn_blocking(move || job.look(&*clock));
            }
        }
    }
}

impl fmt::Debug for WatchedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchedFiles(..)")
    }
}

impl Elsewhere for WatchedFiles {
    fn secret(&self, view: &View, name: &str) -> Option<Arc<Secret>> {
        let source = Source::parse(name)?.ok()?;
        let (rights, folders) = self.0.rights(view.default_id());
        // neither looked at nor counted where the caller may not have it
        let mut paths = match &source {
            Source::Pair { certificate, key } => vec![certificate, key],
            Source::Roots(path) => vec![path],
        }
        .into_iter();
        if !paths.all(|path| folders.have(path)) {
            return None;
        }
        self.0
            .ask(Key { rights, source }, view.default_id(), folders)
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }
}

impl Shared {
    /// What an identity may have: two that may have the same share what is watched, and no others do.
    fn rights(&self, id: &SpiffeId) -> (Rights, Folders) {
        let mut rights = Rights::new();
        let mut folders = Folders::default();
        for (number, grant) in self.grants.iter().enumerate() {
            if grant.who.has(id) {
                rights.push(number);
                folders = folders.and(&grant.folders);
            }
        }
        (rights, folders)
    }

    fn ask(&self, key: Key, by: &SpiffeId, folders: Folders) -> Option<Arc<Secret>> {
        let now = self.clock.now();
        let name = key.source.name();
        let answer = self.lock().ask(key, by, folders, now);
        match answer {
            Answer::Known(secret) => return secret,
            Answer::New => {
                tracing::info!(identity = %by, name, "files are watched");
                self.fresh.notify_one();
            }
            Answer::Full(Some(bound)) => match bound {
                Bound::All => tracing::error!(
                    identity = %by,
                    name,
                    most = register::MOST,
                    "not watched: there are as many watched files as there may be",
                ),
                Bound::OfOne(_) => tracing::error!(
                    identity = %by,
                    name,
                    most = register::MOST_OF_ONE,
                    "not watched: this identity has asked for as many files as one may",
                ),
            },
            Answer::Full(None) => {}
        }
        None
    }

    fn round(&self) -> Vec<Job> {
        let round = self.lock().round(self.clock.now());
        for name in &round.ended {
            tracing::error!(
                name,
                "the certificate in files has ended, and there is no other"
            );
        }
        for name in &round.forgotten {
            tracing::info!(name, "files are no longer watched: nobody asks for them");
        }
        if round.changed {
            self.changes.send_replace(());
        }
        round.jobs
    }

    fn take(&self, looked: Looked) -> Vec<Job> {
        let (changed, jobs) = self.lock().take(looked, self.clock.now());
        if changed {
            self.changes.send_replace(());
        }
        jobs
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
