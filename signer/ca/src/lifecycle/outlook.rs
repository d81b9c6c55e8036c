//! What is watched all the time: phases, ends and warnings. Not who holds up a phase, since that means to look at every live leaf,
//! and whoever issues waits meanwhile.

use super::{
    authority::Phase,
    event::World,
    id::{BundleId, CertificateId},
    state::State,
    status::{Standing, Warning, issuers, roots, warnings},
};
use crate::validity::Validity;

/// A root or an issuer that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub id: CertificateId,
    /// Its phase.
    pub phase: Phase,
    /// From when to when it is valid.
    pub validity: Validity,
}

impl Place {
    fn of(standing: &Standing) -> Option<Self> {
        Some(Self {
            id: standing.id?,
            phase: standing.phase,
            validity: standing.validity?,
        })
    }
}

/// Everything at one moment, but for who holds it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The bundle that is published.
    pub bundle: BundleId,
    /// Roots, as [`super::Status`] has them.
    pub roots: Vec<Place>,
    /// Issuers.
    pub issuers: Vec<Place>,
    /// What to worry about.
    pub warnings: Vec<Warning>,
}

impl State {
    /// Everything at one moment, but for who holds it up. Costs the same however many leaves live, unless one of their holders has
    /// a bundle that is newer than any of this state.
    #[must_use]
    pub fn outlook(&self, world: World<'_>) -> Outlook {
        let now = self.at(world);
        let places = |all: Vec<Standing>| all.iter().filter_map(Place::of).collect();
        Outlook {
            bundle: now.bundle.id,
            roots: places(roots(&now, &|_| Vec::new())),
            issuers: places(issuers(&now, &|_| Vec::new())),
            warnings: warnings(now.view(world.holders)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lifecycle::{
            Active, Event, HolderId, Holders, IssuerCertificate, KeyPlace, Leaf, Learns, NextRoot,
            Reading, RootCertificate, RunId, Settings, Terms, holders::walks,
        },
        serial::Serial,
        validity::Time,
    };
    use spiffe::SpiffeId;
    use std::time::Duration;

    const START: u64 = 1_800_000_000;

    fn at(passed: u64) -> Time {
        Time::from_unix(START + passed)
    }

    fn validity() -> Validity {
        Validity {
            not_before: at(0),
            not_after: at(100_000),
        }
    }

    fn root(name: &str) -> RootCertificate {
        RootCertificate {
            id: CertificateId::of(name.as_bytes()),
            validity: validity(),
            key: KeyPlace::Here,
        }
    }

    fn issuer(name: &str, below: &str) -> IssuerCertificate {
        IssuerCertificate {
            id: CertificateId::of(name.as_bytes()),
            root: root(below).id,
            validity: validity(),
        }
    }

    fn settings() -> Settings {
        let secs = Duration::from_secs;
        let terms = Terms {
            longest_leaf_life: secs(1000),
            refresh_hint: secs(10),
            clock_skew: secs(20),
            issuer_life: secs(10_000),
            root_life: secs(100_000),
            roots: crate::lifecycle::RootSchedule::ByItself,
        };
        terms.try_into().unwrap()
    }

    /// A CA with one leaf in use.
    struct Ca {
        state: State,
        holders: Holders,
        passed: u64,
    }

    impl Ca {
        fn new() -> Self {
            let pair = Active {
                root: root("A"),
                issuer: issuer("A1", "A"),
            };
            let (mut holders, passed) = (Holders::new(), 0);
            holders.issued(Leaf {
                serial: Serial::from_octets(&[1]).unwrap(),
                holder: pod(),
                identity: SpiffeId::new("spiffe://example.org/a").unwrap(),
                learns: Learns::OnStream,
                issuer: pair.issuer.id,
                not_after: at(1000),
            });
            let world = world(passed, None);
            Self {
                state: State::found(settings(), pair, None, world).unwrap(),
                holders,
                passed,
            }
        }

        fn world(&self) -> World<'_> {
            world(self.passed, Some(&self.holders))
        }

        /// How often that looked at every leaf.
        fn step(&mut self, event: Event) -> usize {
            let (stepped, walks) = walks::during(|| self.state.step(self.world(), event));
            self.state = stepped.unwrap().0;
            walks
        }

        fn outlook(&self) -> (Outlook, usize) {
            walks::during(|| self.state.outlook(self.world()))
        }
    }

    fn pod() -> HolderId {
        HolderId::new("pod").unwrap()
    }

    fn world(passed: u64, holders: Option<&Holders>) -> World<'_> {
        let reading = Reading {
            run: RunId::from_random([1; 16]),
            monotonic: Duration::from_secs(passed),
            wall: at(passed),
        };
        World { reading, holders }
    }

    #[test]
    fn nobody_looks_at_every_leaf_unless_a_gate_is_waited_for() {
        let mut ca = Ca::new();
        assert_eq!(ca.step(Event::Tick), 0);
        assert_eq!(ca.outlook().1, 0);
        ca.step(Event::RotateRoot);
        let Some(NextRoot::Wanted(order)) = ca.state.next_root else {
            panic!("{:?}", ca.state.next_root)
        };
        assert_eq!((ca.step(Event::Tick), ca.outlook().1), (0, 0));
        let (slot, root) = (order.slot, root("B"));
        ca.step(Event::RootMade { slot, root });
        assert!(matches!(
            ca.state.next_root,
            Some(NextRoot::Distributing(_))
        ));
        // now every leaf counts, but not for whoever only watches
        assert!(ca.step(Event::Tick) > 0);
        assert_eq!(ca.outlook().1, 0);
    }

    #[test]
    fn it_says_what_the_status_says() {
        let mut ca = Ca::new();
        let compare = |ca: &Ca| {
            let (outlook, status) = (ca.outlook().0, ca.state.status(ca.world()));
            let places = |all: &[Standing]| all.iter().filter_map(Place::of).collect::<Vec<_>>();
            assert_eq!(outlook.bundle, status.bundle);
            assert_eq!(outlook.roots, places(&status.roots));
            assert_eq!(outlook.issuers, places(&status.issuers));
            assert_eq!(outlook.warnings, status.warnings);
            outlook
        };
        let outlook = compare(&ca);
        assert_eq!((outlook.roots.len(), outlook.issuers.len()), (1, 1));
        assert_eq!(outlook.warnings, []);
        ca.step(Event::RotateRoot);
        assert_eq!(compare(&ca).roots.len(), 1);
        ca.passed = 99_000;
        assert!(!compare(&ca).warnings.is_empty());
    }

    /// One that has a newer bundle than any is looked for among the leaves, and found until its leaf has ended.
    #[test]
    fn a_holder_with_a_newer_bundle_is_a_warning_until_it_is_gone() {
        let mut ca = Ca::new();
        let lost = |ca: &Ca| ca.outlook().0.warnings.contains(&Warning::LostHistory);
        let served = ca.state.bundle().id;
        ca.holders.has(&pod(), Some(served));
        assert!(!lost(&ca));
        let newer = BundleId::of(served.sequence() + 1, &[]);
        ca.holders.has(&pod(), Some(newer));
        assert!(lost(&ca));
        assert_eq!(ca.outlook().1, 1);
        ca.holders.left(&pod());
        ca.holders.forget(at(1001));
        assert!(!lost(&ca));
        assert_eq!(ca.outlook().1, 0);
    }
}
