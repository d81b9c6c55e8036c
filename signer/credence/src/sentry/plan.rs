//! From sentry's settings to a CA to be.

use super::error::SentryError;
use credence_attest::{Attestor, NodeAgents, Panel, Unproved, identity::domains::TrustDomains};
use credence_ca::{
    dns::{DnsName, DnsTemplates},
    lifecycle::{RootSchedule, Settings as Lives, Terms},
    profile::Profile,
};
use credence_daemon::{
    desk::{Beyond, Life},
    limits::Rate,
    ports::Validator,
};
use credence_sentry::{
    Environment, Settings, admission,
    cluster::Cluster,
    flags::Mode,
    settings::{Admission, cluster_domain},
};
use credence_service::{attesting::Panels, plan::Limits};
use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};
use tracing::{error, warn};

/// Clocks that are further off are not the lifecycle's business.
const LONGEST_SKEW: Duration = Duration::from_secs(3600);
/// What tells a pod its cluster's domain.
const RESOLVER: &str = "/etc/resolv.conf";

/// All replicas of an app ask as one identity, and at once after an outage.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.issuance.identity = Rate::GLOBAL;
    limits
}

/// How long certificates live: as configured, within what the guard lets pass from beginning to end.
pub(super) fn life(settings: &Settings) -> Duration {
    let (wanted, skew) = (settings.workload_ttl, settings.clock_skew);
    let cap = Profile::DaprWorkload.longest_life();
    let most = cap - skew.min(cap / 5);
    if wanted > most {
        warn!(
            "spec.mtls.workloadCertTTL: certificates live {} and no longer: a year's certificate is nothing that a stolen key should have",
            humantime::format_duration(most)
        );
    }
    wanted.min(most)
}

/// What Dapr's protocol gives.
pub(super) fn dapr_life(life: Duration) -> Result<Life, SentryError> {
    Ok(Life::new(life, life, life, Beyond::Clamp)?)
}

/// Roots and issuers are the files': nothing is rotated by itself.
pub(super) fn lives(settings: &Settings, life: Duration) -> Result<Lives, SentryError> {
    Ok(Lives::try_from(Terms {
        longest_leaf_life: whole(life),
        clock_skew: whole(settings.clock_skew.min(LONGEST_SKEW)),
        roots: RootSchedule::OnOrder,
        ..Terms::default()
    })?)
}

fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

/// DNS names of Dapr's own services, for the identities that they have here and in no other trust domain.
pub(super) fn names(settings: &Settings) -> Result<DnsTemplates, SentryError> {
    let resolver = match settings.mode {
        Mode::Kubernetes => fs::read_to_string(RESOLVER).unwrap_or_default(),
        Mode::Standalone => String::new(),
    };
    let mut templates = DnsTemplates::default();
    for (identity, names) in settings.service_names(cluster_domain(&resolver))? {
        let names = names.iter().filter_map(|name| match DnsName::parse(name) {
            Ok(name) => Some(name),
            Err(why) => {
                warn!(%identity, "is granted no such name: {why}");
                None
            }
        });
        let names = names.collect();
        templates = templates.with_names_of(identity, names);
    }
    Ok(templates)
}

/// Who is believed: each validator is a panel of its own.
pub(super) fn panels(
    settings: &Settings,
    environment: &Environment,
) -> Result<Panels, SentryError> {
    let mut dapr = BTreeMap::new();
    match &settings.admission {
        Admission::Insecure => {
            error!(
                "INSECURE is on: each certificate that is issued without a proof is counted (credence_ca_no_proof_total) and recorded with \"proof: none\""
            );
            let unproved = Unproved::new("insecure".into());
            dapr.insert(Validator::Insecure, panel(Arc::new(unproved)));
        }
        Admission::Kubernetes(_) => {
            let cluster = Cluster::find(settings.kubeconfig.as_deref(), environment)?;
            let attestor = admission::kubernetes(settings, &cluster)?;
            dapr.insert(Validator::Kubernetes, panel(Arc::new(attestor)));
        }
        Admission::Jwks(_) => {}
    }
    if let Some(validator) = settings.admission.jwks() {
        let attestor = admission::jwks(settings, validator)?;
        dapr.insert(Validator::Jwks, panel(Arc::new(attestor)));
    }
    Ok(Panels {
        dapr,
        ..Panels::default()
    })
}

/// In any trust domain: the validator says in which.
fn panel(attestor: Arc<dyn Attestor>) -> Panel {
    Panel::new(
        vec![attestor],
        TrustDomains::any(),
        NodeAgents::new(Vec::new()),
    )
}
