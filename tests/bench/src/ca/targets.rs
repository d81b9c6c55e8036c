//! What was to be reached.

use crate::{
    signer::Figures,
    targets::{Limit, Target},
};

const PROFILE: &str = "perf record -g -p of the CA under scripts/bench ca --only rates";

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
            "certificates on kept connections, on disk",
            Limit::AtLeast(4000.0),
            "a second",
            ("istio/durable", "certificates_per_second"),
            PROFILE,
        ),
        target(
            "the slowest in a hundred at half of that rate",
            Limit::Below(25.0),
            "ms",
            ("istio/durable", "p99_ms"),
            "the ledger's transactions, and the disk's time for one",
        ),
        target(
            "on disk, over not waiting for the disk",
            Limit::AtLeast(0.85),
            "times",
            ("istio/durable", "ratio_to_volatile"),
            "the ledger's transactions, and the disk's time for one",
        ),
        target(
            "certificates with a connection for each",
            Limit::AtLeast(1000.0),
            "a second",
            ("dapr/dial-each", "certificates_per_second"),
            PROFILE,
        ),
        target(
            "workloads of a storm that are not served",
            Limit::AtMost(0.0),
            "of 10,000",
            ("storm/10000", "refused"),
            "credence_ca_requests_total and credence_ca_connections_cut_total",
        ),
        target(
            "memory in a storm",
            Limit::Below(300.0),
            "MB",
            ("storm/10000", "resident_mb"),
            "what a connection keeps: TLS, HTTP/2, tasks",
        ),
        target(
            "a ledger of 10,000,000 entries, over one of 10",
            Limit::AtMost(1.3),
            "times",
            ("ledger/10000000", "ratio_to_shortest"),
            "which pages an insert goes to: docs/adr/0018-ledger-lookup.md",
        ),
    ]
}
