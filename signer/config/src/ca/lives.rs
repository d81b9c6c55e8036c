//! `[leaf]` and `[lifecycle]`: how long leaves, issuers and roots live.

use super::{
    duration,
    raw::{RawBeyond, RawLeaf, RawLifecycle, RawSchedule},
};
use crate::{Faults, keep};
use credence_ca::{
    life::{Beyond, Life},
    lifecycle::{RootSchedule, Settings, Terms},
};
use std::time::Duration;

pub(super) fn parse(raw: &RawLeaf) -> Result<Life, Faults> {
    let mut faults = Vec::new();
    let mut read = |name: &str, text: &Option<String>, default: u64| {
        keep(
            &mut faults,
            duration(name, text.as_deref(), Duration::from_secs(default)),
        )
    };
    let shortest = read("leaf.shortest", &raw.shortest, 60);
    let usual = read("leaf.usual", &raw.usual, 3_600);
    let longest = read("leaf.longest", &raw.longest, 86_400);
    let beyond = match raw.too_long {
        Some(RawBeyond::Refuse) => Beyond::Refuse,
        Some(RawBeyond::Clamp) | None => Beyond::Clamp,
    };
    let (Some(shortest), Some(usual), Some(longest)) = (shortest, usual, longest) else {
        return Err(Faults(faults));
    };
    Life::new(shortest, usual, longest, beyond).map_err(|e| Faults(vec![format!("leaf: {e}")]))
}

/// The lifecycle's numbers, where no leaf lives for longer than `longest`.
pub(super) fn settings(raw: &RawLifecycle, longest: Duration) -> Result<Settings, Faults> {
    let mut faults = Vec::new();
    let default = Terms::default();
    let mut read = |name: &str, text: &Option<String>, default: Duration| {
        keep(&mut faults, duration(name, text.as_deref(), default)).unwrap_or(default)
    };
    let terms = Terms {
        longest_leaf_life: longest,
        refresh_hint: read(
            "lifecycle.refresh_hint",
            &raw.refresh_hint,
            default.refresh_hint,
        ),
        clock_skew: read("lifecycle.clock_skew", &raw.clock_skew, default.clock_skew),
        issuer_life: read(
            "lifecycle.issuer_life",
            &raw.issuer_life,
            default.issuer_life,
        ),
        root_life: read("lifecycle.root_life", &raw.root_life, default.root_life),
        roots: match raw.rotate_roots {
            Some(RawSchedule::OnOrder) => RootSchedule::OnOrder,
            Some(RawSchedule::ByItself) | None => RootSchedule::ByItself,
        },
    };
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    Settings::try_from(terms).map_err(|e| Faults(vec![format!("lifecycle: {e}")]))
}
