//! `[limits]`: what is taken before the daemon says no.

use super::{duration, raw::RawLimits};
use crate::{Faults, keep};
use credence_ca::rate::Rate;
use std::ops::RangeInclusive;

/// What is taken. What is not said is the daemon's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once.
    pub connections: Option<usize>,
    /// Connections of one address at once.
    pub connections_per_address: Option<usize>,
    /// Certificates being signed or put on record at once.
    pub signing: Option<usize>,
    /// Requests at the desk at once.
    pub waiting: Option<usize>,
    /// How many certificates one identity gets.
    pub identity: Rate,
    /// How many all get together.
    pub global: Rate,
}

/// Every bound is there; none can be "none".
const MANY: RangeInclusive<usize> = 1..=1_000_000;

pub(super) fn parse(raw: &RawLimits) -> Result<Limits, Faults> {
    let mut faults = Vec::new();
    let mut many = |name: &str, given: Option<usize>| match given {
        Some(given) if !MANY.contains(&given) => {
            faults.push(format!(
                "limits.{name}: {given} is not between {} and {}",
                MANY.start(),
                MANY.end()
            ));
            None
        }
        given => given,
    };
    let connections = many("connections", raw.connections);
    let connections_per_address = many("connections_per_address", raw.connections_per_address);
    let signing = many("signing", raw.signing);
    let waiting = many("waiting", raw.waiting);
    let identity = rate(
        "identity",
        raw.identity_burst,
        raw.identity_interval.as_deref(),
        Rate::IDENTITY,
    );
    let identity = keep(&mut faults, identity);
    let global = rate(
        "global",
        raw.global_burst,
        raw.global_interval.as_deref(),
        Rate::GLOBAL,
    );
    let global = keep(&mut faults, global);
    match (identity, global) {
        (Some(identity), Some(global)) if faults.is_empty() => Ok(Limits {
            connections,
            connections_per_address,
            signing,
            waiting,
            identity,
            global,
        }),
        _ => Err(Faults(faults)),
    }
}

fn rate(
    name: &str,
    burst: Option<u32>,
    interval: Option<&str>,
    usual: Rate,
) -> Result<Rate, String> {
    let place = format!("limits.{name}_interval");
    let interval = duration(&place, interval, usual.interval())?;
    Rate::new(burst.unwrap_or(usual.burst()), interval).map_err(|e| format!("limits.{name}: {e}"))
}
