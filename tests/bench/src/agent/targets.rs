//! What was to be reached.

use crate::{
    signer::Figures,
    targets::{Limit, Target},
};

/// Every target.
#[must_use]
pub fn targets(figures: &Figures) -> Vec<Target> {
    let target = |what: &str, limit, unit, (case, metric): (&str, &str), hint: &str| Target {
        what: what.to_owned(),
        limit,
        unit,
        figure: figures.spread(case, metric),
        hint: hint.to_owned(),
    };
    vec![
        target(
            "memory with 5,000 SDS streams",
            Limit::Below(250.0),
            "MB",
            ("sds/5000", "resident_mb"),
            "what a connection keeps: HTTP/2's buffers, tasks, the first request's node",
        ),
        target(
            "a new certificate at the last of 5,000 streams, the slowest rotation",
            Limit::Below(2.0),
            "s",
            ("sds/5000", "push_all_s_slowest"),
            "perf record -g -p of the agent under scripts/bench agent --only sds",
        ),
        target(
            "memory after 100 rotations more than before",
            // a page here and there is not growth
            Limit::Below(5.0),
            "MB",
            ("sds/5000", "growth_mb_100_rotations"),
            "what is kept of each version, and of each response",
        ),
        target(
            "identities that were ever without a certificate",
            Limit::AtMost(0.0),
            "of 1,000",
            ("identities/1000", "expired"),
            "the agent's log: what it asked when, and what came of it",
        ),
        target(
            "cores for 1,000 identities with a life of a minute",
            Limit::Below(0.25),
            "cores",
            ("identities/1000", "cores"),
            "perf record -g -p of the agent under scripts/bench agent --only identities",
        ),
    ]
}
