//! What was to be reached.

use super::figures::Figures;
use crate::targets::{Limit, Target};

const STEPS: &str = "the breakdown by step, p256/step/… and ed25519/step/…";

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
    let ratio = |case| (case, "ratio_to_native");
    vec![
        target(
            "P-256 in a fresh instance, over native",
            Limit::AtMost(1.25),
            "times",
            ratio("p256/fresh"),
            STEPS,
        ),
        target(
            "Ed25519 in a fresh instance, over native",
            Limit::AtMost(1.3),
            "times",
            ratio("ed25519/fresh"),
            STEPS,
        ),
        target(
            "P-256 in fresh instances on two threads, over native",
            Limit::AtLeast(0.85),
            "times",
            ratio("p256/fresh-2t"),
            "page faults and mmap_lock under perf; does the kernel have PAGEMAP_SCAN (6.7)?",
        ),
        target(
            "a fresh instance and its end",
            Limit::AtMost(12.0),
            "µs",
            ("instantiate", "us"),
            "the pool in signer/host/src/sandbox; perf record",
        ),
        target(
            "memory of a live instance",
            Limit::Below(100.0),
            "KiB",
            ("instantiate", "resident_kib"),
            "the pages that the module writes to",
        ),
        target(
            "the daemon's memory, idle",
            Limit::Below(40.0),
            "MB",
            ("daemon", "resident_mb"),
            "/proc/<pid>/smaps",
        ),
        target(
            "the daemon's start",
            Limit::Below(100.0),
            "ms",
            ("daemon", "ready_ms"),
            "strace -r, perf record",
        ),
    ]
}
