//! The thread that has the state.

use super::{
    LifecycleError, Order, Report,
    begin::{self, Import},
    stored,
    work::{Outcome, Taken, Worker},
};
use credence_ca::lifecycle::{
    Action, Event, Forced, Hold, IssuerCertificate, KeyPlace, Place, Refused, RunId, Settings,
    State, Status, World,
};
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

    /// Takes a chain that was brought along. Where the key that signed is not here any more, what was brought has to sign at once.
    fn begin_with(&mut self, brought: Option<Import>) -> Result<(), LifecycleError> {
        let signs = |this: &Self| this.worker.has_key(this.state.active().issuer.id);
        if let Some(brought) = brought {
            match self.import(brought, &By::Itself) {
                Err(error) if signs(self) => {
                    tracing::error!(%error, "the chain that was brought along is REFUSED; the one before goes on");
                }
                outcome => outcome?,
            }
        }
        if !signs(self)
            && self
                .state
                .next_root()
                .is_some_and(|next| next.coming().is_some())
        {
            tracing::error!(
                "the key of the active issuer is gone: the next root is made active though gates are shut; whoever does not know it yet refuses its leaves"
            );
            self.step(Event::Force(Forced::ActivateRoot), &By::Itself)?;
        }
        if !signs(self) && self.worker.has_key(self.state.active().root.id) {
            tracing::error!(
                "the key of the active issuer is gone: another issuer is made below the root"
            );
            self.step(Event::RotateIssuer, &By::Itself)?;
        }
        if !signs(self) {
            let id = self.state.active().issuer.id;
            return Err(LifecycleError::Missing(format!("the key of issuer {id}")));
        }
        let root = self.state.active().root;
        let place = match self.worker.has_key(root.id) {
            true => KeyPlace::Here,
            false => KeyPlace::Elsewhere,
        };
        if root.key != place {
            tracing::warn!(root = %root.id, ?place, "the active root's key is in another place than before");
            self.step(Event::RootKey(place), &By::Itself)?;
        }
        Ok(())
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

    /// What is here already is nothing new.
    pub(super) fn import(&mut self, chain: Import, by: &By) -> Result<(), LifecycleError> {
        let taken = self.worker.take(chain)?;
        let facts = begin::root_facts(&taken.root);
        let issuer = taken
            .issuer
            .as_ref()
            .map(|one| IssuerCertificate::of(&one.certificate, &one.above, &facts));
        let active = *self.state.active();
        let next = self
            .state
            .next_root()
            .and_then(|next| next.coming().copied());
        let below = [Some(active.root.id), next.map(|next| next.root.id)];
        let event = match issuer {
            Some(issuer) if below.contains(&Some(facts.id)) => Event::ImportIssuer { issuer },
            None if below.contains(&Some(facts.id)) => return self.anchors(&taken, by),
            issuer => Event::ImportRoot {
                root: facts,
                issuer,
            },
        };
        if issuer.is_none_or(|issuer| issuer.id != active.issuer.id) {
            match self.step(event, by) {
                Err(LifecycleError::Refused(Refused::Known(_))) => {}
                outcome => outcome?,
            }
        }
        self.anchors(&taken, by)
    }

    fn anchors(&mut self, taken: &Taken, by: &By) -> Result<(), LifecycleError> {
        for root in &taken.further {
            let event = Event::ImportAnchor {
                root: begin::root_facts(root),
                longest_leaf_life: taken.others,
            };
            match self.step(event, by) {
                Err(LifecycleError::Refused(Refused::Known(_))) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn breaks(&self, forced: Forced) -> Vec<String> {
        let standing = self.status();
        let id = match forced {
            Forced::ActivateRoot => {
                let next = self.state.next_root();
                next.and_then(|next| Some(next.coming()?.root.id))
            }
            Forced::RetireRoot(id) => Some(id),
        };
        let holds = standing.roots.into_iter().filter(|root| root.id == id);
        holds
            .flat_map(|root| root.holds)
            .map(|hold| told(&hold))
            .collect()
    }

    fn status(&self) -> Status {
        self.in_the_world(|world| self.state.status(world))
    }

    fn in_the_world<T>(&self, ask: impl FnOnce(World<'_>) -> T) -> T {
        let places = self.worker.places();
        let holders = places.lock();
        ask(World {
            reading: self.worker.clock().reading(self.run),
            holders: places.complete().then_some(&*holders),
        })
    }

    /// Made after each order and each look: the door waits for the holders' lock, so that nothing looks at all leaves here.
    fn report(&self) {
        let outlook = self.in_the_world(|world| self.state.outlook(world));
        let report = Report {
            failing: self.behind.clone(),
            warnings: outlook
                .warnings
                .iter()
                .map(ToString::to_string)
                .chain(self.worker.parts().lists.trouble())
                .collect(),
            standings: standings("root", &outlook.roots)
                .chain(standings("issuer", &outlook.issuers))
                .collect(),
            bundle: outlook.bundle.sequence(),
        };
        self.reports.send_if_modified(|now| {
            let changed = *now != report;
            *now = report;
            changed
        });
    }
}

fn standings<'a>(
    role: &'static str,
    all: &'a [Place],
) -> impl Iterator<Item = (&'static str, String, String, u64)> + 'a {
    all.iter().map(move |one| {
        let ends = one.validity.not_after.unix();
        (role, one.phase.to_string(), one.id.to_string(), ends)
    })
}

/// A shut gate in words.
fn told(hold: &Hold) -> String {
    format!("{}: {hold}", hold.gate())
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
