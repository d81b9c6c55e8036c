//! A rotation against a scripted CA, as the driver runs it, without waiting. What happened is recorded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spiffe::SpiffeId;

use super::{Action, Draw, Event, Lead, Proof, Renewals, Rotation, Setback};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(super) fn draw_of(number: u32) -> Draw {
    let id = format!("spiffe://example.org/workload/{number}");
    Draw::of(&SpiffeId::new(id).unwrap())
}

/// What the CA of a simulation does when it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Certificate { life: Duration },
    Failure(Setback),
    Silence,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fact {
    Asked(Proof),
    Received { not_after: SystemTime },
    Withdrawn,
}

/// A machine with an agent on it. Time is true time; the machine's clock is off by what the script says.
pub(super) struct World {
    pub(super) rotation: Rotation,
    pub(super) now: SystemTime,
    /// From when on the clock is off, and by how many seconds.
    clock: Vec<(SystemTime, i64)>,
    /// When the attempt under way ends, and how.
    pending: Option<(SystemTime, Event)>,
    pub(super) facts: Vec<(SystemTime, Fact)>,
}

impl World {
    pub(super) fn new(draw: Draw) -> Self {
        Self::renewing(draw, Renewals::HeldCertificate)
    }

    pub(super) fn renewing(draw: Draw, renewals: Renewals) -> Self {
        Self::with_clock(draw, renewals, vec![])
    }

    pub(super) fn with_clock(
        draw: Draw,
        renewals: Renewals,
        clock: Vec<(SystemTime, i64)>,
    ) -> Self {
        let mut world = Self {
            rotation: Rotation::new(draw, renewals, start()),
            now: start(),
            clock,
            pending: None,
            facts: vec![],
        };
        world.rotation = Rotation::new(draw, renewals, world.wall());
        world
    }

    /// What the machine's clock shows.
    pub(super) fn wall(&self) -> SystemTime {
        let mut steps = self.clock.iter().filter(|(at, _)| *at <= self.now);
        let off = steps.next_back().map_or(0, |(_, seconds)| *seconds);
        let by = Duration::from_secs(off.unsigned_abs());
        if off < 0 {
            self.now - by
        } else {
            self.now + by
        }
    }

    pub(super) fn run_until(&mut self, end: SystemTime, ca: impl Fn(SystemTime, Proof) -> Answer) {
        while self.now < end {
            let idle = self.rotation.idle_for(self.wall());
            assert!(idle <= MINUTE, "the clock is looked at every minute");
            let event = match self.pending {
                Some((at, event)) if at <= (self.now + idle).min(end) => {
                    self.now = at.max(self.now);
                    self.pending = None;
                    event
                }
                _ => {
                    self.now = (self.now + idle).min(end);
                    Event::Tick
                }
            };
            self.step(event, &ca);
        }
    }

    pub(super) fn step(&mut self, event: Event, ca: impl Fn(SystemTime, Proof) -> Answer) {
        for action in self.rotation.step(self.wall(), event) {
            let fact = match action {
                Action::Ask { proof, patience } => {
                    assert_eq!(self.pending, None, "one attempt at a time");
                    self.pending = Some(self.answer(ca(self.now, proof), patience));
                    Fact::Asked(proof)
                }
                Action::Publish => match event {
                    Event::Received { not_after } => Fact::Received { not_after },
                    other => panic!("published on {other:?}"),
                },
                Action::Withdraw => Fact::Withdrawn,
            };
            self.facts.push((self.now, fact));
        }
    }

    pub(super) fn hears_of_roots(&mut self, lead: Lead) {
        self.step(Event::Roots(lead), |_, _| panic!("asked because of roots"));
    }

    fn answer(&self, answer: Answer, patience: Duration) -> (SystemTime, Event) {
        match answer {
            Answer::Certificate { life } => {
                let not_after = self.now + life;
                (self.now, Event::Received { not_after })
            }
            Answer::Failure(setback) => (self.now, Event::Failed(setback)),
            Answer::Silence => (self.now + patience, Event::Failed(Setback::Passing)),
        }
    }

    /// Lets time pass without anybody looking, as while a machine sleeps.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    fn when(&self, which: impl Fn(&Fact) -> bool) -> Vec<SystemTime> {
        let which = self.facts.iter().filter(|(_, fact)| which(fact));
        which.map(|(at, _)| *at).collect()
    }

    pub(super) fn asked(&self) -> Vec<SystemTime> {
        self.when(|fact| matches!(fact, Fact::Asked(_)))
    }

    pub(super) fn asked_with(&self, proof: Proof) -> Vec<SystemTime> {
        self.when(|fact| *fact == Fact::Asked(proof))
    }

    pub(super) fn received(&self) -> Vec<SystemTime> {
        self.when(|fact| matches!(fact, Fact::Received { .. }))
    }

    pub(super) fn withdrawn(&self) -> Vec<SystemTime> {
        self.when(|fact| *fact == Fact::Withdrawn)
    }

    /// When, in true time, what was served after the first certificate was of no use.
    pub(super) fn uncovered(&self) -> Option<SystemTime> {
        let mut covered = None;
        for (at, fact) in &self.facts {
            match (covered, fact) {
                (Some(end), _) if end < *at => return Some(end),
                (Some(_), Fact::Withdrawn) => return Some(*at),
                (_, Fact::Received { not_after }) => covered = Some(*not_after),
                (_, Fact::Asked(_) | Fact::Withdrawn) => {}
            }
        }
        covered.filter(|end| *end < self.now)
    }
}
