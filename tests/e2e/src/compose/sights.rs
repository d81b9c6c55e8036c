//! Prometheus and Grafana: what is to be seen.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use credence_policy_import::yaml;
use serde_json::Value;

use super::project::{Port, Project};
use crate::{
    http::{self, Endpoint},
    tools, wait,
};

/// Prometheus looks every 2 s.
const SEEN: Duration = Duration::from_secs(20);

/// What has to be there, and at least how much of it.
const SERIES: [(&str, f64); 8] = [
    ("sum(up)", 5.0),
    (r#"sum(credence_ca_requests_total{outcome="granted"})"#, 2.0),
    ("count(credence_agent_certificates_total)", 2.0),
    ("sum(credence_agent_certificates_total)", 4.0),
    (r#"sum(credence_requests_total{decision="allow"})"#, 1.0),
    (r#"sum(credence_requests_total{reason="no_rule"})"#, 1.0),
    (
        r#"sum(credence_requests_total{reason="peer_revoked"})"#,
        1.0,
    ),
    ("count(credence_own_certificate_expires_seconds)", 2.0),
];

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus(Endpoint);

impl Prometheus {
    /// The project's.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        Self(Endpoint::Tcp(project.address(Port::Prometheus)))
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let answer = http::get(&self.0, path).await?;
        let (status, body) = (answer.status, &answer.body);
        ensure!(status == 200, "Prometheus: {path}: {status}: {body}");
        Ok(serde_json::from_str(body)?)
    }

    /// What an expression gives now; nothing if there is no such series.
    ///
    /// # Errors
    /// If Prometheus does not answer.
    pub async fn value(&self, expression: &str) -> Result<Option<f64>> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let told = self.ask(&path).await?;
        let value = told["data"]["result"][0]["value"][1].as_str();
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Waits until an expression gives so much.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn at_least(&self, expression: &str, least: f64) -> Result<f64> {
        wait::until(expression, SEEN, async || {
            let value = self.value(expression).await?;
            Ok(value.filter(|value| *value >= least))
        })
        .await
    }

    /// It has what the CA, the agents and the filters tell, and our rules.
    ///
    /// # Errors
    /// If something is missing.
    pub async fn has_our_metrics(&self) -> Result<String> {
        let mut told = Vec::new();
        for (expression, least) in SERIES {
            told.push(format!(
                "{expression} = {}",
                self.at_least(expression, least).await?
            ));
        }
        let rules = self.ask("/api/v1/rules").await?;
        let groups = rules["data"]["groups"].as_array().map_or(0, Vec::len);
        ensure!(groups > 0, "it has none of our rules");
        told.push(format!("{groups} groups of rules"));
        Ok(told.join("; "))
    }
}

/// Grafana has our dashboards: asked, where it runs; else its part of the configuration is looked at.
///
/// # Errors
/// If not.
pub async fn grafana_has_our_dashboards(project: &Project) -> Result<String> {
    let titles = dashboards_that_ship(project).await?;
    if !project.grafana() {
        return Ok(format!(
            "not run; provisioned would be {}",
            titles.join(", ")
        ));
    }
    let grafana = Endpoint::Tcp(project.address(Port::Grafana));
    wait::until("the dashboards in Grafana", SEEN, async || {
        let answer = http::get(&grafana, "/api/search?type=dash-db").await?;
        let found: Value = serde_json::from_str(&answer.body)?;
        let found = found.to_string();
        Ok(titles
            .iter()
            .all(|title| found.contains(title.as_str()))
            .then_some(()))
    })
    .await?;
    Ok(format!("Grafana has {}", titles.join(", ")))
}

/// The titles of the dashboards at the place that the provisioning names.
async fn dashboards_that_ship(project: &Project) -> Result<Vec<String>> {
    let provisioning = tools::workspace()?.join("envoy/compose/grafana/provisioning");
    let sources = read_yaml(&provisioning.join("datasources/prometheus.yaml"))?;
    let uid = sources["datasources"][0]["uid"].as_str();
    let uid = uid.context("the data source has no uid")?;
    let providers = read_yaml(&provisioning.join("dashboards/credence.yaml"))?;
    let path = providers["providers"][0]["options"]["path"].as_str();
    let path = path.context("the dashboards have no path")?;
    let file = first_document("the compose file", &project.compose(&["config"]).await?)?;
    let mounts = file["services"]["grafana"]["volumes"].as_array();
    let mut mounts = mounts.into_iter().flatten().filter_map(mount);
    let folder = mounts.find(|(_, to)| *to == path).map(|(from, _)| from);
    let folder = folder.with_context(|| format!("nothing is mounted at {path}"))?;
    let mut titles = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            titles.push(dashboard(&path, uid)?);
        }
    }
    ensure!(!titles.is_empty(), "there is no dashboard in {folder}");
    Ok(titles)
}

/// From where to where, in either of the two ways in which compose writes it.
fn mount(told: &Value) -> Option<(&str, &str)> {
    if let Some(text) = told.as_str() {
        let mut parts = text.split(':');
        return Some((parts.next()?, parts.next()?));
    }
    Some((told["source"].as_str()?, told["target"].as_str()?))
}

/// A dashboard's title, if its panels ask the data source that is provisioned.
fn dashboard(path: &Path, uid: &str) -> Result<String> {
    let name = path.display();
    let told: Value = serde_json::from_str(&fs::read_to_string(path)?)
        .with_context(|| format!("{name} is no JSON"))?;
    let panels = told["panels"].as_array().map_or(0, Vec::len);
    ensure!(panels > 0, "{name} has no panels");
    let variable = told["templating"]["list"].as_array().into_iter().flatten();
    let chosen = variable.filter(|one| one["type"] == "datasource").count() > 0;
    let named = told.to_string().contains(&format!("\"uid\":\"{uid}\""));
    ensure!(
        chosen || named,
        "{name} asks neither the data source '{uid}' nor one that is chosen"
    );
    Ok(told["title"]
        .as_str()
        .with_context(|| format!("{name} has no title"))?
        .to_owned())
}

fn read_yaml(path: &Path) -> Result<Value> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| name.clone())?;
    first_document(&name, &text)
}

fn first_document(name: &str, text: &str) -> Result<Value> {
    let documents = yaml::documents(text).with_context(|| name.to_owned())?;
    let first = documents.into_iter().next();
    Ok(first.with_context(|| format!("{name} is empty"))?.value)
}

/// As it stands in a URL's query.
fn encoded(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}
