//! What was counted and not handed over to the host yet.
//!
//! Counting costs no host call; a tick hands over. Every series is bounded: by the reasons, by the rules that
//! a configuration names, by the identities that the ledger holds.

use std::collections::BTreeMap;

use credence_policy::{Decision, Policy};

use crate::{
    names::{OVERFLOW, of_rule},
    ports::Meters,
};

/// Counters with a rule as label.
#[cfg(test)]
pub(crate) const RULE_COUNTERS: [&str; 3] = [HITS, DRY_RUN_DENIALS, AUDIT_HITS];
const HITS: &str = "rule_hits_total";
const DRY_RUN_DENIALS: &str = "dry_run_denials_total";
const AUDIT_HITS: &str = "audit_hits_total";

/// Counts of one worker, by name.
#[derive(Debug, Default)]
pub struct Tally {
    pending: BTreeMap<String, i64>,
}

impl Tally {
    /// Counts.
    pub fn add(&mut self, counter: String, by: i64) {
        if by > 0 {
            let count = self.pending.entry(counter).or_default();
            *count = count.saturating_add(by);
        }
    }

    /// Hands over what there is; what is not taken is kept for the next time.
    pub fn flush(&mut self, meters: &mut impl Meters) {
        self.pending.retain(|name, by| !meters.add(name, *by));
    }
}

/// Counts by position, for what is counted with each request.
#[derive(Debug, Default)]
pub(crate) struct Positions(Vec<i64>);

impl Positions {
    pub(crate) fn add(&mut self, at: usize) {
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), 0);
        }
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Moves what there is into a tally.
    pub(crate) fn drain(&mut self, tally: &mut Tally, name: impl Fn(usize) -> String) {
        for (at, count) in self.0.iter_mut().enumerate() {
            if *count > 0 {
                tally.add(name(at), std::mem::take(count));
            }
        }
    }
}

/// Counts of the rules of one configuration. The first of them have a series each, the rest share one.
#[derive(Debug)]
pub(crate) struct RuleCounts {
    named: Vec<String>,
    servers: Vec<String>,
    hits: Positions,
    audits: Positions,
    dry: BTreeMap<String, i64>,
}

impl RuleCounts {
    /// For the rules and servers of a policy, `cap` of either by name.
    pub(crate) fn new(policy: &Policy, cap: usize) -> Self {
        Self {
            named: policy.rule_names().take(cap).map(str::to_owned).collect(),
            servers: policy.server_names().take(cap).map(str::to_owned).collect(),
            hits: Positions::default(),
            audits: Positions::default(),
            dry: BTreeMap::new(),
        }
    }

    /// Counts the rules that a decision names.
    pub(crate) fn decision(&mut self, decision: &Decision) {
        if let Some(rule) = decision.rule_index() {
            self.hits.add(rule.min(self.named.len()));
        }
        for rule in decision.audited() {
            self.audits.add(rule.index().min(self.named.len()));
        }
    }

    /// Counts what a dry run would have refused: for the rule or server of this name, or for a reason in
    /// parentheses.
    pub(crate) fn would_deny(&mut self, label: String) {
        let mut names = self.named.iter().chain(&self.servers);
        let is_named = label.starts_with('(') || names.any(|name| *name == label);
        let label = if is_named { label } else { OVERFLOW.into() };
        *self.dry.entry(label).or_default() += 1;
    }

    /// Moves what there is into a tally.
    pub(crate) fn drain(&mut self, tally: &mut Tally) {
        let named = &self.named;
        let name = |at: usize| named.get(at).map_or(OVERFLOW, String::as_str);
        self.hits.drain(tally, |at| of_rule(HITS, name(at)));
        self.audits.drain(tally, |at| of_rule(AUDIT_HITS, name(at)));
        for (label, count) in std::mem::take(&mut self.dry) {
            tally.add(of_rule(DRY_RUN_DENIALS, &label), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Positions, Tally};
    use crate::testing::Recorder;

    #[test]
    fn what_is_not_taken_is_kept_and_nothing_is_counted_twice() {
        let mut tally = Tally::default();
        let mut meters = Recorder::default();
        tally.add("a".into(), 1);
        meters.refuses = true;
        tally.flush(&mut meters);
        assert!(meters.counters.is_empty());
        tally.add("a".into(), 1);
        meters.refuses = false;
        tally.flush(&mut meters);
        tally.flush(&mut meters);
        assert_eq!(meters.counters["a"], 2);
    }

    #[test]
    fn positions_are_counted_and_drained() {
        let mut positions = Positions::default();
        for at in [3, 0, 3] {
            positions.add(at);
        }
        let mut tally = Tally::default();
        for _ in 0..2 {
            positions.drain(&mut tally, |at| at.to_string());
        }
        let counted: Vec<_> = tally.pending.into_iter().collect();
        assert_eq!(counted, [("0".to_owned(), 1), ("3".to_owned(), 2)]);
    }
}
