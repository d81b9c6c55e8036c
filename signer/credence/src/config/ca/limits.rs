//! `[limits]`: what is taken before the daemon says no.

use super::{Faults, duration, keep, raw::RawLimits};
use credence_daemon::limits::Rate;
use credence_service::plan::Limits;
use std::{ops::RangeInclusive, time::Duration};

/// Every bound is there; none can be "none".
const MANY: RangeInclusive<usize> = 1..=1_000_000;

pub(super) fn parse(raw: &RawLimits) -> Result<Limits, Faults> {
    let mut faults = Vec::new();
    let mut limits = Limits::default();
    for (name, given, place) in [
        (
            "connections",
            raw.connections,
            &mut limits.connections.connections,
        ),
        (
            "connections_per_address",
            raw.connections_per_address,
            &mut limits.connections.per_address,
        ),
        ("signing", raw.signing, &mut limits.issuance.signing),
        ("waiting", raw.waiting, &mut limits.issuance.waiting),
    ] {
        match given {
            None => {}
            Some(given) if MANY.contains(&given) => *place = given,
            Some(given) => faults.push(format!(
                "limits.{name}: {given} is not between {} and {}",
                MANY.start(),
                MANY.end()
            )),
        }
    }
    let identity = rate(
        "identity",
        raw.identity_burst,
        raw.identity_interval.as_deref(),
        (60, 1_000_000),
    );
    limits.issuance.identity = keep(&mut faults, identity).unwrap_or(limits.issuance.identity);
    let global = rate(
        "global",
        raw.global_burst,
        raw.global_interval.as_deref(),
        (20_000, 100),
    );
    limits.issuance.global = keep(&mut faults, global).unwrap_or(limits.issuance.global);
    if faults.is_empty() {
        Ok(limits)
    } else {
        Err(Faults(faults))
    }
}

fn rate(
    name: &str,
    burst: Option<u32>,
    interval: Option<&str>,
    (usual, micros): (u32, u64),
) -> Result<Rate, String> {
    let place = format!("limits.{name}_interval");
    let interval = duration(&place, interval, Duration::from_micros(micros))?;
    Rate::new(burst.unwrap_or(usual), interval).map_err(|e| format!("limits.{name}: {e}"))
}
