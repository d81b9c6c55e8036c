//! Durations as Go writes them: `24h`, `1h30m`, `1.5s`.

use std::time::Duration;

/// Go counts nanoseconds in 63 bits: some 292 years.
const LONGEST: u128 = i64::MAX as u128;
/// Digits after a point that are looked at: a nanosecond is the ninth of a second, and an hour has four more.
const PLACES: usize = 15;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of Go's form.
    #[error("is not a duration such as 24h, 15m or 1h30m (units: ns, us, ms, s, m, h)")]
    Form,
    /// A number alone.
    #[error("has no unit: write 24h, 15m or 30s (units: ns, us, ms, s, m, h)")]
    NoUnit,
    /// Below nothing.
    #[error("is negative")]
    Negative,
    /// More than Go can hold.
    #[error("is longer than 292 years")]
    TooLong,
}

/// Reads a duration as Go's `time.ParseDuration` does, but for negative ones.
///
/// # Errors
/// If it is not of that form, is negative, or does not fit.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let total = sum(rest)?;
    if negative && total > 0 {
        return Err(DurationError::Negative);
    }
    let total = u64::try_from(total).map_err(|_| DurationError::TooLong)?;
    Ok(Duration::from_nanos(total))
}

/// The nanoseconds of all parts; at least one.
fn sum(mut rest: &str) -> Result<u128, DurationError> {
    let mut total: u128 = 0;
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    while !rest.is_empty() {
        let (nanoseconds, after) = part(rest)?;
        total += nanoseconds;
        if total > LONGEST {
            return Err(DurationError::TooLong);
        }
        rest = after;
    }
    Ok(total)
}

/// One number with its unit, and what follows.
fn part(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Form);
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let unit = unit(name)?;
    let whole: u128 = match whole {
        "" => 0,
        _ => whole.parse().map_err(|_| DurationError::TooLong)?,
    };
    let nanoseconds = whole.checked_mul(unit).filter(|n| *n <= LONGEST);
    let nanoseconds = nanoseconds.ok_or(DurationError::TooLong)?;
    Ok((nanoseconds + part_of(fraction, unit), rest))
}

fn unit(name: &str) -> Result<u128, DurationError> {
    Ok(match name {
        "" => return Err(DurationError::NoUnit),
        "ns" => 1,
        // the micro sign, and the Greek letter
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::Form),
    })
}

/// What the digits after a point are worth.
fn part_of(fraction: &str, unit: u128) -> u128 {
    let (value, scale) = fraction
        .bytes()
        .take(PLACES)
        .fold((0u128, 1u128), |(value, scale), digit| {
            (value * 10 + u128::from(digit - b'0'), scale * 10)
        });
    value * unit / scale
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_go_s() {
        let ns = Duration::from_nanos;
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("24h", 86_400_000_000_000),
            ("15m", 900_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1us2\u{b5}s3\u{3bc}s4ns", 6_004),
            ("1.0000000000000000000000001h", 3_600_000_000_000),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(ns(expected)), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        use DurationError as E;
        for (text, expected) in [
            ("", E::Form),
            ("+", E::Form),
            ("h", E::Form),
            (".s", E::Form),
            ("1d", E::Form),
            ("1H", E::Form),
            ("1 h", E::Form),
            (" 1h", E::Form),
            ("1h ", E::Form),
            ("1h-5m", E::Form),
            ("P1D", E::Form),
            ("24", E::NoUnit),
            ("1h30", E::NoUnit),
            ("-1h", E::Negative),
            ("9223372036854775808ns", E::TooLong),
            ("3000000h", E::TooLong),
            ("99999999999999999999999999999999999999999999h", E::TooLong),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_go_prints_is_read(h in 0u64..100_000, m in 0u64..60, s in 0u64..60) {
            let expected = Duration::from_secs(h * 3600 + m * 60 + s);
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")), Ok(expected));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}|[0-9.hmsnu]{0,60}") {
            let _ = parse(&text);
        }
    }
}
