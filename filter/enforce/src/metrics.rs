//! What is counted, and under which names.
//!
//! Envoy prefixes what a Wasm module defines with `wasmcustom.` and makes labels of a name's parts only if
//! its bootstrap says how. Every bootstrap needs, under `stats_config.stats_tags`:
//!
//! | `tag_name` | `regex` |
//! |---|---|
//! | `direction` | `^wasmcustom\.credence\.requests_total(\.(inbound\|outbound))\.` |
//! | `decision` | `^wasmcustom\.credence\.requests_total\.[^.]+(\.([^.]+))\.` |
//! | `reason` | `^wasmcustom\.credence\.requests_total\.[^.]+\.[^.]+(\.([^.]+))$` |
//!
//! (without the backslash before `|`, which only the table needs). Then Prometheus reads
//! `credence_requests_total{direction="inbound",decision="deny",reason="no_rule"}`.

use crate::verdict::{Reason, Verdict};

/// The name under which inbound requests decided for this reason are counted.
#[must_use]
pub fn counter_name(reason: Reason) -> String {
    let decision = if reason.allows() { "allow" } else { "deny" };
    format!(
        "credence.requests_total.inbound.{decision}.{}",
        reason.label()
    )
}

/// Decisions that were made and not handed over to the host yet. Its series are the values of
/// [`Reason`] and no more, so it needs no cap.
#[derive(Debug, Default)]
pub struct Tally {
    pending: [i64; Reason::COUNT],
    dirty: bool,
}

impl Tally {
    /// Counts one verdict.
    pub fn record(&mut self, verdict: &Verdict) {
        let reason = verdict.reason();
        for (count, of) in self.pending.iter_mut().zip(Reason::ALL) {
            if of == reason {
                *count = count.saturating_add(1);
                self.dirty = true;
            }
        }
    }

    /// Hands each count that is not 0 to `deliver`, with its reason's position in [`Reason::ALL`].
    /// What it does not take (by answering false) is kept for the next time.
    pub fn flush(&mut self, mut deliver: impl FnMut(usize, Reason, i64) -> bool) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        for (at, (count, reason)) in self.pending.iter_mut().zip(Reason::ALL).enumerate() {
            if *count == 0 {
                continue;
            }
            if deliver(at, reason, *count) {
                *count = 0;
            } else {
                self.dirty = true;
            }
        }
    }
}
