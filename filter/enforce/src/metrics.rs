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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Tally, counter_name};
    use crate::verdict::{Reason, Refusal, refuse};

    #[test]
    fn every_reason_has_a_name_of_its_own_that_the_tags_can_split() {
        let names: HashSet<_> = Reason::ALL.into_iter().map(counter_name).collect();
        assert_eq!(names.len(), Reason::COUNT);
        for name in names {
            let parts: Vec<_> = name.split('.').collect();
            let [
                "credence",
                "requests_total",
                "inbound",
                "allow" | "deny",
                reason,
            ] = parts[..]
            else {
                panic!("{name}");
            };
            assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }

    #[test]
    fn every_reason_is_in_the_documentation() {
        let table = include_str!("../../../docs/metrics.md");
        for reason in Reason::ALL {
            let decision = if reason.allows() { "allow" } else { "deny" };
            let row = format!("| `{}` | {decision}", reason.label());
            assert!(table.contains(&row), "{row}");
        }
    }

    #[test]
    fn what_is_not_taken_is_kept_and_nothing_is_counted_twice() {
        let mut tally = Tally::default();
        let verdict = refuse(Refusal::new(Reason::NoCertificate));
        let flush = |tally: &mut Tally, takes: bool| {
            let mut seen = Vec::new();
            tally.flush(|at, reason, count| {
                assert_eq!(Reason::ALL[at], reason);
                seen.push((reason, count));
                takes
            });
            seen
        };
        tally.record(&verdict);
        assert_eq!(flush(&mut tally, false), [(Reason::NoCertificate, 1)]);
        tally.record(&verdict);
        assert_eq!(flush(&mut tally, true), [(Reason::NoCertificate, 2)]);
        assert_eq!(flush(&mut tally, true), []);
    }
}
