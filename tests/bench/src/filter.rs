//! `credence-bench filter`: what the filter costs in Envoy.

use std::{path::Path, time::Duration};

use anyhow::Result;
use credence_e2e::tools;

use crate::{
    cases::{self, Case, Modules},
    churn,
    report::{self, Entry},
    rounds::{self, Effort, Results},
    scripted,
    server::noop,
    stats::{Spread, meets},
    targets::{self, Facts},
};

/// How much to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of each case.
    pub effort: Effort,
    /// Certificates shown to the filter in the scripted host.
    pub scripted_certificates: usize,
    /// Clients with a certificate of their own that connect to a real Envoy.
    pub envoy_certificates: usize,
    /// Measure only these cases, and nothing but requests.
    pub only: Vec<String>,
}

impl Plan {
    /// The whole bench, under ten minutes.
    #[must_use]
    pub fn full() -> Self {
        Self {
            effort: Effort {
                sittings: 3,
                rounds: 12,
                slice: Duration::from_millis(250),
            },
            scripted_certificates: 1_000_000,
            envoy_certificates: 20_000,
            only: Vec::new(),
        }
    }

    /// A look, in a minute or two: the same cases with more noise, and fewer certificates.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            effort: Effort {
                sittings: 1,
                rounds: 8,
                slice: Duration::from_millis(200),
            },
            scripted_certificates: 100_000,
            envoy_certificates: 2000,
            only: Vec::new(),
        }
    }
}

/// The cases that are wanted, and the baseline that they are compared with.
///
/// # Errors
/// If a module is not built, or a name in `only` is no case's.
pub fn wanted(only: &[String]) -> Result<Vec<Case>> {
    let (filter, noop) = (tools::filter()?, noop()?);
    let all = cases::all(Modules {
        filter: &filter,
        noop: &noop,
    });
    if only.is_empty() {
        return Ok(all);
    }
    for name in only {
        let known = all.iter().any(|case| case.name == *name);
        anyhow::ensure!(
            known,
            "there is no case '{name}'; names are as in 'credence-1'"
        );
    }
    let is_wanted = |case: &Case| case.name == "none" || only.contains(&case.name);
    Ok(all.into_iter().filter(is_wanted).collect())
}

/// Measures, prints, and writes the JSON list to `out`.
///
/// # Errors
/// If something does not run; a target that is missed is none.
pub async fn run(plan: &Plan, out: &Path) -> Result<()> {
    let results = rounds::measure(&wanted(&plan.only)?, plan.effort, progress).await?;
    let mut entries = report::entries(&results);
    println!("\n{}", report::table(&results));
    if let Some(percent) = report::clocks_differ_by(&results) {
        println!("/proc/<pid>/stat and schedstat differ by {percent:+.2} % over the run");
    }
    print_crossing(&results);
    if plan.only.is_empty() {
        let facts = besides(plan, &mut entries).await?;
        println!("\nTargets:");
        for target in targets::all(&results, &facts) {
            println!("  {target}");
        }
    }
    report::write(out, &entries)
}

fn progress(what: &str) {
    eprintln!("... {what}");
}

/// Everything that is not a request's cost.
async fn besides(plan: &Plan, entries: &mut Vec<Entry>) -> Result<Facts> {
    let filter = tools::filter()?;
    progress("10,000 rules");
    let load = scripted::load(10_000)?;
    let envoy_load_ms = churn::load_ms(&filter, 10_000).await?;
    entries.extend(load_entries(load, envoy_load_ms));
    progress(&format!(
        "{} certificates in the scripted host",
        plan.scripted_certificates
    ));
    let churn = scripted::churn(plan.scripted_certificates)?;
    entries.extend(churn_entries(plan.scripted_certificates, &churn));
    progress(&format!(
        "{} certificates in Envoy",
        plan.envoy_certificates
    ));
    let envoy = churn::churn(&filter, plan.envoy_certificates).await?;
    entries.extend(envoy_entries(plan.envoy_certificates, envoy));
    let host_calls = scripted::host_calls(&cases::principals(1), "/")?;
    let with_paths = scripted::host_calls(&cases::paths(1), "/service/0/item")?;
    entries.push(calls_entry("calls/credence-1", &host_calls));
    entries.push(calls_entry("calls/credence-paths", &with_paths));
    println!("host calls of a request: {}", host_calls.join(", "));
    println!(
        "host calls where rules need the path: {}",
        with_paths.join(", ")
    );
    Ok(Facts {
        host_calls,
        load,
        envoy_load_ms,
        churn,
    })
}

fn load_entries(load: scripted::Load, envoy_ms: Spread) -> Vec<Entry> {
    let case = "load/10000";
    println!(
        "{case}: {:.0} ms in Envoy ({:.0} to {:.0}), {:.0} ms in the scripted host, {:.1} MiB of VM memory",
        envoy_ms.median, envoy_ms.low, envoy_ms.high, load.ms.median, load.vm_mib
    );
    vec![
        Entry::new(case, "policy_load_ms", "ms", envoy_ms.median),
        Entry::new(case, "policy_load_ms_scripted", "ms", load.ms.median),
        Entry::new(case, "vm_mib", "MiB", load.vm_mib),
    ]
}

fn churn_entries(certificates: usize, churn: &scripted::Churn) -> Vec<Entry> {
    let case = format!("churn/{certificates}");
    let mut entries = Vec::new();
    for (seen, mib) in &churn.samples {
        println!("{case}, scripted host: {mib:.2} MiB of VM memory after {seen} certificates");
        let metric = if *seen == certificates {
            "vm_mib".to_owned()
        } else {
            format!("vm_mib_after_{seen}")
        };
        entries.push(Entry::new(&case, &metric, "MiB", *mib));
    }
    entries
}

fn envoy_entries(certificates: usize, churn: churn::Churn) -> Vec<Entry> {
    let case = format!("churn-envoy/{certificates}");
    println!(
        "{case}, real Envoy: {:.1} MiB of anonymous memory before, {:.1} after half, {:.1} after all",
        churn.before_mib, churn.half_mib, churn.after_mib
    );
    vec![
        Entry::new(&case, "envoy_mib_before", "MiB", churn.before_mib),
        Entry::new(&case, "envoy_mib_half", "MiB", churn.half_mib),
        Entry::new(&case, "envoy_mib_after", "MiB", churn.after_mib),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "a handful")]
fn calls_entry(case: &str, calls: &[String]) -> Entry {
    Entry::new(case, "host_calls_per_request", "1", calls.len() as f64)
}

/// RBAC's rules cost more with each principal that is looked at before the one that matches.
fn print_crossing(results: &Results) {
    let cost = |case: &str| Some(results.over(case, "h1/none")?.median);
    let crossing = |many: &str| {
        let few = (1.0, cost("h1/rbac-1")?);
        meets(few, (1000.0, cost(many)?), cost("h1/credence-1000")?)
    };
    for (many, whom) in [
        ("h1/rbac-1000", "a SPIFFE ID"),
        ("h1/rbac-dns-1000", "a DNS name beside it"),
    ] {
        if let Some(principals) = crossing(many) {
            println!(
                "h1: RBAC's rules cost what Credence costs at {principals:.0} principals looked at, \
                 for a peer with {whom}"
            );
        }
    }
}
