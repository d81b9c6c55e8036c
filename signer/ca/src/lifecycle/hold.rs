//! What a gate says while it is shut: why, who, until when, and what can be done.

use super::{
    clock::Jump,
    id::{BundleId, CertificateId},
};
use crate::validity::Time;
use std::{fmt, time::Duration};

/// So many holders are named; all are counted.
pub const NAMED: usize = 100;

/// Why nobody can be said to be safe after the state was taken from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietWhy {
    /// From a backup: what was issued since is not known.
    Restored,
    /// From another CA, or another daemon: what it issued is not known.
    TakenOver,
    /// Holders have bundles that this state never published: it is an older one than theirs.
    LostHistory,
}

/// What a holder is waiting for, or is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It has not said what it has.
    Silent,
    /// It has this bundle, which is without the root.
    Behind(BundleId),
    /// It has this bundle, which is not one that is remembered.
    Unknown(BundleId),
    /// It reads roots when it starts, and was not reported restarted since the root is there.
    NeedsRestart,
    /// Its leaf chains to what is to be retired.
    OldChain,
}

/// A holder that holds up a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The holder's name.
    pub holder: String,
    /// Its identity.
    pub identity: String,
    /// What it lacks.
    pub lack: Lack,
    /// The end of the last of its leaves that count: then it holds up nothing.
    pub until: Time,
}

/// Holders that hold up a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// How many holders.
    pub holders: usize,
    /// How many of their leaves.
    pub leaves: usize,
    /// The end of the last leaf.
    pub until: Time,
    /// The first [`NAMED`] by name.
    pub named: Vec<Waiting>,
}

impl Crowd {
    /// Counts them. Leaves of one holder come one after another.
    pub(super) fn of(waiting: impl Iterator<Item = Waiting>) -> Option<Self> {
        let mut last = None;
        let mut crowd = Self {
            holders: 0,
            leaves: 0,
            until: Time::EPOCH,
            named: Vec::new(),
        };
        for one in waiting {
            crowd.leaves += 1;
            crowd.until = crowd.until.max(one.until);
            if last.as_ref() == Some(&one.holder) {
                crowd.widen(&one);
                continue;
            }
            crowd.holders += 1;
            last = Some(one.holder.clone());
            if crowd.named.len() < NAMED {
                crowd.named.push(one);
            }
        }
        (crowd.holders > 0).then_some(crowd)
    }

    fn widen(&mut self, again: &Waiting) {
        let same = |known: &&mut Waiting| known.holder == again.holder;
        if let Some(known) = self.named.last_mut().filter(same) {
            known.until = known.until.max(again.until);
        }
    }

    /// Those who have to be restarted, among those who are named.
    pub fn to_restart(&self) -> impl Iterator<Item = &Waiting> {
        let restart = |w: &&Waiting| w.lack == Lack::NeedsRestart;
        self.named.iter().filter(restart)
    }
}

/// A gate that is shut. Each variant is one gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The clock is in doubt: no gate opens.
    Clock {
        /// The jump.
        jump: Jump,
        /// How long both clocks have to run in step until the new time is believed.
        left: Duration,
    },
    /// Steps are not written to the ledger.
    Ledger {
        /// How many wait.
        unrecorded: usize,
    },
    /// The ledger's live leaves have not been read yet.
    LeavesUnknown,
    /// After a restore or takeover, the longest life of a leaf has to pass.
    Quiet {
        /// What happened.
        why: QuietWhy,
        /// How much observed time is left.
        left: Duration,
    },
    /// Holders have bundles with a higher number than any that was published.
    LostHistory(Crowd),
    /// The bundle with the root is not known to be served.
    NotServed,
    /// Those who come back for the bundle by themselves have not had the time.
    RefreshHints {
        /// How much observed time is left of three refresh hints.
        left: Duration,
    },
    /// Holders of live leaves do not have the root.
    Holders(Crowd),
    /// Registered verifiers do not have the root.
    Verifiers(Vec<String>),
    /// The certificate is not valid yet.
    NotYetValid {
        /// From when on it is.
        from: Time,
    },
    /// Too little of its life is left to begin with it.
    TooLittleLeft {
        /// Its end.
        ends: Time,
    },
    /// There is no issuer below the root.
    NoIssuer {
        /// The root.
        root: CertificateId,
    },
    /// Live leaves chain to it.
    Leaves(Crowd),
    /// Issuers below it are not retired.
    Issuers {
        /// How many.
        count: usize,
    },
}

impl Hold {
    /// The gate's name, for metrics.
    #[must_use]
    pub fn gate(&self) -> &'static str {
        match self {
            Self::Clock { .. } => "clock",
            Self::Ledger { .. } => "ledger",
            Self::LeavesUnknown => "leaves-unknown",
            Self::Quiet { .. } => "quiet",
            Self::LostHistory(_) => "lost-history",
            Self::NotServed => "not-served",
            Self::RefreshHints { .. } => "refresh-hints",
            Self::Holders(_) => "holders",
            Self::Verifiers(_) => "verifiers",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::TooLittleLeft { .. } => "too-little-left",
            Self::NoIssuer { .. } => "no-issuer",
            Self::Leaves(_) => "leaves",
            Self::Issuers { .. } => "issuers",
        }
    }
}

impl fmt::Display for QuietWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restored => "restored from a backup",
            Self::TakenOver => "taken over",
            Self::LostHistory => "found to be older than what holders have",
        })
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(f, "has not said which bundle it has"),
            Self::Behind(bundle) => write!(f, "has bundle {bundle}, without the root"),
            Self::Unknown(bundle) => write!(f, "has bundle {bundle}, which is not known here"),
            Self::NeedsRestart => {
                write!(f, "reads roots when it starts: restart it, and report it")
            }
            Self::OldChain => write!(f, "has a leaf of the old chain"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            holder,
            identity,
            lack,
            until,
        } = self;
        write!(f, "{holder} ({identity}) {lack}, until {until}")
    }
}

/// With the first three by name; with `{:#}` without.
impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            holders,
            leaves,
            until,
            named,
        } = self;
        write!(
            f,
            "{holders} holders with {leaves} leaves, the last until {until}"
        )?;
        if f.alternate() {
            return Ok(());
        }
        let mut separator = ": ";
        for one in named.iter().take(3) {
            write!(f, "{separator}{one}")?;
            separator = "; ";
        }
        if *holders > 3 {
            write!(f, "; …")
        } else {
            Ok(())
        }
    }
}

/// With holders by name as [`Crowd`] has them; with `{:#}` without.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock { jump, left } => write!(
                f,
                "the wall clock jumped by {jump}; believed again after {} s in step, or when an operator confirms it",
                left.as_secs()
            ),
            Self::Ledger { unrecorded } => {
                write!(f, "{unrecorded} steps are not in the ledger yet")
            }
            Self::LeavesUnknown => write!(f, "the ledger's live leaves are not read yet"),
            Self::Quiet { why, left } => write!(
                f,
                "the state was {why}: leaves that are not known here may live for {} s more",
                left.as_secs()
            ),
            Self::LostHistory(crowd) => {
                f.write_str(
                    "bundles are out there that this state never published (import their roots): ",
                )?;
                crowd.fmt(f)
            }
            Self::NotServed => write!(f, "the bundle with the root is not served yet"),
            Self::RefreshHints { left } => {
                write!(f, "{} s are left of three refresh hints", left.as_secs())
            }
            Self::Holders(crowd) => {
                f.write_str("live leaves are held without the root: ")?;
                crowd.fmt(f)
            }
            Self::Verifiers(names) => {
                write!(f, "verifiers without the root: {}", names.join(", "))
            }
            Self::NotYetValid { from } => write!(
                f,
                "not valid before {from}, by the time that was observed or believed"
            ),
            Self::TooLittleLeft { ends } => {
                write!(f, "ends on {ends}, too soon to begin with it: withdraw it")
            }
            Self::NoIssuer { root } => write!(
                f,
                "there is no issuer below root {root}; if its key is not here, import one"
            ),
            Self::Leaves(crowd) => {
                f.write_str("live leaves chain to it: ")?;
                crowd.fmt(f)
            }
            Self::Issuers { count } => write!(f, "{count} issuers below it are not retired"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(holder: usize, until: u64) -> Waiting {
        Waiting {
            holder: format!("pod {holder:03}"),
            identity: "spiffe://example.org/a".to_owned(),
            lack: Lack::NeedsRestart,
            until: Time::from_unix(until),
        }
    }

    #[test]
    fn all_are_counted_and_the_first_are_named() {
        assert_eq!(Crowd::of(std::iter::empty()), None);
        let leaves =
            (0..150).flat_map(|n| [waiting(n, 10), waiting(n, 20 + u64::try_from(n).unwrap())]);
        let crowd = Crowd::of(leaves).unwrap();
        assert_eq!((crowd.holders, crowd.leaves), (150, 300));
        assert_eq!(crowd.until, Time::from_unix(169));
        assert_eq!(
            (crowd.named.len(), crowd.to_restart().count()),
            (NAMED, NAMED)
        );
        // A holder is named once, until the last of its leaves has ended, and the last one named is no other's.
        assert_eq!(crowd.named[0], waiting(0, 20));
        assert_eq!(crowd.named[99], waiting(99, 119));
    }

    #[test]
    fn a_line_names_three() {
        let crowd = Crowd::of((0..5).map(|n| waiting(n, 10))).unwrap();
        let line = crowd.to_string();
        assert!(
            line.starts_with(
                "5 holders with 5 leaves, the last until 1970-01-01T00:00:10Z: pod 000"
            )
        );
        assert!(line.contains("pod 002") && !line.contains("pod 003") && line.ends_with("; …"));
        let count = "5 holders with 5 leaves, the last until 1970-01-01T00:00:10Z";
        for hold in [
            Hold::Holders(crowd.clone()),
            Hold::Leaves(crowd.clone()),
            Hold::LostHistory(crowd),
        ] {
            assert!(hold.to_string().ends_with(&line));
            assert!(format!("{hold:#}").ends_with(count));
        }
    }
}
