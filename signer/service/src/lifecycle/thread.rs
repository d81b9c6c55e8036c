//! The thread that has the state.

mod taking;
mod telling;

use super::{
    LifecycleError, Order, Report,
    begin::Import,
    stored,
    work::{Outcome, Worker},
};
use credence_ca::lifecycle::{Action, Event, RunId, Settings, State};
use credence_ledger::entry::By;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};
use tokio::sync::watch;

/// How often gates are looked at when nothing happens.
const TICK: Duration = Duration::from_secs(2);
/// How often the clock alone is worth a write.
const CLOCK: Duration = Duration::from_secs(60);
/// How often ended leaves are forgotten.
const SWEEP: Duration = Duration::from_secs(30);

pub(super) struct Thread {
    state: State,
    run: RunId,
    worker: Worker,
    incoming: Receiver<Order>,
    reports: watch::Sender<Report>,
    /// Who ordered the steps that are not on record yet.
    ordered: BTreeMap<u64, By>,
    /// Something was not done: all is asked for again.
    behind: Option<String>,
    /// An issuer waits until its list is known: it is asked for again.
    waits: bool,
    stored: Duration,
    swept: Duration,
    looked: Duration,
}

impl Thread {
    /// Takes up what is stored. When this returns, a bundle is served and an issuer signs.
    pub(super) fn new(
        state: State,
        (settings, run): (Settings, RunId),
        worker: Worker,
        incoming: Receiver<Order>,
        brought: Option<Import>,
    ) -> Result<(Self, watch::Receiver<Report>), LifecycleError> {
        let (reports, watched) = watch::channel(Report::default());
        let now = worker.clock().0.steady();
        let mut this = Self {
            state,
            run,
            worker,
            incoming,
            reports,
            ordered: BTreeMap::new(),
            behind: None,
            waits: false,
            stored: now,
            swept: now,
            looked: now,
        };
        this.worker.everything_is_here(&this.state)?;
        this.step(Event::Tick, &By::Itself)?;
        if *this.state.settings() != settings {
            this.step(Event::Configured(settings), &By::Itself)?;
        }
        this.begin_with(brought)?;
        let actions = this.state.resume();
        this.perform(actions.into());
        if let Some(why) = this.behind.clone()
            && !this.worker.is_serving()
        {
            return Err(LifecycleError::Missing(why));
        }
        this.report();
        Ok((this, watched))
    }

    pub(super) fn run(mut self) {
        self.worker.read_leaves();
        self.worker.list(&self.state);
        loop {
            match self.incoming.recv_timeout(TICK) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => {
                    self.handle(order);
                    // those who ask all the time do not keep the time from passing
                    if self.now().saturating_sub(self.looked) >= TICK {
                        self.look();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
            self.report();
        }
        if let Err(error) = stored::store(self.worker.file(), &self.state) {
            tracing::error!(%error, "the lifecycle's clock could not be stored at the end");
        }
    }

    fn handle(&mut self, order: Order) {
        match order {
            Order::Event { event, by, done } => {
                let _ = done.send(self.step(*event, &by));
            }
            Order::Import { chain, by, done } => {
                let _ = done.send(self.import(*chain, &by));
            }
            Order::Breaks { forced, told } => {
                let _ = told.send(self.breaks(forced));
            }
            Order::Status(told) => {
                let status = self.status();
                let _ = told.send((Box::new(status), Box::new(self.state.clone())));
            }
            Order::Manual { order, by, done } => {
                let _ = done.send(self.manual(*order, &by));
            }
            Order::Look | Order::Stop => self.look(),
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(super) fn worker_mut(&mut self) -> &mut Worker {
        &mut self.worker
    }

    fn now(&self) -> Duration {
        self.worker.clock().0.steady()
    }

    fn look(&mut self) {
        self.looked = self.now();
        self.worker.read_leaves();
        for (name, bundle) in self.worker.words(&self.state) {
            // a word on a bundle that is not remembered is none
            if let Err(error) = self.step(Event::VerifierHas { name, bundle }, &By::Itself) {
                tracing::debug!(%error, "a verifier's word is not taken");
            }
        }
        if let Err(error) = self.step(Event::Tick, &By::Itself) {
            tracing::error!(%error, "the lifecycle does not go on");
            self.behind = Some(error.to_string());
        }
        if self.behind.take().is_some() {
            self.perform(self.state.resume().into());
        } else if std::mem::take(&mut self.waits) {
            let mut actions = VecDeque::from(self.state.resume());
            actions.retain(|action| matches!(action, Action::MakeIssuer { .. }));
            self.perform(actions);
        }
        let now = self.now();
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.worker.places().lock().forget(self.state.past());
        }
        self.worker.list(&self.state);
    }

    /// The next state is on disk before anything of it is done.
    pub(super) fn step(&mut self, event: Event, by: &By) -> Result<(), LifecycleError> {
        let actions = self.advance(event, by)?;
        self.perform(actions.into());
        Ok(())
    }

    fn advance(&mut self, event: Event, by: &By) -> Result<Vec<Action>, LifecycleError> {
        let before = self.state.unrecorded().last().map_or(0, |step| step.number);
        let (next, actions) = self.in_the_world(|world| self.state.step(world, event))?;
        let now = self.now();
        if next.must_persist(&self.state) || now.saturating_sub(self.stored) >= CLOCK {
            stored::store(self.worker.file(), &next)?;
            self.stored = now;
        }
        if *by != By::Itself {
            let new = next.unrecorded().iter().filter(|step| step.number > before);
            self.ordered
                .extend(new.map(|step| (step.number, by.clone())));
        }
        self.state = next;
        Ok(actions)
    }

    /// Does what is to be done, and what follows from it. What fails is asked for again with the next look.
    fn perform(&mut self, mut actions: VecDeque<Action>) {
        while let Some(action) = actions.pop_front() {
            let outcome = self.worker.perform(&self.state, &action, &self.ordered);
            let followed = outcome.and_then(|outcome| match outcome {
                Outcome::Then(event) => self.advance(*event, &By::Itself).map(Some),
                Outcome::Done => Ok(None),
                Outcome::Later => {
                    self.waits = true;
                    Ok(None)
                }
            });
            match followed {
                Ok(more) => actions.extend(more.into_iter().flatten()),
                Err(error) => {
                    let what = name(&action);
                    tracing::error!(%error, action = what, "the lifecycle could not do this; it is tried again");
                    self.behind = Some(format!("{what}: {error}"));
                    // nothing is signed below a root that is not served
                    if matches!(action, Action::Serve { .. }) {
                        return;
                    }
                }
            }
        }
        let recorded = self.state.unrecorded().first().map(|step| step.number);
        self.ordered
            .retain(|number, _| recorded.is_some_and(|first| *number >= first));
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::MakeRoot { .. } => "make a root",
        Action::MakeIssuer { .. } => "make an issuer",
        Action::Serve { .. } => "serve the bundle",
        Action::SignWith { .. } => "sign with an issuer",
        Action::Record(_) => "put a step on record",
        Action::Release { .. } => "remove a key",
    }
}
