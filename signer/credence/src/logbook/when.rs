//! Times as they are typed.

use credence_ca::validity::Time;
use std::{str::FromStr, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time: on the calendar, or so far away from now. In which direction, the option says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(Time),
    Away(Duration),
}

impl When {
    /// So long ago.
    pub(crate) fn past(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Away(duration) => now.minus(duration),
        }
    }

    /// In so long.
    pub(crate) fn future(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Away(duration) => now.plus(duration),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        calendar(text)
            .or_else(|| calendar(&format!("{text}T00:00:00Z")))
            .map(Self::At)
            .or_else(|| humantime::parse_duration(text).ok().map(Self::Away))
            .ok_or_else(|| {
                "a time is RFC 3339 (2026-01-31T12:00:00Z), a day (2026-01-31), or how far away it is (90s, 2h, 30d)"
                    .to_owned()
            })
    }
}

fn calendar(text: &str) -> Option<Time> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
    u64::try_from(seconds).ok().map(Time::from_unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_on_the_calendar_or_away() {
        let at = |seconds| When::At(Time::from_unix(seconds));
        for (text, when) in [
            ("2026-01-01T00:00:00Z", at(1_767_225_600)),
            ("2026-01-01T02:00:00+02:00", at(1_767_225_600)),
            ("2026-01-01", at(1_767_225_600)),
            ("90m", When::Away(Duration::from_secs(5400))),
            ("1day 2h", When::Away(Duration::from_secs(93_600))),
        ] {
            assert_eq!(text.parse(), Ok(when), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "-2h", "1969-01-01", "17"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_option_says_in_which_direction() {
        let now = Time::from_unix(1000);
        let away = When::Away(Duration::from_secs(10));
        assert_eq!(away.past(now), Time::from_unix(990));
        assert_eq!(away.future(now), Time::from_unix(1010));
    }
}
