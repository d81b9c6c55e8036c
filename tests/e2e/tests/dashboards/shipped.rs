//! What `envoy/dashboards` has, read as its users' tools read it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use credence_e2e::tools;
use serde_json::Value;

/// A file there.
pub(crate) fn path(name: &str) -> PathBuf {
    let workspace = tools::workspace().unwrap();
    workspace.join("envoy/dashboards").join(name)
}

/// What is in it.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// A rule.
#[derive(Debug)]
pub(crate) struct Alert {
    /// Its name.
    pub(crate) name: String,
    /// A page of the documentation, with a fragment perhaps.
    pub(crate) runbook: String,
}

/// Every rule. The file has one line for each of these, as its neighbours do.
pub(crate) fn alerts() -> Vec<Alert> {
    let rules = text("credence.rules.yaml");
    let values = |key: &'static str| {
        let lines = rules.lines().map(str::trim);
        lines.filter_map(move |line| line.strip_prefix(key).map(str::to_owned))
    };
    let (names, runbooks) = (values("- alert: "), values("runbook: "));
    assert_eq!(names.clone().count(), runbooks.clone().count());
    let pairs = names.zip(runbooks);
    pairs
        .map(|(name, runbook)| Alert { name, runbook })
        .collect()
}

/// Whether the page, and the heading that it names, is in the documentation.
pub(crate) fn page_is_there(page: &str) -> Result<()> {
    let (file, heading) = page.split_once('#').unwrap_or((page, ""));
    let path = tools::workspace()?.join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("{page} is not there"))?;
    let fragment = |line: &str| {
        let words = line.trim_start_matches(['#', ' ']).to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    let found = heading.is_empty() || headings.any(|line| fragment(line) == heading);
    ensure!(found, "{} has no heading '{heading}'", path.display());
    Ok(())
}

/// A query of the dashboard.
#[derive(Debug)]
pub(crate) struct Panel {
    /// The panel's title.
    pub(crate) title: String,
    expression: String,
}

impl Panel {
    /// As Grafana sends it, for all instances.
    pub(crate) fn query(&self) -> String {
        let query = self.expression.replace("$instance", ".+");
        let query = query.replace("$__rate_interval", "1m");
        assert!(!query.contains('$'), "{query}");
        query
    }

    /// What filters for what is more than nothing may find nothing.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.expression.ends_with("> 0")
    }
}

/// Every query of the dashboard.
pub(crate) fn panels() -> Vec<Panel> {
    let dashboard: Value = serde_json::from_str(&text("credence.json")).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        if panel["type"] != "row" {
            assert!(
                panel["description"].is_string(),
                "{title} says nothing of itself"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push(Panel {
                title: title.to_owned(),
                expression: target["expr"].as_str().unwrap().to_owned(),
            });
        }
    }
    assert!(found.len() > 40, "{}", found.len());
    found
}

/// Every metric that the rules or the dashboard name.
pub(crate) fn metrics() -> BTreeSet<String> {
    let rules = text("credence.rules.yaml");
    // prose and names of groups are no metrics
    let rules = rules.lines().filter(|line| !is_prose(line.trim()));
    let panels = panels().into_iter().map(|panel| panel.expression);
    let texts = rules.map(str::to_owned).chain(panels);
    texts.flat_map(|text| names(&text)).collect()
}

fn is_prose(line: &str) -> bool {
    let keys = ["- name:", "summary:", "description:", "runbook:", "#"];
    keys.iter().any(|key| line.starts_with(key)) || line.contains('`')
}

fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let names = words.filter(|word| word.starts_with("credence_"));
    names.map(str::to_owned).collect()
}
