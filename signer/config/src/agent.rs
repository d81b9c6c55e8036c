//! The configuration of `credence agent run`: parsed whole or not at all, every fault told at once.

mod federation;
mod files;
mod identities;
mod raw;
mod shared;
mod source;

pub use federation::{Federation, Profile};
pub use files::{OutputConfig, ReloadConfig, SdsFiles};
pub use identities::{IdentityConfig, ProofConfig, SocketConfig};
pub use shared::{RegistryPlace, SharedConfig};
pub use source::{
    Address, Expected, FirstTrust, Protocol, Renewals, SourceConfig, Terms, Validator,
};

use crate::{Faults, faults::written, keep, keep_all, trust_domain};
use raw::{RawAgent, RawLimits, RawValidation};
use spiffe::{SpiffeId, TrustDomain};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A good configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// The trust domain of its identities.
    pub trust_domain: TrustDomain,
    /// Where certificates and keys are kept for the next start; none: nowhere.
    pub state_dir: Option<PathBuf>,
    /// Where `credence agent status` asks.
    pub status_socket: PathBuf,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub monitor: Option<SocketAddr>,
    /// How Envoys are told whom to trust, unless they say themselves.
    pub validation: Validation,
    /// Whom it asks.
    pub ca: SourceConfig,
    /// Whom it keeps supplied; never empty.
    pub identities: Vec<IdentityConfig>,
    /// The socket for everybody.
    pub shared: Option<SharedConfig>,
    /// Where certificates are written.
    pub files: Vec<OutputConfig>,
    /// Whose files are served that somebody else rotates.
    pub sds_files: Vec<SdsFiles>,
    /// Foreign trust domains.
    pub federation: Vec<Federation>,
    /// What is taken.
    pub limits: Limits,
}

/// How Envoy is told whom to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// As `trusted_ca`.
    TrustedCa,
    /// For `envoy.tls.cert_validator.spiffe`.
    Spiffe,
}

/// What each socket takes, where the configuration says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once.
    pub connections: Option<usize>,
    /// The same of one uid.
    pub connections_per_uid: Option<usize>,
    /// Streams open at once.
    pub streams: Option<usize>,
    /// The same of one uid.
    pub streams_per_uid: Option<usize>,
}

/// What the parts are read by.
struct World<'a> {
    /// None where it has a fault of its own.
    domain: Option<&'a TrustDomain>,
    folder: &'a Path,
}

impl AgentConfig {
    /// Reads a configuration's text. Relative paths are taken to be relative to `folder`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let raw: RawAgent = written(text)?;
        let mut faults = Vec::new();
        match read(raw, folder, &mut faults) {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults(faults)),
        }
    }
}

fn read(raw: RawAgent, folder: &Path, faults: &mut Vec<String>) -> Option<AgentConfig> {
    let domain = keep(faults, trust_domain(&raw.trust_domain));
    let domain = domain.map(|own| own.trust_domain().clone());
    let world = World {
        domain: domain.as_ref(),
        folder,
    };
    let federation = keep_all(faults, federation::parse(raw.federation, &world));
    let foreign: Option<BTreeSet<TrustDomain>> = federation
        .as_ref()
        .map(|all| all.iter().map(|one| one.trust_domain.clone()).collect());
    let named: BTreeSet<String> = raw.identities.iter().map(|one| one.id.clone()).collect();
    let identities = identities::parse(raw.identities, foreign.as_ref(), &world);
    let identities = keep_all(faults, identities);
    let shared = raw.shared.map(|raw| {
        keep_all(
            faults,
            shared::parse(raw, identities.as_deref().unwrap_or(&[]), &world),
        )
    });
    let files = keep_all(faults, files::outputs(raw.files, &named, &world));
    let sds_files = keep_all(faults, files::served(raw.sds_files, &named, &world));
    let own = identities.as_deref().unwrap_or(&[]);
    let ca = keep_all(faults, source::parse(raw.ca, own, &world));
    let limits = keep_all(faults, limits(&raw.limits));
    let monitor = raw.monitor.map(|address| keep(faults, loopback(address)));
    let config = AgentConfig {
        trust_domain: domain?,
        state_dir: raw.state_dir.map(|path| folder.join(path)),
        status_socket: folder.join(
            raw.status_socket
                .unwrap_or_else(|| "agent-status.sock".into()),
        ),
        monitor: match monitor {
            None => None,
            Some(address) => Some(address?),
        },
        validation: match raw.validation {
            None | Some(RawValidation::TrustedCa) => Validation::TrustedCa,
            Some(RawValidation::Spiffe) => Validation::Spiffe,
        },
        ca: ca?,
        identities: identities?,
        shared: match shared {
            None => None,
            Some(shared) => Some(shared?),
        },
        files: files?,
        sds_files: sds_files?,
        federation: federation?,
        limits: limits?,
    };
    check_sockets(&config, faults);
    check_reached(&config, faults);
    Some(config)
}

/// Metrics name identities: a proxy may publish them, if anybody.
fn loopback(address: SocketAddr) -> Result<SocketAddr, String> {
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(format!(
            "monitor: {address} is not a loopback address (127.0.0.1 or [::1]): let a proxy publish it"
        )),
    }
}

fn limits(raw: &RawLimits) -> Result<Limits, Faults> {
    let mut faults = Vec::new();
    for (name, value) in [
        ("connections", raw.connections),
        ("connections_per_uid", raw.connections_per_uid),
        ("streams", raw.streams),
        ("streams_per_uid", raw.streams_per_uid),
    ] {
        if !value.is_none_or(|value| (1..=MOST_PLACES).contains(&value)) {
            faults.push(format!("limits.{name}: 1 to {MOST_PLACES}"));
        }
    }
    match faults.is_empty() {
        true => Ok(Limits {
            connections: raw.connections,
            connections_per_uid: raw.connections_per_uid,
            streams: raw.streams,
            streams_per_uid: raw.streams_per_uid,
        }),
        false => Err(Faults(faults)),
    }
}

/// More descriptors than any machine gives to a process.
const MOST_PLACES: usize = 1 << 20;

/// No path is a socket twice.
fn check_sockets(config: &AgentConfig, faults: &mut Vec<String>) {
    let own = config
        .identities
        .iter()
        .enumerate()
        .filter_map(|(at, one)| {
            let socket = one.socket.as_ref()?;
            Some((format!("identities[{at}].socket"), &socket.path))
        });
    let shared = config
        .shared
        .iter()
        .map(|one| ("shared.socket".to_owned(), &one.socket));
    let status = [("status_socket".to_owned(), &config.status_socket)];
    let mut taken = BTreeMap::new();
    for (place, path) in status.into_iter().chain(own).chain(shared) {
        if let Some(earlier) = taken.insert(path, place.clone()) {
            faults.push(format!(
                "{place}: {} is {earlier}'s already",
                path.display()
            ));
        }
    }
}

/// Everything that is kept supplied is of use to somebody.
fn check_reached(config: &AgentConfig, faults: &mut Vec<String>) {
    let all = || config.identities.iter();
    let also: BTreeSet<&SpiffeId> = all().flat_map(|one| &one.also).collect();
    for (at, one) in all().enumerate() {
        let reached = config.shared.is_some()
            || one.socket.is_some()
            || also.contains(&one.id)
            || config.files.iter().any(|output| output.identity == one.id);
        if !reached {
            faults.push(format!(
                "identities[{at}]: nobody could have {}: it has no socket, [shared] is not there, and no [[files]] are for it",
                one.id
            ));
        }
    }
}

/// A workload's ID of the agent's trust domain.
fn workload_id(text: &str, world: &World<'_>, place: &str) -> Result<SpiffeId, String> {
    let id =
        SpiffeId::new(text).map_err(|e| format!("{place}: {text:?} is not a SPIFFE ID: {e}"))?;
    if id.path().is_empty() {
        return Err(format!(
            "{place}: {text:?} has no path; a workload's SPIFFE ID has one, such as {text}/frontend"
        ));
    }
    match world.domain {
        Some(domain) if domain != id.trust_domain() => Err(format!(
            "{place}: {text:?} is not of the trust domain {domain}"
        )),
        _ => Ok(id),
    }
}

/// A duration within bounds.
fn duration(
    place: &str,
    text: &str,
    (shortest, longest): (Duration, Duration),
) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|e| {
        format!("{place}: {text:?} is not a duration such as \"1h\" or \"90s\": {e}")
    })?;
    match (shortest..=longest).contains(&life) {
        true => Ok(life),
        false => Err(format!(
            "{place}: {text:?} is not between {} and {}",
            humantime::format_duration(shortest),
            humantime::format_duration(longest)
        )),
    }
}

#[cfg(test)]
mod tests;
