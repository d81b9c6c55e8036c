//! Follows the source of one trust domain's bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credence_agent::{Bundle, Clock, Shelf};
use credence_attest::Roots;
use sha2::{Digest as _, Sha256};
use spiffe::TrustDomain;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::https::fetch;
use super::roots::{self, FileError};
use super::schedule::{Failed, Schedule};
use super::state::{HeldBundle, Slot};
use super::{Endpoint, Place};
use crate::document::Document;
use crate::trouble::{Trouble, words};

/// How often a file is looked at.
const EACH: Duration = Duration::from_secs(1);
/// However long a wait is, the wall clock is looked at again: a machine that slept asks when it wakes.
const GLANCE: Duration = Duration::from_secs(60);

/// Follows one source.
#[derive(Debug)]
pub(super) struct Follower {
    place: Place,
    keeping: Keeping,
    schedule: Schedule,
}

/// What is held of a trust domain, and where it is put.
struct Keeping {
    trust_domain: TrustDomain,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    slot: Slot,
    held: Option<Document>,
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeping({}, ..)", self.trust_domain)
    }
}

type Print = [u8; 32];

fn print(octets: &[u8]) -> Print {
    Sha256::digest(octets).into()
}

/// Off the runtime.
async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let path = path.to_owned();
    blocking(move || roots::read(&path)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, String> {
    let done = spawn_blocking(work).await.map_err(|error| words(&error))?;
    done.map_err(|error| words(&error))
}

impl Follower {
    pub(super) fn new(
        trust_domain: TrustDomain,
        place: Place,
        seed: u64,
        (shelf, clock): (Shelf, Arc<dyn Clock>),
        slot: Slot,
    ) -> Self {
        Self {
            schedule: Schedule::new(seed, trust_domain.as_str()),
            place,
            keeping: Keeping {
                trust_domain,
                shelf,
                clock,
                slot,
                held: None,
            },
        }
    }

    /// For ever.
    pub(super) async fn run(self) {
        let (keeping, schedule) = (self.keeping, self.schedule);
        match self.place {
            Place::File(path) => keeping.watch(&path).await,
            Place::Web(endpoint, roots) => keeping.ask_by_name(&endpoint, &roots, schedule).await,
            Place::Spiffe(endpoint, first) => keeping.ask_by_id(&endpoint, first, schedule).await,
        }
    }
}

impl Keeping {
    /// What two looks in a row found the same is taken.
    async fn watch(mut self, path: &Path) {
        let mut last: Option<Print> = None;
        let mut taken: Option<Print> = None;
        loop {
            match read(path).await {
                Ok(octets) => {
                    let now = print(&octets);
                    if taken == Some(now) {
                        self.confirm();
                    } else if last == Some(now) {
                        match self.take_file(&octets) {
                            Ok(()) => taken = Some(now),
                            Err(reason) => self.tell(&reason),
                        }
                    }
                    last = Some(now);
                }
                Err(reason) => {
                    last = None;
                    self.tell(&reason);
                }
            }
            self.wait(EACH).await;
        }
    }

    async fn ask_by_name(mut self, endpoint: &Endpoint, web: &Roots, mut schedule: Schedule) {
        loop {
            let roots = web.clone();
            let roots = blocking(move || roots::of_the_web(&roots)).await;
            let answer = self.ask(endpoint, roots).await;
            self.wait(schedule.after(answer)).await;
        }
    }

    async fn ask_by_id(mut self, endpoint: &Endpoint, first: PathBuf, mut schedule: Schedule) {
        let mut first = First {
            path: first,
            print: None,
            answered: None,
        };
        loop {
            let roots = first.roots(&mut self).await;
            let answer = self.ask(endpoint, roots).await;
            if answer.is_ok() {
                first.answered();
            }
            self.wait(schedule.after(answer)).await;
        }
    }

    /// Asks once and takes the answer; gives its hint. What was wrong is told.
    async fn ask(
        &mut self,
        Endpoint { uri, server }: &Endpoint,
        roots: Result<Vec<Vec<u8>>, String>,
    ) -> Result<Option<Duration>, Failed> {
        let answer = match roots {
            Ok(roots) => fetch(uri, server, roots, &self.clock)
                .await
                .map_err(|error| words(&error)),
            Err(reason) => Err(reason),
        };
        let taken = answer.and_then(|document| {
            let hint = document.refresh_hint;
            self.take(document).map(|()| hint)
        });
        taken.map_err(|reason| {
            self.tell(&reason);
            Failed
        })
    }

    async fn wait(&self, wait: Duration) {
        let due = self.clock.now() + wait;
        self.slot.change(|state| state.next = Some(due));
        let mut left = wait;
        while !left.is_zero() && self.clock.now() < due {
            let part = left.min(GLANCE);
            sleep(part).await;
            left -= part;
        }
        self.slot.change(|state| state.next = None);
    }

    fn roots(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.held.as_ref()?.roots.clone())
    }

    fn take_file(&mut self, octets: &[u8]) -> Result<(), String> {
        let document = Document::parse_file(octets).map_err(|error| words(&error))?;
        self.take(document)
    }

    /// What the source says now.
    fn take(&mut self, document: Document) -> Result<(), String> {
        self.put(document)?;
        self.confirm();
        Ok(())
    }

    /// Puts it on the shelf, unless it is older than what is there.
    fn put(&mut self, document: Document) -> Result<(), String> {
        let bundle = Bundle {
            roots: document.roots.clone(),
            lists: Vec::new(),
            sequence: document.sequence,
            refresh_hint: document.refresh_hint,
        };
        if !self.shelf.put_bundle(&self.trust_domain, bundle) {
            let number = |number: Option<u64>| number.map_or("none".to_owned(), |n| n.to_string());
            let held = self.held.as_ref().and_then(|held| held.sequence);
            return Err(format!(
                "its number is {}, and one with {} is held: it does not go back",
                number(document.sequence),
                number(held),
            ));
        }
        if self.held.as_ref() == Some(&document) {
            return Ok(());
        }
        tracing::info!(
            trust_domain = %self.trust_domain,
            sequence = document.sequence,
            roots = document.roots.len(),
            "bundle of another trust domain taken",
        );
        let now = self.clock.now();
        let held = HeldBundle {
            sequence: document.sequence,
            roots: document.roots.len(),
            since: now,
            confirmed: now,
        };
        self.slot.change(|state| state.held = Some(held));
        self.held = Some(document);
        Ok(())
    }

    /// The source says what it said before.
    fn confirm(&self) {
        let now = self.clock.now();
        let recovered = self.slot.change(|state| {
            if let Some(held) = &mut state.held {
                held.confirmed = now;
            }
            state.trouble.take()
        });
        if recovered.is_some() {
            tracing::info!(trust_domain = %self.trust_domain, "the bundle's source is good again");
        }
    }

    /// What is held goes on.
    fn tell(&self, reason: &str) {
        let now = self.clock.now();
        let (fresh, state) = self.slot.change(|state| {
            let fresh = Trouble::note(&mut state.trouble, reason, now);
            (fresh, state.clone())
        });
        if fresh {
            let confirmed = state.held.map(|held| held.confirmed);
            tracing::error!(
                trust_domain = %self.trust_domain,
                source = state.source,
                reason,
                last_good = confirmed.map_or("none".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string()),
                "no bundle of another trust domain; what is held goes on",
            );
        }
    }
}

/// The first bundle of a trust domain whose own certificates its endpoint shows.
struct First {
    path: PathBuf,
    /// What it was when it was read last.
    print: Option<Print>,
    /// The same when the first answer took its place: that one never counts again. Another one is the operator's newer word, as after a
    /// trust domain lost all its roots at once.
    answered: Option<Print>,
}

impl First {
    /// What the server's chain has to lead to. Until there is an answer the first bundle is served, too.
    async fn roots(&mut self, keeping: &mut Keeping) -> Result<Vec<Vec<u8>>, String> {
        let file = read(&self.path).await;
        self.print = file
            .as_ref()
            .ok()
            .map(|octets| print(octets))
            .or(self.print);
        let document =
            file.and_then(|octets| Document::parse_file(&octets).map_err(|error| words(&error)));
        match (self.answered, document) {
            (None, Ok(first)) => {
                let roots = first.roots.clone();
                keeping.put(first).map(|()| roots)
            }
            (None, Err(reason)) => keeping.roots().ok_or(reason),
            (Some(answered), Ok(newer)) if self.print != Some(answered) => {
                Ok([keeping.roots().unwrap_or_default(), newer.roots].concat())
            }
            (Some(_), _) => Ok(keeping.roots().unwrap_or_default()),
        }
    }

    /// The endpoint has given a bundle.
    fn answered(&mut self) {
        self.answered = self.answered.or(self.print);
    }
}
