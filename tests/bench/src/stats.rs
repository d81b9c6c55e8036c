//! Medians and their spread.

/// A median with the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the values is at or below it.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
}

impl Spread {
    /// The spread of some values; none of none, or if one is not a number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        if sorted.iter().any(|value| value.is_nan()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// The spread of the differences of pairs, `value - baseline`: what is common to both of a pair,
    /// a busy machine above all, falls out.
    #[must_use]
    pub fn of_pairs(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(value, baseline)| value - baseline))
    }
}

/// The quantile `q` (0 to 1) of sorted values, interpolated between neighbours.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into a list in memory, clamped to it"
)]
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = at.floor();
    let low = sorted.get(below as usize)?;
    let high = sorted.get(at.ceil() as usize)?;
    Some(low + (high - low) * (at - below))
}

/// Where a line through two points meets a height; none if it is level or falls.
#[must_use]
pub fn meets((x1, y1): (f64, f64), (x2, y2): (f64, f64), height: f64) -> Option<f64> {
    let slope = (y2 - y1) / (x2 - x1);
    (slope > 0.0).then(|| x1 + (height - y1) / slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_and_clamped() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&values, 7.0), Some(4.0));
        assert_eq!(quantile(&[5.0], 0.99), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn one_wild_round_moves_neither_median_nor_quartiles_far() {
        let spread = Spread::of([3.0, 1.0, 2.0, 4.0, 1000.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
    }

    #[test]
    fn nothing_and_not_a_number_have_no_spread() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
    }

    #[test]
    fn what_a_pair_shares_falls_out() {
        let noise = [0.0, 30.0, 5.0];
        let pairs = noise.map(|n| (29.0 + n, 25.0 + n));
        let spread = Spread::of_pairs(pairs).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (4.0, 4.0, 4.0));
    }

    #[test]
    fn a_line_meets_a_height_only_if_it_rises() {
        assert_eq!(meets((1.0, 10.0), (101.0, 20.0), 15.0), Some(51.0));
        assert_eq!(meets((1.0, 10.0), (101.0, 10.0), 15.0), None);
    }
}
