//! How long a certificate lives, and how that is written.

use crate::der::{self, DerError, Reader, tag};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use thiserror::Error;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem,
    macros::format_description,
};

const UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
const GENERALIZED: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day][hour][minute][second]Z");
const TEXT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// 9999-12-31T23:59:59Z: "no well-defined expiration date" (RFC 5280 §4.1.2.5)
const LAST: u64 = 253_402_300_799;
/// 2050-01-01T00:00:00Z: from here on GeneralizedTime (RFC 5280 §4.1.2.5)
const GENERALIZED_FROM: u64 = 2_524_608_000;

/// A point in time, whole seconds since 1970-01-01T00:00:00Z, not after the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Time(u64);

impl Time {
    /// 1970-01-01T00:00:00Z
    pub const EPOCH: Self = Self(0);

    /// From seconds since 1970; what lies after the year 9999 becomes its last second.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds.min(LAST))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix(self) -> u64 {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix(self.0.saturating_add(duration.as_secs()))
    }

    /// This much earlier, not before 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long after `earlier`; nothing if before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    fn date_time(self) -> OffsetDateTime {
        i64::try_from(self.0)
            .ok()
            .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn write(self, format: &[BorrowedFormatItem<'_>]) -> String {
        self.date_time().format(format).unwrap_or_default()
    }

    /// The one DER Time (RFC 5280 §4.1.2.5): UTCTime before 2050, GeneralizedTime from then on.
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        if self.0 < GENERALIZED_FROM {
            der::encode(tag::UTC_TIME, self.write(UTC).as_bytes())
        } else {
            der::encode(tag::GENERALIZED_TIME, self.write(GENERALIZED).as_bytes())
        }
    }

    /// Reads the next Time; only what [`Time::to_der`] would write.
    ///
    /// # Errors
    /// If it is another element, another form, or before 1970.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        const WHY: DerError = DerError::Value("Time");
        let tlv = reader.any()?;
        let text = std::str::from_utf8(tlv.value).map_err(|_| WHY)?;
        let full = match tlv.tag {
            // RFC 5280 §4.1.2.5.1: YY >= 50 is 19YY
            tag::UTC_TIME if text >= "5" => format!("19{text}"),
            tag::UTC_TIME => format!("20{text}"),
            tag::GENERALIZED_TIME => text.to_owned(),
            _ => return Err(WHY),
        };
        let seconds = PrimitiveDateTime::parse(&full, GENERALIZED)
            .map_err(|_| WHY)?
            .assume_utc()
            .unix_timestamp();
        let time = Self::from_unix(u64::try_from(seconds).map_err(|_| WHY)?);
        if time.to_der() == tlv.raw {
            Ok(time)
        } else {
            Err(WHY)
        }
    }
}

impl From<u64> for Time {
    fn from(seconds: u64) -> Self {
        Self::from_unix(seconds)
    }
}

impl From<Time> for u64 {
    fn from(time: Time) -> Self {
        time.unix()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(TEXT))
    }
}

/// notBefore and notAfter, both inclusive (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// The first good second.
    pub not_before: Time,
    /// The last good second.
    pub not_after: Time,
}

impl Validity {
    /// The DER Validity.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        der::sequence(&[&self.not_before.to_der(), &self.not_after.to_der()])
    }

    /// Reads the next Validity.
    ///
    /// # Errors
    /// If another element stands there, or it is not canonical.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        let mut fields = Reader::new(reader.expect(tag::SEQUENCE)?.value);
        let not_before = Time::read(&mut fields)?;
        let not_after = Time::read(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            not_before,
            not_after,
        })
    }

    /// From the first to the last good second.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.not_after.since(self.not_before)
    }

    /// Whether `now` lies within.
    #[must_use]
    pub fn contains(&self, now: Time) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.not_before, self.not_after)
    }
}

/// Why no validity can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ValidityError {
    /// The issuer is not valid now, so nothing that it signs would be.
    #[error("the issuer's certificate is valid from {0}, which does not include {1}")]
    Issuer(Validity, Time),
    /// A life of no length.
    #[error("a certificate's life has to be at least a second")]
    NoLife,
}

/// How far notBefore is set back, for clocks that are behind, where nothing else is said.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// As [`plan_with`], set back by [`BACKDATE`].
///
/// # Errors
/// As there.
pub fn plan(
    now: Time,
    life: Duration,
    issuer: Option<Validity>,
) -> Result<Validity, ValidityError> {
    plan_with(now, life, BACKDATE, issuer)
}

/// The validity of a certificate that is asked for now: `life` from now on, set back by `backdate`
/// but by no more than a quarter of the life, and within the issuer's own validity.
///
/// # Errors
/// If the issuer is not valid now, or the life is under a second.
pub fn plan_with(
    now: Time,
    life: Duration,
    backdate: Duration,
    issuer: Option<Validity>,
) -> Result<Validity, ValidityError> {
    if life.as_secs() == 0 {
        return Err(ValidityError::NoLife);
    }
    let planned = Validity {
        not_before: now.minus(backdate.min(life / 4)),
        not_after: now.plus(life),
    };
    match issuer {
        None => Ok(planned),
        Some(issuer) if issuer.contains(now) => Ok(Validity {
            not_before: planned.not_before.max(issuer.not_before),
            not_after: planned.not_after.min(issuer.not_after),
        }),
        Some(issuer) => Err(ValidityError::Issuer(issuer, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Time = Time(1_800_000_000);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn writes_utc_before_2050_and_generalized_after() {
        assert_eq!(
            Time(GENERALIZED_FROM - 1).to_der(),
            der::encode(tag::UTC_TIME, b"491231235959Z")
        );
        assert_eq!(
            Time(GENERALIZED_FROM).to_der(),
            der::encode(tag::GENERALIZED_TIME, b"20500101000000Z")
        );
        assert_eq!(
            Time::from_unix(u64::MAX).to_string(),
            "9999-12-31T23:59:59Z"
        );
    }

    #[test]
    fn reads_only_the_one_form() {
        for (tag, text) in [
            (tag::UTC_TIME, "4912312359Z"),
            (tag::UTC_TIME, "491231235959+0000"),
            (tag::UTC_TIME, "500101000000Z"),
            (tag::UTC_TIME, "491331235959Z"),
            (tag::GENERALIZED_TIME, "20491231235959Z"),
            (tag::GENERALIZED_TIME, "20500101000000.0Z"),
            (tag::OCTET_STRING, "491231235959Z"),
        ] {
            let bytes = der::encode(tag, text.as_bytes());
            assert!(Time::read(&mut Reader::new(&bytes)).is_err(), "{text}");
        }
    }

    #[test]
    fn backdates_by_a_quarter_at_most() {
        let short = plan(NOW, seconds(20), None).unwrap();
        assert_eq!(
            (NOW.since(short.not_before), short.not_after.since(NOW)),
            (seconds(5), seconds(20))
        );
        let long = plan(NOW, seconds(3600), None).unwrap();
        assert_eq!(NOW.since(long.not_before), BACKDATE);
        for (backdate, by) in [
            (seconds(900), 900),
            (seconds(901), 900),
            (Duration::ZERO, 0),
        ] {
            let other = plan_with(NOW, seconds(3600), backdate, None).unwrap();
            assert_eq!(NOW.since(other.not_before), seconds(by));
        }
    }

    #[test]
    fn never_outlives_the_issuer() {
        let issuer = Validity {
            not_before: NOW.minus(seconds(2)),
            not_after: NOW.plus(seconds(7)),
        };
        assert_eq!(plan(NOW, seconds(3600), Some(issuer)), Ok(issuer));
    }

    #[test]
    fn refuses_an_issuer_that_is_not_valid_now() {
        let issuer = Validity {
            not_before: NOW.minus(seconds(9)),
            not_after: NOW.minus(seconds(1)),
        };
        assert_eq!(
            plan(NOW, seconds(60), Some(issuer)),
            Err(ValidityError::Issuer(issuer, NOW))
        );
        assert_eq!(
            plan(NOW, Duration::from_millis(999), None),
            Err(ValidityError::NoLife)
        );
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(seconds in 0..LAST) {
            let bytes = Time(seconds).to_der();
            prop_assert_eq!(Time::read(&mut Reader::new(&bytes)), Ok(Time(seconds)));
        }
    }
}
