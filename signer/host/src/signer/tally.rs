//! How the module does: what it did, and how often in a row it misbehaved.

use crate::{
    authority::IssueError,
    metrics::{Counter, Family, Kind, Sample},
    sandbox::{Bound, Sandbox, SandboxError},
};
use credence_ca::guard::Rule;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the module can be relied on. Requests are served either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It can, as far as is known.
    Good,
    /// It misbehaved so often in a row, and as often as the configuration says is enough.
    Degraded {
        /// How often since its last good answer.
        misbehaviours: u32,
    },
}

#[derive(Debug)]
pub(super) struct Tally {
    patience: u32,
    in_a_row: AtomicU32,
    accepted: Counter,
    rejections: Family,
    traps: Counter,
    bounds: Family,
    refusals: Family,
    loads: Family,
}

impl Tally {
    pub(super) fn new(patience: u32) -> Self {
        Self {
            patience,
            in_a_row: AtomicU32::new(0),
            accepted: Counter::new("credence_module_proposals_accepted_total"),
            rejections: Family::new("credence_module_rejections_total", "kind"),
            traps: Counter::new("credence_module_traps_total"),
            bounds: Family::new("credence_module_bound_hits_total", "bound")
                .with(Bound::ALL.map(Bound::name)),
            refusals: Family::new("credence_guard_refusals_total", "rule")
                .with(Rule::ALL.map(Rule::name)),
            loads: Family::new("credence_module_loads_total", "outcome").with(["taken", "refused"]),
        }
    }

    /// A module was taken: what the one before it did is forgotten.
    pub(super) fn took(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.loads.add("taken");
    }

    pub(super) fn turned_down(&self) {
        self.loads.add("refused");
    }

    /// Counts how a request ended: with an error, or well.
    pub(super) fn count(&self, error: Option<&IssueError>) {
        match error {
            Some(IssueError::Module(error)) => self.count_module(error),
            Some(IssueError::Guard(refusal)) => {
                self.refusals.add(refusal.rule.name());
                self.misbehaved();
            }
            // the module's part was done, and well
            None | Some(IssueError::Custody(_)) => {
                self.accepted.add();
                self.behaved();
            }
            Some(_) => {}
        }
    }

    fn count_module(&self, error: &SandboxError) {
        match (error, error.bound()) {
            (SandboxError::Rejected(rejection), _) => self.rejections.add(rejection.kind),
            (_, Some(bound)) => self.bounds.add(bound.name()),
            (_, None) => self.traps.add(),
        }
        if error.is_misbehaviour() {
            self.misbehaved();
        }
    }

    fn misbehaved(&self) {
        let times = self
            .in_a_row
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if times == self.patience {
            tracing::error!(times, "the signing module misbehaves: degraded");
        }
    }

    fn behaved(&self) {
        if self.in_a_row.swap(0, Ordering::Relaxed) >= self.patience {
            tracing::info!("the signing module answers well again");
        }
    }

    pub(super) fn health(&self) -> Health {
        match self.in_a_row.load(Ordering::Relaxed) {
            times if times >= self.patience => Health::Degraded {
                misbehaviours: times,
            },
            _ => Health::Good,
        }
    }

    pub(super) fn samples(&self, module: &Sandbox) -> Vec<Sample> {
        let mut samples = vec![
            Sample {
                name: "credence_module_info",
                label: Some(("sha256", module.digest().to_string())),
                kind: Kind::Gauge,
                value: 1,
            },
            Sample::gauge("credence_module_instances", module.running()),
            Sample::gauge(
                "credence_module_misbehaviours_in_a_row",
                self.in_a_row.load(Ordering::Relaxed),
            ),
            Sample::gauge("credence_module_healthy", self.health() == Health::Good),
            self.accepted.sample(),
            self.traps.sample(),
        ];
        for family in [&self.rejections, &self.bounds, &self.refusals, &self.loads] {
            samples.extend(family.samples());
        }
        samples
    }
}
