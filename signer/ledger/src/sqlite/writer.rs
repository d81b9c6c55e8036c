//! The thread that writes.

use super::{
    connect::Setup,
    error::trouble,
    ledger::Stats,
    lock::Lock,
    store::{Known, Stamp, Store, StoreError},
    waiting::{Answer, Job, Order, Rebase},
};
use crate::{
    checkpoint::{CheckpointSigner, Note},
    port::{AppendError, Cause, Clock, Health, Receipt, Trouble},
};
use credence_ca::validity::Time;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};
use tokio::sync::watch;

/// The first wait before it is tried again; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// When there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// Whether it can be written.
enum State {
    Writing(Box<Store>),
    Failing(Failing),
    Fenced(String),
}

struct Failing {
    known: Known,
    trouble: Arc<Trouble>,
    since: Time,
    wait: Duration,
    /// When to try again, by the clock's `elapsed`.
    again: Duration,
}

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) setup: Setup,
    pub(super) orders: Receiver<Order>,
    pub(super) signer: Box<dyn CheckpointSigner>,
    pub(super) clock: Box<dyn Clock>,
    pub(super) health: watch::Sender<Health>,
    pub(super) stats: Arc<Stats>,
    pub(super) batch: usize,
    pub(super) gather: Duration,
    pub(super) checkpoint_every: u64,
    pub(super) checkpoint_after: Duration,
    /// Held as long as this thread lives.
    pub(super) lock: Lock,
}

/// Whether others append too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    None,
    Others,
}

/// What a batch has to say to those who wait.
type Done<T> = Result<T, AppendError>;

/// The loop, with what changes in it.
struct Running {
    writer: Writer,
    state: State,
    /// When the next checkpoint is due, by the clock's `elapsed`.
    due: Duration,
    /// When the last batch began, by the clock's `elapsed`.
    began: Duration,
}

impl Writer {
    pub(super) fn run(self, store: Store) {
        let now = self.clock.elapsed();
        let mut running = Running {
            due: now.saturating_add(self.checkpoint_after),
            began: now,
            writer: self,
            state: State::Writing(Box::new(store)),
        };
        running.serve();
        running.close();
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp {
            signer: &*self.signer,
            time: self.clock.wall(),
        }
    }
}

impl Running {
    /// Until nobody can order anything any more.
    fn serve(&mut self) {
        loop {
            match self.writer.orders.recv_timeout(self.patience()) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long to wait for orders before something else is due.
    fn patience(&self) -> Duration {
        let now = self.writer.clock.elapsed();
        match &self.state {
            State::Writing(store) if store.garbage => Duration::ZERO,
            State::Writing(store) if store.known.head.size > store.known.signed => {
                self.due.saturating_sub(now)
            }
            State::Failing(failing) => failing.again.saturating_sub(now),
            State::Writing(_) | State::Fenced(_) => IDLE,
        }
    }

    /// Nobody wants anything, so there is time for the rest.
    fn idle(&mut self) {
        self.try_again();
        let State::Writing(store) = &self.state else {
            return;
        };
        if store.garbage {
            let done = self.with(|store, _| store.sweep());
            drop(done);
        } else if self.is_due() {
            drop(self.checkpoint());
        }
    }

    /// An order, and with an append all orders that come while it is written.
    fn take(&mut self, order: Order) {
        let (mut next, mut company) = (Some(order), Company::None);
        while let Some(order) = next.take() {
            match order {
                Order::Append(job) => next = self.append(job, company),
                Order::Checkpoint(answer) => tell(answer, self.checkpoint()),
                Order::Rebase(rebase, answer) => tell(answer, self.rebase(&rebase)),
            }
            company = Company::Others;
        }
    }

    /// Writes a batch; gives back an order that came meanwhile.
    fn append(&mut self, first: Job, company: Company) -> Option<Order> {
        let mut jobs = vec![first];
        let mut next = self.collect(&mut jobs);
        let others = jobs.len() > 1 || company == Company::Others;
        if others && next.is_none() && jobs.len() < self.writer.batch {
            // asleep, and not woken by each that comes
            std::thread::sleep(self.pause());
            next = self.collect(&mut jobs);
        }
        self.began = self.writer.clock.elapsed();
        self.writer.stats.begin();
        self.try_again();
        let entries = jobs.iter().map(|job| job.entries.len()).sum();
        let stamped = self.is_due() || self.is_long(entries);
        let done = self.with(|store, writer| {
            let stamp = stamped.then(|| writer.stamp());
            let jobs = jobs.iter().map(|job| job.entries.as_slice());
            store.append(jobs, stamp.as_ref())
        });
        if done.is_ok() && stamped {
            self.put_off();
        }
        self.writer.stats.batch(entries, done.is_ok());
        // before anybody of this batch is told, who then may ask again
        let next = next.or_else(|| self.writer.orders.try_recv().ok());
        answer(jobs, done);
        next
    }

    /// What waits, up to a whole batch; gives back the order that ended it, if that is another one.
    fn collect(&self, jobs: &mut Vec<Job>) -> Option<Order> {
        while jobs.len() < self.writer.batch {
            match self.writer.orders.try_recv() {
                Ok(Order::Append(job)) => jobs.push(job),
                Ok(other) => return Some(other),
                Err(_) => break,
            }
        }
        None
    }

    /// How long a batch waits for those who come later.
    fn pause(&self) -> Duration {
        let since = self.writer.clock.elapsed().saturating_sub(self.began);
        self.writer.gather.saturating_sub(since)
    }

    fn checkpoint(&mut self) -> Done<Option<Note>> {
        self.try_again();
        let done = self.with(|store, writer| store.checkpoint(&writer.stamp()))?;
        self.put_off();
        Ok(done)
    }

    /// Also where nothing else can be written: it makes room.
    fn rebase(&mut self, rebase: &Rebase) -> Done<Receipt> {
        if let State::Failing(failing) = &self.state {
            let writer = &self.writer;
            let again = Store::open_again(&writer.path, &writer.setup, &failing.known);
            if let Ok(store) = again {
                self.state = State::Writing(Box::new(store));
                self.writer.health.send_replace(Health::Writing);
            }
        }
        self.with(|store, _| store.rebase(rebase))
    }

    fn put_off(&mut self) {
        let now = self.writer.clock.elapsed();
        self.due = now.saturating_add(self.writer.checkpoint_after);
    }

    fn is_due(&self) -> bool {
        self.writer.clock.elapsed() >= self.due
    }

    fn is_long(&self, more: usize) -> bool {
        let State::Writing(store) = &self.state else {
            return false;
        };
        let unsigned = store.known.head.size.saturating_sub(store.known.signed);
        unsigned.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
            >= self.writer.checkpoint_every
    }

    /// Does something with the file, if it can be written; the one place where it is found out
    /// that it cannot.
    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Store, &Writer) -> Result<T, StoreError>,
    ) -> Done<T> {
        let store = match &mut self.state {
            State::Writing(store) => store,
            State::Failing(failing) => {
                return Err(AppendError::Unavailable(Arc::clone(&failing.trouble)));
            }
            State::Fenced(holder) => return Err(AppendError::Fenced(holder.clone())),
        };
        match act(store, &self.writer) {
            Ok(done) => Ok(done),
            Err(error) => {
                let known = store.known.clone();
                Err(self.fail(known, error, FIRST_WAIT))
            }
        }
    }

    /// From now on it is failing, or fenced. The connection is dropped: after a failure nothing
    /// that it remembers is relied upon.
    fn fail(&mut self, known: Known, error: StoreError, wait: Duration) -> AppendError {
        let why = match self.writer.explain(error) {
            Ok(trouble) => Arc::new(trouble),
            Err(holder) => {
                self.state = State::Fenced(holder.clone());
                self.writer
                    .health
                    .send_replace(Health::Fenced(holder.clone()));
                return AppendError::Fenced(holder);
            }
        };
        let since = match &self.state {
            State::Failing(failing) => failing.since,
            State::Writing(_) | State::Fenced(_) => self.writer.clock.wall(),
        };
        self.writer.health.send_replace(Health::Failing {
            trouble: Arc::clone(&why),
            since,
        });
        self.state = State::Failing(Failing {
            known,
            trouble: Arc::clone(&why),
            since,
            wait,
            again: self.writer.clock.elapsed().saturating_add(wait),
        });
        AppendError::Unavailable(why)
    }

    /// If it is failing and the time has come, opens the file anew.
    fn try_again(&mut self) {
        let State::Failing(failing) = &self.state else {
            return;
        };
        if self.writer.clock.elapsed() < failing.again {
            return;
        }
        let (known, wait) = (failing.known.clone(), failing.wait);
        match Store::resume(&self.writer.path, &self.writer.setup, &known) {
            Ok(store) => {
                self.state = State::Writing(Box::new(store));
                self.writer.health.send_replace(Health::Writing);
            }
            Err(error) => {
                self.fail(known, error, wait.saturating_mul(2).min(LONGEST_WAIT));
            }
        }
    }

    /// Whether it fails or not, it is over; what is not said here is found at the next opening.
    fn close(self) {
        if let State::Writing(store) = self.state {
            drop(store.close(&self.writer.stamp()));
        }
        self.writer.health.send_replace(Health::Closed);
        drop(self.writer.lock);
    }
}

impl Writer {
    /// What is wrong, or who has taken over.
    fn explain(&self, error: StoreError) -> Result<Trouble, String> {
        let path = self.path.display();
        match error {
            StoreError::Sqlite(error) => Ok(trouble(&self.path, &error)),
            StoreError::Fenced(holder) => Err(holder),
            StoreError::Signer(why) => Ok(Trouble {
                cause: Cause::Signer,
                text: format!("{path}: the checkpoint that is due cannot be signed: {why}"),
            }),
            StoreError::Past(why) => Ok(Trouble {
                cause: Cause::Damaged,
                text: format!("{path}: {why}; keep the file, stop, and restore a backup"),
            }),
        }
    }
}

/// Who does not wait any more is no fault.
fn tell<T>(answer: Answer<T>, done: Done<T>) {
    drop(answer.send(done));
}

fn answer(jobs: Vec<Job>, done: Done<Vec<Receipt>>) {
    match done {
        Ok(receipts) => {
            for (job, receipt) in jobs.into_iter().zip(receipts) {
                tell(job.answer, Ok(receipt));
            }
        }
        Err(error) => {
            for job in jobs {
                tell(job.answer, Err(error.clone()));
            }
        }
    }
}
