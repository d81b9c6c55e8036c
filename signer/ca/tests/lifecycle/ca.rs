//! A CA whose edge is this file: it persists, makes certificates, serves bundles and keeps time, as one that works well
//! does; what goes wrong is for the tests to say.

use credence_ca::{
    lifecycle::{
        Action, Active, BundleId, CertificateId, Event, Hold, HolderId, Holders, IssuerCertificate,
        KeyPlace, Leaf, Learns, NextRoot, Reading, Refused, RootCertificate, RunId, Settings,
        State, Terms, World,
    },
    serial::Serial,
    validity::{Time, Validity},
};
use spiffe::SpiffeId;
use std::time::Duration;

pub(crate) const START: u64 = 1_800_000_000;
/// The longest life of a leaf.
pub(crate) const LEAF: u64 = 1000;
pub(crate) const HINT: u64 = 10;
pub(crate) const SKEW: u64 = 20;
/// For so long both clocks have to run in step.
pub(crate) const PATIENCE: u64 = LEAF + 3 * HINT + SKEW;

pub(crate) const TERMS: Terms = Terms {
    longest_leaf_life: secs(LEAF),
    refresh_hint: secs(HINT),
    clock_skew: secs(SKEW),
    issuer_life: secs(10_000),
    root_life: secs(100_000),
    roots: credence_ca::lifecycle::RootSchedule::ByItself,
};

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn settings(terms: Terms) -> Settings {
    terms.try_into().unwrap()
}

pub(crate) fn id(name: &str) -> CertificateId {
    CertificateId::of(name.as_bytes())
}

pub(crate) fn from_for(from: u64, life: u64) -> Validity {
    Validity {
        not_before: Time::from_unix(from),
        not_after: Time::from_unix(from + life),
    }
}

pub(crate) fn root(name: &str, from: u64, life: u64) -> RootCertificate {
    RootCertificate {
        id: id(name),
        validity: from_for(from, life),
        key: KeyPlace::Here,
    }
}

pub(crate) fn issuer(name: &str, below: &str, from: u64, life: u64) -> IssuerCertificate {
    IssuerCertificate {
        id: id(name),
        root: id(below),
        validity: from_for(from, life),
    }
}

pub(crate) fn holder(name: &str) -> HolderId {
    HolderId::new(name).unwrap()
}

pub(crate) fn identity(name: &str) -> SpiffeId {
    SpiffeId::new(format!("spiffe://example.org/{name}")).unwrap()
}

pub(crate) struct Ca {
    pub(crate) state: State,
    pub(crate) holders: Holders,
    /// Whether the ledger's live leaves have been read.
    pub(crate) leaves_read: bool,
    pub(crate) run: u8,
    /// Seconds that truly passed.
    pub(crate) passed: u64,
    /// How far the wall clock is off.
    pub(crate) off: i64,
    pub(crate) pending: Vec<Action>,
    /// What does not work at the moment.
    pub(crate) stuck: fn(&Action) -> bool,
    pub(crate) recorded: u64,
    pub(crate) signs_with: Option<CertificateId>,
    leaves: u8,
}

impl Ca {
    pub(crate) fn new() -> Self {
        Self::with(TERMS, 100_000, 10_000)
    }

    /// With a root and an issuer of these lives.
    pub(crate) fn with(terms: Terms, root_life: u64, issuer_life: u64) -> Self {
        let pair = Active {
            root: root("A", START, root_life),
            issuer: issuer("A1", "A", START, issuer_life),
        };
        let world = World {
            reading: reading(1, 0, START),
            holders: None,
        };
        let state = State::found(settings(terms), pair, None, world).unwrap();
        let mut ca = Self {
            pending: state.resume(),
            state,
            holders: Holders::new(),
            stuck: |_| false,
            leaves_read: true,
            run: 1,
            passed: 0,
            off: 0,
            recorded: 0,
            signs_with: None,
            leaves: 0,
        };
        ca.work();
        ca
    }

    pub(crate) fn wall(&self) -> u64 {
        (START + self.passed).checked_add_signed(self.off).unwrap()
    }

    pub(crate) fn world(&self) -> World<'_> {
        World {
            reading: reading(self.run, self.passed, self.wall()),
            holders: self.leaves_read.then_some(&self.holders),
        }
    }

    /// Takes an event and leaves what is to be done.
    pub(crate) fn send(&mut self, event: Event) -> Result<(), Refused> {
        let (state, actions) = self.state.step(self.world(), event)?;
        self.state = state;
        self.pending.extend(actions);
        Ok(())
    }

    /// Takes an event and does what is to be done.
    pub(crate) fn tell(&mut self, event: Event) {
        self.send(event).unwrap();
        self.work();
    }

    pub(crate) fn refused(&mut self, event: Event) -> Refused {
        self.send(event).unwrap_err()
    }

    /// Does what is to be done and can be done.
    pub(crate) fn work(&mut self) {
        while let Some(next) = self.pending.iter().position(|action| !(self.stuck)(action)) {
            let action = self.pending.remove(next);
            if let Some(event) = self.perform(action) {
                self.send(event).unwrap();
            }
        }
        if self.pending.is_empty() {
            assert_eq!(self.signs_with, Some(self.state.active().issuer.id));
        }
    }

    pub(crate) fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::MakeRoot { order, life } => Some(Event::RootMade {
                slot: order.slot,
                root: root(
                    &format!("root {}", order.slot.number()),
                    order.at.unix(),
                    life.as_secs(),
                ),
            }),
            Action::MakeIssuer {
                order,
                root: below,
                life,
            } => Some(Event::IssuerMade {
                slot: order.slot,
                issuer: IssuerCertificate {
                    id: id(&format!("issuer {}", order.slot.number())),
                    root: below,
                    validity: from_for(order.at.unix(), life.as_secs()),
                },
            }),
            Action::Serve { bundle, .. } => Some(Event::Served { bundle }),
            Action::Record(step) => {
                let next = step.number <= self.recorded + 1 || step.number > START;
                assert!(next, "a step was left out");
                self.recorded = self.recorded.max(step.number);
                Some(Event::Recorded {
                    through: step.number,
                })
            }
            Action::SignWith { issuer } => {
                self.signs_with = Some(issuer);
                None
            }
            Action::Release { .. } => None,
        }
    }

    /// Time passes, looked at every 5 s.
    pub(crate) fn pass(&mut self, seconds: u64) {
        for step in (0..seconds).step_by(5) {
            self.passed += 5.min(seconds - step);
            self.tell(Event::Tick);
        }
    }

    /// The wall clock jumps.
    pub(crate) fn jump(&mut self, seconds: i64) {
        self.off += seconds;
        self.tell(Event::Tick);
    }

    /// The process starts anew after so many seconds of which it sees nothing. What holders said is forgotten.
    pub(crate) fn restart(&mut self, down: u64) {
        self.passed += down;
        self.run += 1;
        let stored = serde_json::to_string(&self.state).unwrap();
        self.state = serde_json::from_str(&stored).unwrap();
        self.pending = self.state.resume();
        self.work();
    }

    /// Issues a leaf for the longest life.
    pub(crate) fn leaf(&mut self, name: &str, learns: Learns) -> Serial {
        self.leaves += 1;
        let serial = Serial::from_octets(&[self.leaves]).unwrap();
        let life = self.state.leaf_cap(Time::from_unix(self.wall()));
        self.holders.issued(Leaf {
            serial: serial.clone(),
            holder: holder(name),
            identity: identity(name),
            learns,
            issuer: self.state.active().issuer.id,
            not_after: Time::from_unix(self.wall()).plus(life),
        });
        serial
    }

    pub(crate) fn has(&mut self, name: &str, bundle: BundleId) {
        self.holders.has(&holder(name), Some(bundle));
    }

    pub(crate) fn bundle(&self) -> BundleId {
        self.state.bundle().id
    }

    /// The gates that hold up the root that is to be.
    pub(crate) fn shut(&self) -> Vec<&'static str> {
        let next = &self.state.status(self.world()).roots[0];
        next.holds.iter().map(Hold::gate).collect()
    }

    /// The gates that hold up the retirement of the newest root that retires.
    pub(crate) fn shut_behind(&self) -> Vec<&'static str> {
        let status = self.state.status(self.world());
        let retiring = credence_ca::lifecycle::Phase::Retiring;
        let old = status.roots.iter().find(|root| root.phase == retiring);
        old.unwrap().holds.iter().map(Hold::gate).collect()
    }

    pub(crate) fn distributing(&self) -> bool {
        matches!(self.state.next_root(), Some(NextRoot::Distributing(_)))
    }

    pub(crate) fn active(&self) -> CertificateId {
        self.state.active().root.id
    }

    pub(crate) fn retired(&self, id: CertificateId) -> bool {
        self.state.retired_roots().iter().any(|root| root.id == id)
    }
}

pub(crate) fn reading(run: u8, monotonic: u64, wall: u64) -> Reading {
    Reading {
        run: RunId::from_random([run; 16]),
        monotonic: secs(monotonic),
        wall: Time::from_unix(wall),
    }
}
