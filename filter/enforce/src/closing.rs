//! How a connection comes to its end.
//!
//! Between noticing that it must end and closing it lie a few sweeps, so that an HTTP role behind can
//! answer what is under way and say goodbye first.

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its peer's certificate has ended.
    Expired,
    /// Its peer's certificate or identity is on the deny list.
    Revoked,
    /// It was refused.
    Refused,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Expired, Self::Revoked, Self::Refused];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Refused => "refused",
        }
    }
}

/// Sweeps after which an end that was asked for and did not come is asked for again.
const AGAIN: u8 = 4;

/// How far a connection is on its way to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Nothing speaks against it.
    #[default]
    Open,
    /// It must end, and has so many sweeps left. There is no way back.
    Doomed { cause: Cause, sweeps_left: u8 },
    /// The host was asked to close it, so many sweeps ago.
    Asked { sweeps: u8 },
}

impl Closing {
    /// One sweep. `doom`: what speaks against the connection now; `patience`: the sweeps that it has
    /// from the one that notices. The cause, if it is to be closed now.
    pub(crate) fn sweep(&mut self, doom: Option<Cause>, patience: u8) -> Option<Cause> {
        match self {
            Self::Open => *self = Self::doomed(doom?, patience),
            Self::Doomed { sweeps_left, .. } => *sweeps_left = sweeps_left.saturating_sub(1),
            Self::Asked { sweeps } => *sweeps = sweeps.saturating_add(1),
        }
        match *self {
            Self::Doomed {
                cause,
                sweeps_left: 0,
            } => Some(cause),
            _ => None,
        }
    }

    /// Whether the host is to be asked again.
    pub(crate) fn is_stuck(self) -> bool {
        matches!(self, Self::Asked { sweeps } if sweeps > 0 && sweeps.is_multiple_of(AGAIN))
    }

    pub(crate) fn doomed(cause: Cause, sweeps_left: u8) -> Self {
        Self::Doomed { cause, sweeps_left }
    }

    pub(crate) fn asked() -> Self {
        Self::Asked { sweeps: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cause, Closing};

    #[test]
    fn it_is_closed_at_the_sweep_that_its_patience_ends() {
        for patience in 0..4 {
            let mut closing = Closing::default();
            assert_eq!(closing.sweep(None, patience), None);
            let sweeps: Vec<_> = (0..=patience)
                .map(|_| closing.sweep(Some(Cause::Expired), patience))
                .collect();
            let (last, before) = sweeps.split_last().unwrap();
            assert_eq!(*last, Some(Cause::Expired));
            assert!(before.iter().all(Option::is_none));
        }
    }

    #[test]
    fn it_is_asked_again_if_it_does_not_end() {
        let mut closing = Closing::asked();
        let stuck: Vec<bool> = (0..9)
            .map(|_| {
                closing.sweep(None, 2);
                closing.is_stuck()
            })
            .collect();
        let again: Vec<_> = (0..9).filter(|n| stuck[*n]).collect();
        assert_eq!(again, [3, 7]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes later: the first cause stands, and the end comes.
        #[test]
        fn there_is_no_way_back(
            later in prop::collection::vec(prop::option::of(0_usize..3), 8),
            patience in 0_u8..5,
        ) {
            let mut closing = Closing::default();
            let mut causes: Vec<Cause> = closing.sweep(Some(Cause::Revoked), patience).into_iter().collect();
            for doom in later {
                causes.extend(closing.sweep(doom.map(|at| Cause::ALL[at]), patience));
            }
            prop_assert!(!causes.is_empty());
            prop_assert!(causes.iter().all(|cause| *cause == Cause::Revoked));
        }
    }
}
