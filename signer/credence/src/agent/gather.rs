//! What is known of a running agent, put together.

use super::standing::{
    BundleStanding, Clients, FilesStanding, IdentityStanding, Standing, Trouble, WatchedStanding,
};
use credence_agent::{
    Agent, CertificateReport, ClientError, Clock, Report, Reports, Shelf, Standing as Clientele,
    Standings,
};
use credence_config::agent::AgentConfig;
use credence_delivery::{
    self as delivered,
    federation::{FederationState, Sources},
    outputs::{OutputState, States},
    watched::{WatchedFiles, WatchedState},
};
use spiffe::{SpiffeId, TrustDomain};
use std::{sync::Arc, time::SystemTime};

/// Where all of it is known.
pub(super) struct Insight {
    trust_domain: TrustDomain,
    reports: Arc<Reports>,
    standings: Arc<Standings>,
    shelf: Shelf,
    around: Around,
    clock: Arc<dyn Clock>,
}

/// What runs around the agent.
pub(super) struct Around {
    pub(super) files: States,
    pub(super) foreign: Sources,
    pub(super) watched: WatchedFiles,
}

impl Insight {
    pub(super) fn of(
        agent: &Agent,
        config: &AgentConfig,
        around: Around,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            trust_domain: config.trust_domain.clone(),
            reports: agent.reports(),
            standings: agent.standings(),
            shelf: agent.shelf(),
            around,
            clock,
        }
    }

    /// How it is now.
    pub(super) fn standing(&self) -> Standing {
        let now = self.clock.now();
        let mut clients = self.standings.report();
        let reports = self.reports.report().into_iter();
        let identities = reports.map(|(id, report)| {
            let clients = clients.remove(&id).unwrap_or_default();
            identity(&id, report, clients, now)
        });
        Standing {
            at: time(now),
            trust_domain: self.trust_domain.to_string(),
            identities: identities.collect(),
            bundles: self.bundles(),
            files: self.around.files.report().into_iter().map(files).collect(),
            watched: self
                .around
                .watched
                .report()
                .into_iter()
                .map(watched)
                .collect(),
        }
    }

    fn bundles(&self) -> Vec<BundleStanding> {
        let bundles = self.shelf.bundles().into_iter();
        let mut foreign = self.around.foreign.report();
        let own = bundles.filter(|(domain, _)| *domain == self.trust_domain);
        let own = own.map(|(domain, bundle)| BundleStanding {
            trust_domain: domain.to_string(),
            roots: bundle.roots.len(),
            revocation_lists: bundle.lists.len(),
            number: bundle.sequence,
            source: None,
            heard: None,
            last_error: None,
        });
        let own: Vec<_> = own.collect();
        foreign.sort_by(|one, other| one.trust_domain.cmp(&other.trust_domain));
        own.into_iter()
            .chain(foreign.into_iter().map(federated))
            .collect()
    }
}

fn identity(
    id: &SpiffeId,
    report: Report,
    clients: Clientele,
    now: SystemTime,
) -> IdentityStanding {
    let certificate = report.certificate.as_ref();
    let moment = |of: fn(&CertificateReport) -> SystemTime| certificate.map(of).map(time);
    let left = |one: &CertificateReport| one.not_after.duration_since(now).unwrap_or_default();
    IdentityStanding {
        id: id.to_string(),
        state: report.phase.name().to_owned(),
        serial: certificate.map(|one| one.serial.clone()),
        issued: moment(|one| one.received),
        not_before: moment(|one| one.not_before),
        expires: moment(|one| one.not_after),
        left: certificate.map(|one| left(one).as_secs()),
        next_renewal: report.next_request.map(time),
        certificates: report.received,
        failures: report.failures,
        last_error: report
            .last_error
            .map(|error| trouble(error.at, error.reason)),
        clients: clientele(clients),
    }
}

fn clientele(clients: Clientele) -> Clients {
    Clients {
        sds_streams: clients.sds_streams,
        workload_streams: clients.workload_streams,
        pushes: clients.pushes,
        last_version: clients.last_version,
        unknown_names: clients.unknown_names,
        refusals: clients.refusals,
        last_refusal: clients.last_error.map(refusal),
    }
}

fn refusal(error: ClientError) -> Trouble {
    let ClientError {
        node,
        version,
        message,
        at,
    } = error;
    trouble(
        at,
        format!("{node} would not have version {version}: {message}"),
    )
}

fn files(state: OutputState) -> FilesStanding {
    let written = state.written.as_ref();
    let reload = state.reload.as_ref();
    FilesStanding {
        folder: state.folder.display().to_string(),
        identity: state.identity.to_string(),
        serial: written.map(|one| one.serial.clone()),
        written: written.map(|one| time(one.at)),
        last_error: state.trouble.map(since),
        told: reload.and_then(|reload| reload.told).map(time),
        not_told: reload.and_then(|reload| reload.trouble.clone()).map(since),
    }
}

fn watched(state: WatchedState) -> WatchedStanding {
    let served = state.served.as_ref();
    WatchedStanding {
        name: state.name,
        asked_by: state.asked_by.to_string(),
        served: served.map(|one| time(one.at)),
        serial: served.and_then(|one| one.serial.clone()),
        expires: served.and_then(|one| one.not_after).map(time),
        last_error: state.trouble.map(since),
    }
}

fn federated(state: FederationState) -> BundleStanding {
    let held = state.held.as_ref();
    BundleStanding {
        trust_domain: state.trust_domain.to_string(),
        roots: held.map_or(0, |held| held.roots),
        // a bundle endpoint tells none
        revocation_lists: 0,
        number: held.and_then(|held| held.sequence),
        source: Some(state.source),
        heard: held.map(|held| time(held.confirmed)),
        last_error: state.trouble.map(since),
    }
}

fn since(of: delivered::Trouble) -> Trouble {
    trouble(of.since, of.reason)
}

fn trouble(at: SystemTime, reason: String) -> Trouble {
    Trouble {
        at: time(at),
        reason,
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
