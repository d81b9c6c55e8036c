//! `/livez`, `/readyz` and `/metrics` of an agent.

use super::{gather::Insight, standing::Standing};
use credence_agent::Phase;
use credence_daemon::http::{Asked, Page, Pages};
use http::StatusCode;
use std::{fmt::Write as _, sync::Arc};

/// The pages for monitors.
pub(super) struct AgentPages(pub(super) Arc<Insight>);

impl Pages for AgentPages {
    fn page(&self, asked: Asked<'_>) -> Option<Page> {
        match asked.path {
            "/livez" => Some(Page::text(StatusCode::OK, "alive\n".into())),
            "/readyz" => Some(ready(&self.0.standing())),
            "/metrics" => Some(Page::metrics(metrics(&self.0.standing()))),
            _ => None,
        }
    }
}

/// Ready once nobody is without a certificate; who is has a line.
fn ready(standing: &Standing) -> Page {
    let lacks = |state: &str| {
        Phase::ALL
            .iter()
            .any(|phase| phase.name() == state && !phase.has_certificate())
    };
    let lacking = standing.identities.iter().filter(|one| lacks(&one.state));
    let lines: String = lacking
        .map(|one| {
            let why = one
                .last_error
                .as_ref()
                .map_or("", |error| error.reason.as_str());
            format!("{}: {} {why}\n", one.id, one.state)
        })
        .collect();
    match lines.is_empty() {
        true => Page::text(StatusCode::OK, "ready\n".into()),
        false => Page::text(StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}

/// A family of series: its name, kind and help.
struct Family(&'static str, &'static str, &'static str);

/// Prometheus' text format. There are as many series as identities and trust domains that are configured.
fn metrics(standing: &Standing) -> String {
    let mut text = String::new();
    let now = unix(&standing.at);
    let state = Family(
        "credence_agent_identity_state",
        "gauge",
        "1 for the state that the identity is in",
    );
    head(&mut text, &state);
    for one in &standing.identities {
        for phase in Phase::ALL {
            let is = u8::from(phase.name() == one.state);
            let _ = writeln!(
                text,
                "{}{{identity=\"{}\",state=\"{}\"}} {is}",
                state.0,
                one.id,
                phase.name()
            );
        }
    }
    type Value = fn(&super::standing::IdentityStanding, u64) -> Option<u64>;
    let families: [(Family, Value); 9] = [
        (
            Family(
                "credence_agent_certificate_expires_seconds",
                "gauge",
                "seconds that the certificate has left; 0 once it has ended",
            ),
            |one, _| one.left,
        ),
        (
            Family(
                "credence_agent_certificate_age_seconds",
                "gauge",
                "seconds since the certificate came",
            ),
            |one, now| one.issued.as_deref().map(|at| now.saturating_sub(unix(at))),
        ),
        (
            Family(
                "credence_agent_next_renewal_seconds",
                "gauge",
                "seconds until the CA is asked next; not there while it is being asked",
            ),
            |one, now| {
                one.next_renewal
                    .as_deref()
                    .map(|at| unix(at).saturating_sub(now))
            },
        ),
        (
            Family(
                "credence_agent_certificates_total",
                "counter",
                "certificates that came",
            ),
            |one, _| Some(one.certificates),
        ),
        (
            Family(
                "credence_agent_failures_total",
                "counter",
                "attempts to get a certificate that came to nothing",
            ),
            |one, _| Some(one.failures),
        ),
        (
            Family(
                "credence_agent_sds_streams",
                "gauge",
                "open SDS streams of callers whose default identity it is",
            ),
            |one, _| u64::try_from(one.clients.sds_streams).ok(),
        ),
        (
            Family(
                "credence_agent_workload_streams",
                "gauge",
                "open Workload API streams of such callers",
            ),
            |one, _| u64::try_from(one.clients.workload_streams).ok(),
        ),
        (
            Family(
                "credence_agent_pushes_total",
                "counter",
                "responses that were sent to them",
            ),
            |one, _| Some(one.clients.pushes),
        ),
        (
            Family(
                "credence_agent_refusals_total",
                "counter",
                "responses that one of them would not have",
            ),
            |one, _| Some(one.clients.refusals),
        ),
    ];
    for (family, value) in families {
        head(&mut text, &family);
        for one in &standing.identities {
            if let Some(value) = value(one, now) {
                let _ = writeln!(text, "{}{{identity=\"{}\"}} {value}", family.0, one.id);
            }
        }
    }
    bundles(&mut text, standing);
    files(&mut text, standing);
    text
}

fn bundles(text: &mut String, standing: &Standing) {
    let now = unix(&standing.at);
    type Value = fn(&super::standing::BundleStanding, u64) -> Option<u64>;
    let families: [(Family, Value); 4] = [
        (
            Family(
                "credence_agent_bundle_roots",
                "gauge",
                "roots of the trust domain that are served",
            ),
            |one, _| u64::try_from(one.roots).ok(),
        ),
        (
            Family(
                "credence_agent_bundle_revocation_lists",
                "gauge",
                "revocation lists of the trust domain that are served",
            ),
            |one, _| u64::try_from(one.revocation_lists).ok(),
        ),
        (
            Family(
                "credence_agent_bundle_age_seconds",
                "gauge",
                "seconds since a foreign bundle's source said that it is the present one",
            ),
            |one, now| one.heard.as_deref().map(|at| now.saturating_sub(unix(at))),
        ),
        (
            Family(
                "credence_agent_bundle_failing",
                "gauge",
                "1 if a foreign bundle's source does not answer, or not well",
            ),
            |one, _| {
                one.source
                    .as_ref()
                    .map(|_| u64::from(one.last_error.is_some()))
            },
        ),
    ];
    for (family, value) in families {
        head(text, &family);
        for one in &standing.bundles {
            if let Some(value) = value(one, now) {
                let _ = writeln!(
                    text,
                    "{}{{trust_domain=\"{}\"}} {value}",
                    family.0, one.trust_domain
                );
            }
        }
    }
}

/// Folders are named by the configuration, watched names by callers: of those there are only counts.
fn files(text: &mut String, standing: &Standing) {
    let family = Family(
        "credence_agent_files_failing",
        "gauge",
        "1 if what is served now is not in the folder, or its application was not told",
    );
    head(text, &family);
    for one in &standing.files {
        let failing = u8::from(one.last_error.is_some() || one.not_told.is_some());
        let folder = one.folder.replace('\\', "\\\\").replace('"', "\\\"");
        let folder = folder.replace('\n', "\\n");
        let _ = writeln!(text, "{}{{folder=\"{folder}\"}} {failing}", family.0);
    }
    let failing = standing
        .watched
        .iter()
        .filter(|one| one.last_error.is_some());
    for (family, value) in [
        (
            Family(
                "credence_agent_watched_sources",
                "gauge",
                "files of others that are watched for SDS",
            ),
            standing.watched.len(),
        ),
        (
            Family(
                "credence_agent_watched_failing",
                "gauge",
                "those of them whose files as they are now are not served",
            ),
            failing.count(),
        ),
    ] {
        head(text, &family);
        let _ = writeln!(text, "{} {value}", family.0);
    }
}

fn head(text: &mut String, Family(name, kind, help): &Family) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Seconds since 1970.
fn unix(at: &str) -> u64 {
    let time = humantime::parse_rfc3339(at).ok();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
