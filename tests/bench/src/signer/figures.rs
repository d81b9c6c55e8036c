//! What was measured, by case and metric.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::{
    report::{Entry, with_quartiles},
    stats::Spread,
};

/// A list of figures.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<Figure>, Vec<NotRun>);

/// What could not be measured, and why.
#[derive(Debug, Clone)]
struct NotRun {
    case: String,
    metric: String,
    unit: &'static str,
    why: String,
}

#[derive(Debug, Clone)]
struct Figure {
    case: String,
    metric: String,
    unit: &'static str,
    spread: Spread,
}

impl Figures {
    /// Adds one, of all its turns.
    ///
    /// # Errors
    /// If there are none.
    pub fn add(
        &mut self,
        case: &str,
        metric: &str,
        unit: &'static str,
        turns: impl IntoIterator<Item = f64>,
    ) -> Result<()> {
        let spread = Spread::of(turns).with_context(|| format!("{case} was not measured"))?;
        self.0.push(Figure {
            case: case.to_owned(),
            metric: metric.to_owned(),
            unit,
            spread,
        });
        Ok(())
    }

    /// Says that one could not be measured.
    pub fn not_run(&mut self, case: &str, metric: &str, unit: &'static str, why: String) {
        self.1.push(NotRun {
            case: case.to_owned(),
            metric: metric.to_owned(),
            unit,
            why,
        });
    }

    /// One of them.
    #[must_use]
    pub fn spread(&self, case: &str, metric: &str) -> Option<Spread> {
        let is = |figure: &&Figure| figure.case == case && figure.metric == metric;
        self.0.iter().find(is).map(|figure| figure.spread)
    }

    /// For machines.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entries = |f: &Figure| with_quartiles(&f.case, &f.metric, f.unit, f.spread);
        let missing = |f: &NotRun| Entry {
            value: None,
            ..Entry::new(&f.case, &f.metric, f.unit, 0.0)
        };
        let measured = self.0.iter().flat_map(entries);
        measured.chain(self.1.iter().map(missing)).collect()
    }

    /// For people: Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table =
            String::from("| case | figure | median | quartiles | unit |\n|---|---|---:|---|---|\n");
        for Figure {
            case,
            metric,
            unit,
            spread,
        } in &self.0
        {
            let Spread { low, median, high } = spread;
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "| {case} | {metric} | {median:.2} | {low:.2} to {high:.2} | {unit} |"
            );
        }
        for NotRun {
            case,
            metric,
            unit,
            why,
        } in &self.1
        {
            let _ = writeln!(table, "| {case} | {metric} | not run | {why} | {unit} |");
        }
        table
    }
}
