//! The revocation lists of our issuers and the filter's deny list: made of what is revoked, each list through its guard, and published.
//!
//! What is in them follows from the ledger: revocations, and live leaves. All that is stored besides is the last number that was
//! given, since numbers have to grow; the file says as well that lists are out there. From then on there are always some, though they
//! be empty: who has a list refuses everybody once it has ended.

mod form;
mod signing;

pub use form::life;

use crate::{
    clock::Shared,
    revocations::{Content, Revocations},
};
use credence_ca::{
    custody::CustodyError, guard::Refusal, lifecycle::CertificateId, validity::Time,
};
use credence_daemon::ports::{Lists as Published, Revoked};
use credence_host::{
    authorities::Authorized,
    private_file::{self, FileError},
};
use form::{document, times};
use serde::{Deserialize, Serialize};
use signing::sign;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use thiserror::Error;
use tokio::sync::watch;

/// Why there are no new lists. Those before stay published.
#[derive(Debug, Error)]
pub enum ListsError {
    /// It is not known yet which certificates live.
    #[error("the ledger's live certificates have not been read yet")]
    NotRead,
    /// The clock went further ahead than lists may live.
    #[error(
        "the clock is in doubt: by it, lists would begin in the future for those whose clocks are right"
    )]
    Clock,
    /// The guard.
    #[error("the guard refuses the list of issuer {0}: {1}")]
    Guard(CertificateId, #[source] Refusal),
    /// The key.
    #[error("issuer {0} does not sign its list: {1}")]
    Key(CertificateId, #[source] CustodyError),
    /// The number is not on disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is on disk is no number.
    #[error("{}: {source}; remove it if lists need not go on from it", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The thread that made them.
    #[error("the lists' maker has ended")]
    Ended,
}

/// The longest deny list that the filter takes, in entries.
const MOST_DENIED: usize = 65_536;

/// `revocations.json`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// The last number that was given.
    number: u64,
}

/// What the lifecycle says: whose lists, and in which time.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Issuers whose leaves may live, or are to come, and that may sign lists.
    pub(crate) issuers: Vec<Arc<Authorized>>,
    /// The key identifier of every issuer that ever was: leaves may outlive their issuer's key.
    pub(crate) key_ids: BTreeMap<CertificateId, Vec<u8>>,
    /// Why there can be none: with lists, everybody of an issuer without is refused.
    pub(crate) without: Option<String>,
    /// A time that is over for everybody.
    pub(crate) past: Time,
    /// How long a list is good for.
    pub(crate) life: Duration,
}

#[derive(Debug)]
struct Inner {
    terms: Option<Terms>,
    /// The last number; none: no list is out there.
    number: Option<u64>,
    made: Option<Made>,
    /// Since when each issuer's list is published, in this run.
    since: BTreeMap<CertificateId, Duration>,
    trouble: Option<String>,
}

/// What was made last.
#[derive(Debug)]
struct Made {
    content: Content,
    issuers: Vec<CertificateId>,
    without: bool,
    deny_list: String,
    wall: Time,
    steady: Duration,
    life: Duration,
    figures: Figures,
}

/// Figures, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The lists' number; 0 while there are none.
    pub number: u64,
    /// Certificates that are listed.
    pub entries: usize,
    /// When the lists end, in seconds since 1970; 0 while there are none.
    pub next_update: u64,
}

/// Makes and publishes the lists.
pub struct Lists {
    revocations: Arc<Revocations>,
    clock: Shared,
    file: PathBuf,
    inner: Mutex<Inner>,
    published: watch::Sender<Arc<Revoked>>,
}

impl Lists {
    /// Goes on from the number in this file. Nothing is made yet.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(
        file: PathBuf,
        revocations: Arc<Revocations>,
        clock: Shared,
    ) -> Result<Self, ListsError> {
        let number = match private_file::read_public(&file) {
            Err(FileError::Missing(_)) => None,
            read => Some(parse(&file, &read?)?.number),
        };
        let lists = match number.is_some() || revocations.any() {
            true => Published::NotYet,
            false => Published::Without,
        };
        let nothing = Revoked {
            lists,
            deny_list: document(1, &Content::default(), &BTreeMap::new()),
        };
        Ok(Self {
            revocations,
            clock,
            file,
            inner: Mutex::new(Inner {
                terms: None,
                number,
                made: None,
                since: BTreeMap::new(),
                trouble: None,
            }),
            published: watch::channel(Arc::new(nothing)).0,
        })
    }

    /// What is published.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Revoked>> {
        self.published.subscribe()
    }

    /// Why the lists are not as they should be, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Figures of what was made last.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let made = self.lock();
        made.made
            .as_ref()
            .map_or_else(Figures::default, |made| made.figures)
    }

    /// For how long this issuer's list has been out there; none while lists are of no matter.
    pub(crate) fn known_for(&self, issuer: CertificateId) -> Option<Duration> {
        let inner = self.lock();
        inner.number?;
        if inner.terms.as_ref()?.without.is_some() {
            return None;
        }
        let now = self.clock.0.steady();
        let since = inner.since.get(&issuer).copied().unwrap_or(now);
        Some(now.saturating_sub(since))
    }

    /// Takes what the lifecycle says, and makes new lists where that, or the time, asks for them.
    pub(crate) fn follow(&self, terms: Terms) {
        let mut inner = self.lock();
        inner.terms = Some(terms);
        match self.make(&mut inner) {
            Ok(()) => {}
            Err(ListsError::NotRead) => {
                tracing::debug!("the revocation lists wait for live leaves");
            }
            Err(error) => {
                tracing::error!(%error, "the revocation lists could not be made; it is tried again");
            }
        }
    }

    /// Makes new lists, as something was revoked or reinstated. Blocks.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn renew(&self) -> Result<(), ListsError> {
        self.make(&mut self.lock())
    }

    fn make(&self, inner: &mut Inner) -> Result<(), ListsError> {
        let Some(terms) = inner.terms.clone() else {
            return Ok(());
        };
        let outcome = self.make_by(inner, &terms);
        inner.trouble = match &outcome {
            Err(error) => Some(format!("the revocation lists could not be made: {error}")),
            Ok(()) if inner.number.is_some() => lacking(inner, &terms),
            Ok(()) => None,
        };
        outcome
    }

    fn make_by(&self, inner: &mut Inner, terms: &Terms) -> Result<(), ListsError> {
        if inner.number.is_none() && !self.revocations.any() {
            return Ok(());
        }
        if !self.revocations.complete() {
            return Err(ListsError::NotRead);
        }
        let content = self.revocations.content();
        let (now, steady) = (self.clock.time(), self.clock.0.steady());
        if let Some(made) = &inner.made
            && made.still_good(&content, terms, now, steady)
        {
            return Ok(());
        }
        // that something has ended makes no new list, and is taken into the next one
        self.revocations.forget(terms.past);
        let content = self.revocations.content();
        let (this_update, next_update) =
            times(now, terms.past, terms.life, inner.made.is_none()).ok_or(ListsError::Clock)?;
        let number = self.number(inner, now)?;
        let lists = sign(terms, &content, number, (this_update, next_update))?;
        let deny_list = match &inner.made {
            Some(made) if made.content == content => made.deny_list.clone(),
            _ => document(number, &content, &terms.key_ids),
        };
        let issuers: Vec<_> = terms.issuers.iter().map(|issuer| issuer.id()).collect();
        inner.since.retain(|id, _| issuers.contains(id));
        for id in &issuers {
            inner.since.entry(*id).or_insert(steady);
        }
        let without = terms.without.is_some();
        let figures = Figures {
            number,
            entries: content.leaves.len(),
            next_update: if without { 0 } else { next_update.unix() },
        };
        tracing::info!(number, entries = figures.entries, issuers = issuers.len(), ends = %next_update, "revocation lists were made");
        inner.made = Some(Made {
            content,
            issuers,
            without,
            deny_list: deny_list.clone(),
            wall: now,
            steady,
            life: terms.life,
            figures,
        });
        self.published.send_replace(Arc::new(Revoked {
            lists: match without {
                true => Published::Without,
                false => Published::These(lists),
            },
            deny_list,
        }));
        Ok(())
    }

    /// On disk before it is used. Beyond the time, too, so that it grows where the file is lost or comes from a backup.
    fn number(&self, inner: &mut Inner, now: Time) -> Result<u64, ListsError> {
        let number = inner
            .number
            .map_or(0, |last| last.saturating_add(1))
            .max(now.unix());
        let text =
            serde_json::to_vec(&Stored { number }).map_err(|source| ListsError::Content {
                path: self.file.clone(),
                source,
            })?;
        private_file::replace(&self.file, &text)?;
        inner.number = Some(number);
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    /// The same content for the same issuers, half of its life not over by either clock, and not of a future.
    fn still_good(&self, content: &Content, terms: &Terms, now: Time, steady: Duration) -> bool {
        let half = self.life.min(terms.life) / 2;
        let young = steady.saturating_sub(self.steady) < half
            && now.since(self.wall) < half
            && now >= self.wall;
        let issuers = terms.issuers.iter().map(|issuer| issuer.id());
        young
            && self.without == terms.without.is_some()
            && issuers.eq(self.issuers.iter().copied())
            && self.content == *content
    }
}

/// What is not as it should be though all was made.
fn lacking(inner: &Inner, terms: &Terms) -> Option<String> {
    if let Some(why) = &terms.without {
        return Some(format!(
            "no revocation list is published, so that handshakes do not see what is revoked: {why}"
        ));
    }
    let content = &inner.made.as_ref()?.content;
    let entries = content.leaves.len() + content.identities.len();
    (entries > MOST_DENIED).then(|| {
        format!("the deny list may have {entries} entries; Envoy's filter takes no list of more than {MOST_DENIED}")
    })
}

fn parse(path: &std::path::Path, text: &[u8]) -> Result<Stored, ListsError> {
    serde_json::from_slice(text).map_err(|source| ListsError::Content {
        path: path.to_path_buf(),
        source,
    })
}
