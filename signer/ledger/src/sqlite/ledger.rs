//! The handle to a ledger that is being written.

use super::{
    Durability, OpenError, ReadError, Reader, check,
    connect::{self, Setup},
    lock::Lock,
    store::Store,
    waiting::{Bound, Job, Order, Prepared},
    writer::Writer,
};
use crate::{
    chain::Origin,
    checkpoint::{CheckpointKey, CheckpointSigner, KeyError, Note},
    port::{Append, AppendError, Appending, Clock, Draft, Health, Receipt},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// How a ledger is kept. Everything has a bound.
#[derive(Debug, Clone)]
pub struct Options {
    /// When an entry counts as written.
    pub durability: Durability,
    /// How many appends may wait; with one more the answer is Busy.
    pub queue: usize,
    /// How many octets may wait in them.
    pub queue_bytes: usize,
    /// How many appends go into one transaction at most.
    pub batch: usize,
    /// A transaction begins no sooner than this after the one before, where several append at once:
    /// what comes meanwhile goes along with it. Who appends alone does not wait.
    pub gather: Duration,
    /// A checkpoint is signed after so many entries…
    pub checkpoint_every: u64,
    /// …or after this time, if there are any.
    pub checkpoint_after: Duration,
    /// How long to wait for another process's lock on the file.
    pub lock_wait: Duration,
    /// How long the file may become, in octets; none: until the disk is full.
    pub max_bytes: Option<u64>,
    /// What this process says of itself to another that wants to write the ledger: its process
    /// number and host, for example. One line.
    pub holder: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Durable,
            queue: 16_384,
            queue_bytes: 64 << 20,
            batch: 512,
            gather: Duration::from_millis(3),
            checkpoint_every: 4096,
            checkpoint_after: Duration::from_secs(60),
            lock_wait: Duration::from_millis(250),
            max_bytes: None,
            holder: format!("process {}", std::process::id()),
        }
    }
}

/// What makes a ledger one of this CA's.
pub struct Authority<'a> {
    /// The trust domain.
    pub trust_domain: &'a str,
    /// 16 octets of a cryptographic random number generator, for a ledger that is new.
    pub random: [u8; 16],
    /// Signs checkpoints from now on.
    pub signer: Box<dyn CheckpointSigner>,
    /// Public keys that signed before, 32 octets each.
    pub former_keys: &'a [[u8; 32]],
    /// What time it is.
    pub clock: Box<dyn Clock>,
}

/// How the ledger was left by who had it before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// There was none.
    New,
    /// It was closed.
    Closed,
    /// Its daemon ended without a word; this is what it said of itself.
    Left(String),
}

/// What the writer has done, since it was opened.
#[derive(Debug, Default)]
pub struct Stats {
    begun: AtomicU64,
    entries: AtomicU64,
    batches: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
}

impl Stats {
    /// Transactions that were begun, whatever became of them.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Entries that were written.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Transactions that they were written in.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Entries that were not written.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Appends that were turned away, since the queue was full.
    #[must_use]
    pub fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn batch(&self, entries: usize, done: bool) {
        let entries = u64::try_from(entries).unwrap_or(u64::MAX);
        if done {
            self.entries.fetch_add(entries, Ordering::Relaxed);
            self.batches.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failed.fetch_add(entries, Ordering::Relaxed);
        }
    }
}

/// A ledger that is being written. Dropping it closes it, once what waits is written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    key: CheckpointKey,
    previous: Previous,
    orders: Option<SyncSender<Order>>,
    bound: Bound,
    health: watch::Receiver<Health>,
    stats: Arc<Stats>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Opens a ledger, or begins one if the file is missing or empty. The entries since the last
    /// checkpoint are verified.
    ///
    /// # Errors
    /// If another process writes it, it is not a ledger of this trust domain, its end does not
    /// verify, or the file cannot be opened.
    pub fn open(
        path: &Path,
        options: &Options,
        authority: Authority<'_>,
    ) -> Result<Self, OpenError> {
        let lock = Lock::take(path, &options.holder)?;
        connect::make_file(path)?;
        let setup = Setup::from(options);
        let mut key = None;
        let verify = |origin: &Origin| {
            let own = CheckpointKey::new(origin.clone(), &authority.signer.public_key())?;
            check::tail(path, &keys(origin, &own, authority.former_keys)?)?;
            key = Some(own);
            Ok(())
        };
        let owner = (authority.trust_domain, authority.random);
        let (store, meta) = Store::open(path, &setup, owner, &options.holder, verify)?;
        let key = key.ok_or(KeyError::Key)?;
        let previous = match meta {
            _ if store.known.epoch == 1 => Previous::New,
            meta if meta.closed => Previous::Closed,
            meta => Previous::Left(meta.holder),
        };
        let (told, health) = watch::channel(Health::Writing);
        let (orders, receiver) = sync_channel(options.queue);
        let stats = Arc::<Stats>::default();
        let writer = Writer {
            path: path.to_path_buf(),
            setup,
            orders: receiver,
            signer: authority.signer,
            clock: authority.clock,
            health: told,
            stats: Arc::clone(&stats),
            batch: options.batch.max(1),
            gather: options.gather,
            checkpoint_every: options.checkpoint_every.max(1),
            checkpoint_after: options.checkpoint_after,
            lock,
        };
        Ok(Self {
            path: path.to_path_buf(),
            key,
            previous,
            orders: Some(orders),
            bound: Bound::new(options.queue_bytes),
            health,
            stats,
            thread: Some(start(writer, store)?),
        })
    }

    /// Which ledger it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.key.origin()
    }

    /// The key that signs its checkpoints. Keep it somewhere else, too: who verifies has to know
    /// it from there.
    #[must_use]
    pub fn key(&self) -> &CheckpointKey {
        &self.key
    }

    /// How it was left by who had it before.
    #[must_use]
    pub fn previous(&self) -> &Previous {
        &self.previous
    }

    /// What the writer has done.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How it is, from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reader, with a connection of its own.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        Reader::open(&self.path)
    }

    /// Appends entries, all or none, and waits on this thread until they are on disk.
    ///
    /// # Errors
    /// If they are not written.
    pub fn append_blocking(&self, drafts: Vec<Draft>) -> Result<Receipt, AppendError> {
        wait(self.send_drafts(drafts)?)
    }

    /// Signs a checkpoint now, if entries came after the last, and waits on this thread.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn checkpoint_blocking(&self) -> Result<Option<Note>, AppendError> {
        let (answer, done) = oneshot::channel();
        self.send(Order::Checkpoint(answer))?;
        wait(done)
    }

    pub(super) fn send_drafts(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<oneshot::Receiver<Result<Receipt, AppendError>>, AppendError> {
        let entries: Result<_, _> = drafts.into_iter().map(Prepared::new).collect();
        let (answer, done) = oneshot::channel();
        let job = Job::new(entries?, answer, &self.bound).inspect_err(|_| self.was_busy())?;
        self.send(Order::Append(job))?;
        Ok(done)
    }

    pub(super) fn send(&self, order: Order) -> Result<(), AppendError> {
        let orders = self.orders.as_ref().ok_or(AppendError::Closed)?;
        orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.was_busy();
                AppendError::Busy
            }
            TrySendError::Disconnected(_) => AppendError::Closed,
        })
    }

    fn was_busy(&self) {
        self.stats.busy.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer, on this thread. Without one, the writer is gone.
pub(super) fn wait<T>(done: oneshot::Receiver<Result<T, AppendError>>) -> Result<T, AppendError> {
    done.blocking_recv().map_err(|_| AppendError::Closed)?
}

impl Append for Ledger {
    fn append(&self, drafts: Vec<Draft>) -> Appending<'_> {
        let sent = self.send_drafts(drafts);
        Box::pin(async move { sent?.await.map_err(|_| AppendError::Closed)? })
    }

    fn health(&self) -> Health {
        // The writer ended without a word.
        if self.health.has_changed().is_err() {
            return Health::Closed;
        }
        self.health.borrow().clone()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl From<&Options> for Setup {
    fn from(options: &Options) -> Self {
        Self {
            durability: options.durability,
            lock_wait: options.lock_wait,
            max_bytes: options.max_bytes,
        }
    }
}

fn start(writer: Writer, store: Store) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name("ledger".into())
        .spawn(move || writer.run(store))
        .map_err(OpenError::Thread)
}

fn keys(
    origin: &Origin,
    key: &CheckpointKey,
    former: &[[u8; 32]],
) -> Result<Vec<CheckpointKey>, OpenError> {
    let mut keys = vec![key.clone()];
    for public in former {
        keys.push(CheckpointKey::new(origin.clone(), public)?);
    }
    Ok(keys)
}
