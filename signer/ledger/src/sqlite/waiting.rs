//! What waits to be written.

use crate::{
    checkpoint::Note,
    entry::LONGEST,
    octets::Digest,
    port::{AppendError, Draft, Receipt},
    projection::Projection,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::oneshot;

/// An entry, ready to be written: made where it comes from, so that the writer has less to do.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) body: Vec<u8>,
    pub(super) projection: Projection,
    pub(super) objects: Vec<(Digest, Arc<[u8]>)>,
}

impl Prepared {
    pub(super) fn new(draft: Draft) -> Result<Self, AppendError> {
        let body = draft.entry.encode();
        if body.len() > LONGEST {
            return Err(AppendError::TooLong(body.len()));
        }
        Ok(Self {
            projection: Projection::of(&draft.entry),
            objects: draft.objects,
            body,
        })
    }

    fn octets(&self) -> usize {
        let objects = self.objects.iter().map(|(_, octets)| octets.len());
        objects.fold(self.body.len(), usize::saturating_add)
    }
}

/// How to tell that it is done.
pub(super) type Answer<T> = oneshot::Sender<Result<T, AppendError>>;

/// Entries that are to be written together.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entries: Vec<Prepared>,
    pub(super) answer: Answer<Receipt>,
    /// Gives the memory back to the bound when the job is done.
    _weight: Weight,
}

impl Job {
    pub(super) fn new(
        entries: Vec<Prepared>,
        answer: Answer<Receipt>,
        bound: &Bound,
    ) -> Result<Self, AppendError> {
        let octets = entries
            .iter()
            .map(Prepared::octets)
            .fold(0, usize::saturating_add);
        Ok(Self {
            entries,
            answer,
            _weight: bound.take(octets)?,
        })
    }
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// To write.
    Append(Job),
    /// To sign a checkpoint now, if entries came after the last.
    Checkpoint(Answer<Option<Note>>),
    /// To take a new base, after an archive was written.
    Rebase(Box<Rebase>, Answer<Receipt>),
}

/// A new base.
#[derive(Debug)]
pub(super) struct Rebase {
    /// The entry that says so.
    pub(super) entry: Prepared,
    /// The checkpoint.
    pub(super) note: Note,
    /// The base that the archive began with: nobody archived in between.
    pub(super) from: u64,
    /// The entries before it that still count.
    pub(super) carried: Vec<u64>,
}

/// How many octets may wait.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    waiting: Arc<AtomicUsize>,
    longest: usize,
}

#[derive(Debug)]
struct Weight {
    waiting: Arc<AtomicUsize>,
    octets: usize,
}

impl Bound {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            waiting: Arc::default(),
            longest,
        }
    }

    /// What is alone may be longer: a module is.
    fn take(&self, octets: usize) -> Result<Weight, AppendError> {
        let before = self.waiting.fetch_add(octets, Ordering::Relaxed);
        let weight = Weight {
            waiting: Arc::clone(&self.waiting),
            octets,
        };
        if before > 0 && before.saturating_add(octets) > self.longest {
            return Err(AppendError::Busy);
        }
        Ok(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.octets, Ordering::Relaxed);
    }
}
