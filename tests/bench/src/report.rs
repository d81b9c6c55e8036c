//! The figures as a list for machines and as a table for people.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    rounds::{Results, Round},
    stats::Spread,
};

type Figure = fn(&Round) -> f64;

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// What was measured, `h1/credence-1`.
    pub case: String,
    /// Which of its figures, `cpu_us_per_request`.
    pub metric: String,
    /// `us`, `ms`, `MiB`, `1/s` or `1`.
    pub unit: &'static str,
    /// The figure; none (`null`) if it could not be measured.
    pub value: Option<f64>,
}

impl Entry {
    /// A figure that was measured.
    #[must_use]
    pub fn new(case: &str, metric: &str, unit: &'static str, value: f64) -> Self {
        Self {
            case: case.to_owned(),
            metric: metric.to_owned(),
            unit,
            value: Some(value),
        }
    }
}

/// A median, and its quartiles as metrics of their own.
#[must_use]
pub fn with_quartiles(case: &str, metric: &str, unit: &'static str, spread: Spread) -> Vec<Entry> {
    vec![
        Entry::new(case, metric, unit, spread.median),
        Entry::new(case, &format!("{metric}_q1"), unit, spread.low),
        Entry::new(case, &format!("{metric}_q3"), unit, spread.high),
    ]
}

/// The figures of one request in every case.
#[must_use]
pub fn entries(results: &Results) -> Vec<Entry> {
    let measured = results
        .cases
        .iter()
        .flat_map(|(case, _)| entries_of(results, case));
    let unmeasured = results.not_measured.keys().map(|case| Entry {
        value: None,
        ..Entry::new(case, "cpu_us_per_request", "us", 0.0)
    });
    measured.chain(unmeasured).collect()
}

fn entries_of(results: &Results, case: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Some(cpu) = results.spread(case, |round| round.cpu_us) {
        entries.extend(with_quartiles(case, "cpu_us_per_request", "us", cpu));
    }
    if let Some(over) = results.over(case, &baseline(case)) {
        entries.extend(with_quartiles(case, "cpu_us_over_none", "us", over));
    }
    let figures: [(&str, &'static str, Figure); 3] = [
        ("requests_per_second", "1/s", |round| round.per_second),
        ("p50_us", "us", |round| round.p50_us),
        ("p99_us", "us", |round| round.p99_us),
    ];
    for (metric, unit, figure) in figures {
        if let Some(spread) = results.spread(case, figure) {
            entries.push(Entry::new(case, metric, unit, spread.median));
        }
    }
    entries
}

/// The case without a filter, under the same protocol.
#[must_use]
pub fn baseline(case: &str) -> String {
    let protocol = case.split_once('/').map_or(case, |(protocol, _)| protocol);
    format!("{protocol}/none")
}

/// The table of one request in every case, as Markdown.
#[must_use]
pub fn table(results: &Results) -> String {
    let mut table = String::from(
        "| case | CPU µs | quartiles | over none | quartiles | requests/s | p50 µs | p99 µs |\n\
         |---|---:|---|---:|---|---:|---:|---:|\n",
    );
    for (case, _) in &results.cases {
        if let Some(line) = line(results, case) {
            table.push_str(&line);
        }
    }
    for (case, why) in &results.not_measured {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {case} | not measured: {why} | | | | | | |");
    }
    table
}

fn line(results: &Results, case: &str) -> Option<String> {
    let cpu = results.spread(case, |round| round.cpu_us)?;
    let over = results.over(case, &baseline(case))?;
    let median = |figure| results.spread(case, figure).map(|spread| spread.median);
    Some(format!(
        "| {case} | {:.1} | {:.1} to {:.1} | {:+.1} | {:+.1} to {:+.1} | {:.0} | {:.0} | {:.0} |\n",
        cpu.median,
        cpu.low,
        cpu.high,
        over.median,
        over.low,
        over.high,
        median(|round| round.per_second)?,
        median(|round| round.p50_us)?,
        median(|round| round.p99_us)?,
    ))
}

/// By how many per cent the two clocks of CPU time differ over the whole run; a check on both.
#[must_use]
pub fn clocks_differ_by(results: &Results) -> Option<f64> {
    let rounds = || results.cases.iter().flat_map(|(_, rounds)| rounds);
    let exact: f64 = rounds().map(|round| round.cpu_us).sum();
    let ticked: f64 = rounds().map(|round| round.cpu_ticked_us).sum();
    (exact > 0.0).then(|| (ticked - exact) / exact * 100.0)
}

/// The list as a file for machines. Written aside and moved in, so that what stands there is always whole.
///
/// # Errors
/// If the file cannot be written.
pub fn write(out: &Path, entries: &[Entry]) -> Result<()> {
    let folder = out.parent().context("an output file in a folder")?;
    fs::create_dir_all(folder)?;
    let aside = out.with_extension("json.new");
    fs::write(&aside, serde_json::to_string_pretty(entries)? + "\n")?;
    fs::rename(&aside, out)?;
    println!("\nwritten: {}", out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(cpu_us: f64) -> Round {
        Round {
            cpu_us,
            cpu_ticked_us: cpu_us * 1.01,
            per_second: 1e6 / cpu_us,
            p50_us: 100.0,
            p99_us: 300.0,
        }
    }

    fn results() -> Results {
        Results {
            cases: vec![
                ("h1/none".to_owned(), vec![round(25.0), round(55.0)]),
                ("h1/wasm-noop".to_owned(), vec![round(30.0), round(60.0)]),
            ],
            not_measured: [("h1/x".to_owned(), "no such field".to_owned())].into(),
        }
    }

    #[test]
    fn the_list_has_every_figure_and_null_for_what_was_not_measured() {
        let json = serde_json::to_value(entries(&results())).unwrap();
        let find = |case: &str, metric: &str| {
            let list = json.as_array().unwrap().iter();
            list.filter(|entry| entry["case"] == case && entry["metric"] == metric)
                .map(|entry| entry["value"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(find("h1/wasm-noop", "cpu_us_over_none"), [5.0]);
        assert_eq!(find("h1/none", "p99_us"), [300.0]);
        assert_eq!(
            find("h1/x", "cpu_us_per_request"),
            [serde_json::Value::Null]
        );
    }

    #[test]
    fn the_table_says_what_was_not_measured_and_why() {
        let table = table(&results());
        assert!(
            table.contains("| h1/wasm-noop | 45.0 | 37.5 to 52.5 | +5.0 |"),
            "{table}"
        );
        assert!(
            table.contains("| h1/x | not measured: no such field |"),
            "{table}"
        );
    }

    #[test]
    fn the_clocks_are_compared() {
        assert!((clocks_differ_by(&results()).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(clocks_differ_by(&Results::default()), None);
    }
}
