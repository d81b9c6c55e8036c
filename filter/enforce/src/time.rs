//! Time as a value: the host's clock, read at a tick and kept.

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(u64);

impl Millis {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// From nanoseconds since 1970, as the host has it.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds / 1_000_000)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }

    /// How long after `earlier` this is; none if the clock was set back in between.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }

    /// Whether this is later than a second of a certificate's validity, to the millisecond.
    #[must_use]
    pub fn is_after_second(self, second: i64) -> bool {
        i128::from(self.0) > i128::from(second) * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::Millis;

    #[test]
    fn a_second_ends_where_it_begins() {
        assert!(!Millis::new(5_000).is_after_second(5));
        assert!(Millis::new(5_001).is_after_second(5));
        assert!(Millis::new(0).is_after_second(-1));
        assert!(!Millis::new(u64::MAX).is_after_second(i64::MAX));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_distance() {
        assert_eq!(Millis::new(7).since(Millis::new(5)), Some(2));
        assert_eq!(Millis::new(5).since(Millis::new(7)), None);
        assert_eq!(Millis::from_nanoseconds(1_999_999), Millis::new(1));
    }
}
