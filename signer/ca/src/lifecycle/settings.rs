//! The numbers that the lifecycle goes by.

use super::clock::Observed;
use crate::profile::Profile;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * HOUR.as_secs());

/// Who begins the rotation of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootSchedule {
    /// The state machine, once a third of the root's life is left, if the root's key is here.
    ByItself,
    /// An operator only.
    OnOrder,
}

/// [`Settings`] before they are looked at. Durations are whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The longest life that a leaf is given.
    #[serde(with = "seconds")]
    pub longest_leaf_life: Duration,
    /// How often consumers of the bundle are told to come back (`spiffe_refresh_hint`).
    #[serde(with = "seconds")]
    pub refresh_hint: Duration,
    /// How far the clocks of those who verify may be behind.
    #[serde(with = "seconds")]
    pub clock_skew: Duration,
    /// The life of an issuer that is made here.
    #[serde(with = "seconds")]
    pub issuer_life: Duration,
    /// The life of a root that is made here.
    #[serde(with = "seconds")]
    pub root_life: Duration,
    /// Who begins the rotation of a root.
    pub roots: RootSchedule,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            longest_leaf_life: DAY,
            refresh_hint: Duration::from_secs(300),
            clock_skew: Duration::from_secs(300),
            issuer_life: DAY * 365,
            root_life: DAY * 3650,
            roots: RootSchedule::ByItself,
        }
    }
}

/// Why settings are not taken. Durations are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A value outside its bounds.
    #[error("{0} is {1} s; it may be {2} s to {3} s")]
    OutOfBounds(&'static str, u64, u64, u64),
    /// A CA's life that leaves no time to replace it.
    #[error(
        "{0} is {1} s; with these lives of leaves and refresh hints a rotation needs at least {2} s"
    )]
    TooShort(&'static str, u64, u64),
}

/// Numbers that fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Settings(Terms);

impl TryFrom<Terms> for Settings {
    type Error = SettingsError;

    fn try_from(terms: Terms) -> Result<Self, SettingsError> {
        let second = Duration::from_secs(1);
        let leaf = Profile::X509Svid.longest_life();
        within("longest_leaf_life", terms.longest_leaf_life, second, leaf)?;
        within("refresh_hint", terms.refresh_hint, second, DAY)?;
        within("clock_skew", terms.clock_skew, Duration::ZERO, HOUR)?;
        let (issuer, root) = (Profile::Issuer, Profile::Root);
        let settings = Self(terms);
        let (leads, longest) = (settings.issuer_lead() * 2, issuer.longest_life());
        lives("issuer_life", terms.issuer_life, leads, longest)?;
        let (leads, longest) = (settings.root_lead() * 2, root.longest_life());
        lives("root_life", terms.root_life, leads, longest)?;
        Ok(settings)
    }
}

fn within(
    name: &'static str,
    value: Duration,
    from: Duration,
    to: Duration,
) -> Result<(), SettingsError> {
    if (from..=to).contains(&value) && value.subsec_nanos() == 0 {
        return Ok(());
    }
    let (from, to) = (from.as_secs(), to.as_secs());
    Err(SettingsError::OutOfBounds(name, value.as_secs(), from, to))
}

fn lives(
    name: &'static str,
    value: Duration,
    needed: Duration,
    longest: Duration,
) -> Result<(), SettingsError> {
    if value < needed {
        let (value, needed) = (value.as_secs(), needed.as_secs());
        return Err(SettingsError::TooShort(name, value, needed));
    }
    within(name, value, needed, longest)
}

impl From<Settings> for Terms {
    fn from(settings: Settings) -> Self {
        settings.0
    }
}

impl Settings {
    /// The numbers.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0
    }

    /// An issuer with no more than this left is replaced: two lives of a leaf, so that what remains always exceeds one, with time
    /// for a clock to be believed again in between.
    #[must_use]
    pub fn issuer_lead(&self) -> Duration {
        self.0.longest_leaf_life * 2 + self.0.refresh_hint * 6 + self.0.clock_skew
    }

    /// A root with no more than this left is replaced, and one with no more than this is not begun with: the time of a
    /// distribution, and then an issuer's.
    #[must_use]
    pub fn root_lead(&self) -> Duration {
        self.issuer_lead() * 2
    }

    /// When a CA of this life is due: with a third of its life left, or `lead` if that is more.
    pub(super) fn due(life: Duration, lead: Duration) -> Duration {
        (life / 3).max(lead)
    }
}

/// A duration that holds for others for some time after it was made shorter: leaves issued before live as long as they
/// were told, and who was told to come back in an hour does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lasting {
    #[serde(with = "seconds")]
    now: Duration,
    before: Option<Former>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Former {
    #[serde(with = "seconds")]
    value: Duration,
    until: Observed,
}

impl Lasting {
    pub(super) fn new(value: Duration) -> Self {
        Self {
            now: value,
            before: None,
        }
    }

    /// The longest that anybody may still go by.
    pub(super) fn longest(&self, now: Observed) -> Duration {
        match self.before {
            Some(former) if now < former.until => former.value.max(self.now),
            Some(_) | None => self.now,
        }
    }

    /// From now on `value`; who goes by a longer one does so for that long, and for `margin`.
    pub(super) fn set(&mut self, value: Duration, now: Observed, margin: Duration) {
        let longest = self.longest(now);
        self.before = (longest > value).then(|| Former {
            value: longest,
            until: now.plus(longest).plus(margin),
        });
        self.now = value;
    }
}

/// Durations as whole seconds.
pub(super) mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.as_secs())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_defaults_fit_together() {
        let settings = Settings::try_from(Terms::default()).unwrap();
        assert_eq!(settings.issuer_lead(), DAY * 2 + seconds(2100));
        assert_eq!(settings.root_lead(), DAY * 4 + seconds(4200));
    }

    #[test]
    fn each_number_has_bounds() {
        let good = Terms::default();
        for (bad, name) in [
            (
                Terms {
                    longest_leaf_life: DAY * 8,
                    ..good
                },
                "longest_leaf_life",
            ),
            (
                Terms {
                    longest_leaf_life: Duration::from_millis(1500),
                    ..good
                },
                "longest_leaf_life",
            ),
            (
                Terms {
                    refresh_hint: seconds(0),
                    ..good
                },
                "refresh_hint",
            ),
            (
                Terms {
                    clock_skew: HOUR * 2,
                    ..good
                },
                "clock_skew",
            ),
            (
                Terms {
                    issuer_life: DAY * 401,
                    ..good
                },
                "issuer_life",
            ),
            (
                Terms {
                    issuer_life: DAY * 4,
                    ..good
                },
                "issuer_life",
            ),
            (
                Terms {
                    root_life: DAY * 8,
                    ..good
                },
                "root_life",
            ),
            (
                Terms {
                    root_life: DAY * 4000,
                    ..good
                },
                "root_life",
            ),
        ] {
            let error = Settings::try_from(bad).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_shorter_life_counts_once_the_longer_ones_are_over() {
        let mut life = Lasting::new(seconds(100));
        let at = |n| Observed::default().plus(seconds(n));
        life.set(seconds(10), at(0), seconds(5));
        assert_eq!(life.longest(at(104)), seconds(100));
        assert_eq!(life.longest(at(105)), seconds(10));
        // Made shorter twice: the longest is still somebody's.
        life.set(seconds(5), at(50), seconds(5));
        assert_eq!(life.longest(at(154)), seconds(100));
        life.set(seconds(200), at(60), seconds(5));
        assert_eq!(life.longest(at(60)), seconds(200));
        assert_eq!(life.longest(at(1000)), seconds(200));
    }
}
