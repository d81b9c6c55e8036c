//! A fleet around a CA: agents of every kind, a registered verifier, and consumers that come back for the bundle by themselves. The
//! fleet knows what each of them really trusts; the CA knows what it is told.

use crate::ca::{Ca, HINT, LEAF, START, TERMS, holder, identity, root, secs};
use credence_ca::{
    lifecycle::{
        Action, BundleId, CertificateId, Event, Holders, KeyPlace, Leaf, Learns, NextRoot, Phase,
        State, Terms,
    },
    serial::Serial,
    validity::Time,
};
use std::collections::BTreeMap;

/// The model looks at everything so often.
pub(crate) const STEP: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Answers,
    Start,
}

/// What one that verifies has.
#[derive(Clone, Debug, Default)]
struct Trust {
    bundle: Option<BundleId>,
    roots: Vec<CertificateId>,
}

#[derive(Clone, Debug)]
struct Certificate {
    root: CertificateId,
    issuer: CertificateId,
    from: u64,
    to: u64,
    received: u64,
}

/// What is on an agent's disk.
#[derive(Clone, Debug, Default)]
struct Image {
    trust: Trust,
    leaf: Option<Certificate>,
}

#[derive(Clone, Debug)]
struct Agent {
    kind: Kind,
    image: Image,
    snapshot: Option<Image>,
    alive: bool,
    /// Cut off from the CA.
    away: bool,
    /// Set back, after the fact, to a time before the active root: nobody can help it until it has been heard of.
    excused: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Pass(u8),
    Hear(usize),
    HearInSilence(usize),
    /// All hear, and say so; but for one, if there is one of that number.
    AllHear(usize),
    Die(usize),
    ComeBack(usize),
    Snapshot(usize),
    SetBack(usize),
    CutOff(usize, bool),
    Restart(usize),
    LostAnswer(usize),
    VerifierFetches,
    VerifierSays,
    RotateRoot,
    RotateIssuer,
    WithdrawRoot,
    ShorterLives(bool),
    /// The wall clock is wrong by so much for so long.
    WrongClock(i32, u8),
    /// The CA dies, with what it has not persisted and not done, and is away for so long.
    Crash(u8),
    /// The same, and it dies after a state was made and before it was persisted.
    CrashBeforePersisting(u8),
    Backup,
    Restore,
}

pub(crate) struct Fleet {
    pub(crate) ca: Ca,
    disk: State,
    ledger: Vec<Leaf>,
    backup: Option<(State, Vec<Leaf>)>,
    agents: Vec<Agent>,
    verifier: Trust,
    pollers: Vec<(Trust, u64)>,
    /// What the CA gives to whoever asks.
    served: Trust,
    up: bool,
    serials: u32,
    furthest: BTreeMap<CertificateId, u8>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let ca = Ca::new();
        let kinds = [
            Kind::Stream,
            Kind::Stream,
            Kind::Stream,
            Kind::Answers,
            Kind::Answers,
            Kind::Start,
        ];
        let agent = |kind| Agent {
            kind,
            image: Image::default(),
            snapshot: None,
            alive: true,
            away: false,
            excused: false,
        };
        let mut fleet = Self {
            disk: ca.state.clone(),
            ca,
            ledger: Vec::new(),
            backup: None,
            agents: kinds.into_iter().map(agent).collect(),
            verifier: Trust::default(),
            pollers: vec![(Trust::default(), 0); 3],
            served: Trust::default(),
            up: true,
            serials: 0,
            furthest: BTreeMap::new(),
        };
        fleet.ca.pending = fleet.ca.state.resume();
        fleet.tell(Event::RegisterVerifier {
            name: "gateway".to_owned(),
        });
        fleet.work();
        let served = fleet.served.clone();
        for (trust, _) in &mut fleet.pollers {
            *trust = served.clone();
        }
        fleet.apply(&Op::VerifierFetches);
        fleet.apply(&Op::VerifierSays);
        for agent in 0..fleet.agents.len() {
            fleet.start_anew(agent);
        }
        fleet
    }

    /// The true time.
    fn now(&self) -> u64 {
        START + self.ca.passed
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Pass(steps) => self.pass(u64::from(steps)),
            Op::Hear(agent) => self.hear(agent, true),
            Op::HearInSilence(agent) => self.hear(agent, false),
            Op::AllHear(but) => {
                for agent in (0..self.agents.len()).filter(|agent| *agent != but) {
                    self.hear(agent, true);
                    self.restart(agent);
                    if self.agents[agent].kind == Kind::Answers && self.agents[agent].alive {
                        self.has_as_well(agent);
                    }
                }
                self.apply(&Op::VerifierFetches);
                self.apply(&Op::VerifierSays);
            }
            Op::Die(agent) => {
                self.agents[agent].alive = false;
                self.ca.holders.left(&name(agent));
            }
            Op::ComeBack(agent) => self.agents[agent].alive = true,
            Op::Snapshot(agent) => {
                self.agents[agent].snapshot = Some(self.agents[agent].image.clone());
            }
            Op::SetBack(agent) => self.set_back(agent),
            Op::CutOff(agent, away) => self.agents[agent].away = away,
            Op::Restart(agent) => self.restart(agent),
            Op::LostAnswer(agent) if self.agents[agent].alive && self.up => {
                self.issue(agent);
            }
            Op::LostAnswer(_) => {}
            Op::VerifierFetches => self.verifier = self.served.clone(),
            Op::VerifierSays => {
                if let Some(bundle) = self.verifier.bundle {
                    let name = "gateway".to_owned();
                    self.tell(Event::VerifierHas { name, bundle });
                }
            }
            Op::RotateRoot => self.tell(Event::RotateRoot),
            Op::RotateIssuer => self.tell(Event::RotateIssuer),
            Op::WithdrawRoot => self.tell(Event::WithdrawRoot),
            Op::ShorterLives(shorter) => self.shorter_lives(shorter),
            Op::WrongClock(off, steps) => {
                self.ca.off = i64::from(off);
                self.tell(Event::Tick);
                self.pass(u64::from(steps));
                self.ca.off = 0;
                self.tell(Event::Tick);
            }
            Op::Crash(steps) => self.crash(steps),
            Op::CrashBeforePersisting(steps) => {
                let _ = self.ca.state.step(self.ca.world(), Event::RotateRoot);
                self.crash(steps);
            }
            Op::Backup => self.backup = Some((self.disk.clone(), self.ledger.clone())),
            Op::Restore => self.restore(),
        }
        self.check();
    }

    fn pass(&mut self, steps: u64) {
        for _ in 0..steps {
            self.ca.passed += STEP;
            if self.up {
                self.poll();
                self.renew();
                self.tell(Event::Tick);
                self.work();
            }
            self.check();
        }
        if self.up {
            self.no_jump_opens_a_gate();
        }
    }

    /// Takes an event, and persists what comes of it before anything is done.
    fn tell(&mut self, event: Event) {
        if !self.up {
            return;
        }
        if let Ok((state, actions)) = self.ca.state.step(self.ca.world(), event) {
            let again = state.resume();
            assert!(actions.iter().all(|action| again.contains(action)));
            if state.must_persist(&self.disk) {
                let stored = serde_json::to_string(&state).unwrap();
                self.disk = serde_json::from_str(&stored).unwrap();
                assert_eq!(self.disk, state);
                self.phases_go_forward();
            }
            self.ca.state = state;
            self.ca.pending.extend(actions);
        }
    }

    fn work(&mut self) {
        while let Some(action) = (!self.ca.pending.is_empty()).then(|| self.ca.pending.remove(0)) {
            if let Action::Serve { bundle, roots } = &action {
                self.served = Trust {
                    bundle: Some(*bundle),
                    roots: roots.clone(),
                };
            }
            if let Some(event) = self.ca.perform(action) {
                self.tell(event);
            }
        }
        let active = self.ca.state.active().issuer.id;
        assert_eq!(self.ca.signs_with, Some(active));
    }

    /// They come back for the bundle at most three refresh hints after they got it, if there is one to be had.
    fn poll(&mut self) {
        let now = self.now();
        let served = self.served.clone();
        for (index, (trust, at)) in self.pollers.iter_mut().enumerate() {
            let every = [HINT - 5, HINT, 3 * HINT - 5][index];
            if now >= *at + every {
                (*trust, *at) = (served.clone(), now);
            }
        }
    }

    /// Agents renew at half of a leaf's life, or have none and ask for one.
    fn renew(&mut self) {
        let now = self.now();
        for agent in 0..self.agents.len() {
            let Agent {
                alive, away, image, ..
            } = &self.agents[agent];
            if !alive || *away {
                continue;
            }
            let due = |leaf: &Certificate| now >= leaf.received + (leaf.to - leaf.from) / 2;
            match &image.leaf {
                // Its trust is as old as its certificate: it attests anew, and is told what to trust.
                None => self.start_anew(agent),
                Some(leaf) if leaf.to < now => self.start_anew(agent),
                Some(leaf) if due(leaf) => self.take_leaf(agent),
                Some(_) => {}
            }
        }
    }

    fn start_anew(&mut self, agent: usize) {
        if self.agents[agent].kind == Kind::Start {
            self.restart(agent);
        } else {
            self.agents[agent].image = Image::default();
            self.hear(agent, true);
            self.take_leaf(agent);
        }
    }

    fn take_leaf(&mut self, agent: usize) {
        let Some(leaf) = self.issue(agent) else {
            return;
        };
        let image = &mut self.agents[agent].image;
        image.leaf = Some(leaf);
        if self.agents[agent].kind == Kind::Answers {
            self.agents[agent].image.trust = self.served.clone();
            self.agents[agent].excused = false;
        }
    }

    fn issue(&mut self, agent: usize) -> Option<Certificate> {
        let issuer = self.ca.state.active().issuer;
        let wall = Time::from_unix(self.ca.wall());
        let life = self.ca.state.leaf_cap(wall);
        let served = self.served.bundle?;
        if life.is_zero() || self.ca.off != 0 {
            return None;
        }
        self.serials += 1;
        let octets = (self.serials | 0x4000_0000).to_be_bytes();
        let leaf = Leaf {
            serial: Serial::from_octets(&octets).unwrap(),
            holder: name(agent),
            identity: identity(&agent.to_string()),
            learns: match self.agents[agent].kind {
                Kind::Stream => Learns::OnStream,
                Kind::Answers => Learns::InAnswers(served),
                Kind::Start => Learns::AtStart,
            },
            issuer: issuer.id,
            not_after: wall.plus(life),
        };
        let certificate = Certificate {
            root: issuer.root,
            issuer: issuer.id,
            from: wall.unix(),
            to: leaf.not_after.unix(),
            received: self.now(),
        };
        self.ca.holders.issued(leaf.clone());
        self.ledger.push(leaf);
        Some(certificate)
    }

    /// An agent gets the bundle that is served; what it answers may be lost.
    fn hear(&mut self, agent: usize, heard: bool) {
        let one = &mut self.agents[agent];
        let may = one.alive && !one.away && self.up && one.kind != Kind::Start;
        if !may || self.served.bundle.is_none() {
            return;
        }
        one.image.trust = self.served.clone();
        one.excused = false;
        if heard && one.kind == Kind::Stream {
            self.ca.holders.has(&name(agent), self.served.bundle);
        }
    }

    /// One that takes roots from answers may say so on a stream too.
    fn has_as_well(&mut self, agent: usize) {
        if self.up && !self.agents[agent].away {
            let bundle = self.agents[agent].image.trust.bundle;
            self.ca.holders.has(&name(agent), bundle);
        }
    }

    /// A machine is set back to an old image, and says so when it connects.
    fn set_back(&mut self, agent: usize) {
        let Some(snapshot) = self.agents[agent].snapshot.clone() else {
            return;
        };
        if !self.up || self.agents[agent].kind == Kind::Start {
            return;
        }
        let said = snapshot.trust.bundle;
        self.agents[agent].image = snapshot;
        self.agents[agent].alive = true;
        self.agents[agent].away = false;
        self.ca.holders.has(&name(agent), said);
        let trusts = &self.agents[agent].image.trust.roots;
        let met = self.agents.iter().filter_map(|a| a.image.leaf.as_ref());
        let excused = !trusts.contains(&self.ca.active())
            || met.clone().any(|leaf| !trusts.contains(&leaf.root));
        // Its own old leaf may chain to a root that is gone.
        self.agents[agent].excused = excused;
        if self.agents[agent].excused {
            self.hear(agent, true);
            self.take_leaf(agent);
        }
    }

    /// One that reads roots at its start is started anew, and somebody says so.
    fn restart(&mut self, agent: usize) {
        if self.agents[agent].kind != Kind::Start || !self.up {
            return;
        }
        let Some(bundle) = self.served.bundle else {
            return;
        };
        self.agents[agent].alive = true;
        self.agents[agent].away = false;
        self.agents[agent].image = Image {
            trust: self.served.clone(),
            leaf: None,
        };
        self.take_leaf(agent);
        let identity = identity(&agent.to_string());
        self.tell(Event::Restarted { identity, bundle });
    }

    fn shorter_lives(&mut self, shorter: bool) {
        let terms = Terms {
            longest_leaf_life: secs(if shorter { LEAF / 4 } else { LEAF }),
            ..TERMS
        };
        self.tell(Event::Configured(terms.try_into().unwrap()));
    }

    fn crash(&mut self, steps: u8) {
        self.up = false;
        self.ca.pending.clear();
        self.served = Trust::default();
        self.pass(u64::from(steps));
        self.ca.state = self.disk.clone();
        self.come_up();
        self.tell(Event::Tick);
        self.work();
    }

    fn come_up(&mut self) {
        self.ca.run += 1;
        self.ca.holders = Holders::new();
        for leaf in &self.ledger {
            self.ca.holders.issued(leaf.clone());
        }
        self.ca.pending = self.ca.state.resume();
        self.up = true;
    }

    /// A backup comes back. It has to be one whose active root is still trusted; roots that it does not know and others trust are imported
    /// before anything is served.
    fn restore(&mut self) {
        let Some((state, ledger)) = self.backup.clone() else {
            return;
        };
        let trusted = self.disk.bundle().roots.clone();
        if !trusted.contains(&state.active().root.id) {
            return;
        }
        self.ca.state = state;
        self.ledger = ledger;
        self.furthest.clear();
        self.come_up();
        self.tell(Event::Restored);
        for lost in trusted {
            let root = credence_ca::lifecycle::RootCertificate {
                id: lost,
                key: KeyPlace::Elsewhere,
                ..root("", START, 200_000)
            };
            self.tell(Event::ImportAnchor {
                root,
                longest_leaf_life: secs(LEAF),
            });
        }
        self.work();
    }

    /// Whoever meets a leaf can verify it.
    fn check(&self) {
        let now = self.now();
        for (index, presenter) in self.agents.iter().enumerate() {
            let Some(leaf) = presenter.image.leaf.as_ref().filter(|_| presenter.alive) else {
                continue;
            };
            if leaf.to < now || leaf.from > now || presenter.excused {
                continue;
            }
            for (who, roots) in self.verifiers(now) {
                assert!(
                    roots.contains(&leaf.root),
                    "{who} meets agent {index}'s leaf of {:?} and trusts {roots:?}: {:?}",
                    leaf.issuer,
                    self.stuck(),
                );
            }
        }
    }

    /// All that verify: who has a leaf that is good for something, the registered one, and those that poll.
    fn verifiers(&self, now: u64) -> impl Iterator<Item = (String, &Vec<CertificateId>)> {
        let good = move |leaf: &Certificate| leaf.to >= now && leaf.from <= now;
        let agents = self.agents.iter().enumerate().filter(move |(_, agent)| {
            agent.alive && !agent.excused && agent.image.leaf.as_ref().is_some_and(good)
        });
        let agents = agents.map(|(n, a)| (format!("agent {n}"), &a.image.trust.roots));
        let verifier = [("verifier".to_owned(), &self.verifier.roots)];
        let pollers = self.pollers.iter().map(|(trust, _)| &trust.roots);
        agents
            .chain(verifier)
            .chain(pollers.map(|roots| ("poller".to_owned(), roots)))
    }

    /// Looked at with a clock that jumps, nothing goes on that would not go on without.
    fn no_jump_opens_a_gate(&self) {
        let phases = |state: &State| {
            let roots: Vec<_> = state.retired_roots().iter().map(|root| root.id).collect();
            (state.active().root.id, roots, state.superseded().len())
        };
        let tick = |off: i64| {
            let mut world = self.ca.world();
            let wall = (START + self.ca.passed).checked_add_signed(self.ca.off + off);
            world.reading.wall = Time::from_unix(wall.unwrap());
            self.ca.state.step(world, Event::Tick).unwrap().0
        };
        let (before, still) = (phases(&self.ca.state), phases(&tick(0)));
        for off in [-400_000, -30, 30, 3600, 400_000] {
            let after = phases(&tick(off));
            assert!(
                after == before || after == still,
                "{off}: {:?}",
                self.ca.state
            );
        }
    }

    fn phases_go_forward(&mut self) {
        let status = self.disk.status(self.ca.world());
        for one in status.roots.iter().chain(&status.issuers) {
            let Some(id) = one.id else { continue };
            let rank = match one.phase {
                Phase::Wanted => 0,
                Phase::Prepared => 1,
                Phase::Distributing => 2,
                Phase::Active => 3,
                Phase::Retiring | Phase::Superseded => 4,
                Phase::Retired => 5,
            };
            let furthest = self.furthest.entry(id).or_insert(rank);
            assert!(*furthest <= rank, "{id} went back to {:?}", one.phase);
            *furthest = rank;
        }
        let active = |all: &[_]| {
            let active = |one: &&credence_ca::lifecycle::Standing| one.phase == Phase::Active;
            all.iter().filter(active).count()
        };
        assert_eq!((active(&status.roots), active(&status.issuers)), (1, 1));
    }

    /// Everything gets well, and what is under way has to come to its end.
    pub(crate) fn get_well(&mut self) {
        self.shorter_lives(false);
        for _ in 0..6 {
            for agent in 0..self.agents.len() {
                self.agents[agent].alive = true;
                self.agents[agent].away = false;
                self.hear(agent, true);
                self.restart(agent);
            }
            self.apply(&Op::VerifierFetches);
            self.apply(&Op::VerifierSays);
            self.pass((2 * LEAF + 100) / STEP / 3);
        }
        assert_eq!(self.ca.state.next_root(), None, "{:?}", self.stuck());
        assert_eq!(self.ca.state.retiring(), [], "{:?}", self.stuck());
    }

    fn stuck(&self) -> credence_ca::lifecycle::Status {
        self.ca.state.status(self.ca.world())
    }

    pub(crate) fn rotations(&self) -> usize {
        let made = |id: &CertificateId| *id != crate::ca::id("A");
        let retired = self.ca.state.retired_roots().iter().map(|root| root.id);
        retired.chain([self.ca.active()]).filter(made).count()
    }

    pub(crate) fn distributing(&self) -> bool {
        matches!(self.ca.state.next_root(), Some(NextRoot::Distributing(_)))
    }
}

fn name(agent: usize) -> credence_ca::lifecycle::HolderId {
    holder(&format!("agent {agent}"))
}
