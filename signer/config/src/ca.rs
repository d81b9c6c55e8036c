//! The configuration of `credence ca run`: parsed whole or not at all, every fault told at once.

mod attestors;
mod chain;
mod frontends;
mod limits;
mod lives;
mod raw;

pub use attestors::{AttestorConfig, IdentityFrom, KeysConfig, RegistryConfig};
pub use chain::{ChainConfig, Layout, Readers};
pub use frontends::{Access, DaprConfig, FrontendConfig, UnixConfig, Validator};
pub use limits::Limits;

use crate::{
    Faults,
    custody::{self, CustodyConfig},
    dns,
    faults::written,
    keep, keep_all, sandbox, trust_domain,
};
use credence_attest::NodeAgent;
use credence_ca::{
    dns::{DnsName, DnsTemplates},
    life::Life,
    lifecycle::Settings,
};
use frontends::Written;
use raw::{RawBundleEndpoint, RawCa, RawServing};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A good configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaConfig {
    /// The trust domain's own ID, without a path.
    pub trust_domain: SpiffeId,
    /// Roots, issuers, ledger.
    pub state_dir: PathBuf,
    /// The administration socket.
    pub admin_socket: PathBuf,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub monitor: SocketAddr,
    /// The SPIFFE bundle endpoint.
    pub bundle_endpoint: Option<EndpointConfig>,
    /// Who the daemon is.
    pub serving: ServingConfig,
    /// How long leaves live.
    pub life: Life,
    /// The longest of those lives.
    pub longest: Duration,
    /// The numbers of the lifecycle.
    pub settings: Settings,
    /// Root and issuer from somebody else's files.
    pub chain: Option<ChainConfig>,
    /// How large the ledger may grow, octets.
    pub ledger_bytes: Option<u64>,
    /// Whether entries are not waited for until they are on disk.
    pub ledger_volatile: bool,
    /// Istio's protocol.
    pub istio: Option<FrontendConfig>,
    /// Dapr's.
    pub dapr: Option<DaprConfig>,
    /// Who reads the bundle on the network.
    pub bundle: FrontendConfig,
    /// The Unix socket.
    pub unix: Option<UnixConfig>,
    /// Who is believed, by name.
    pub attestors: BTreeMap<String, AttestorConfig>,
    /// Who may ask for others.
    pub node_agents: Vec<NodeAgent>,
    /// What is taken.
    pub limits: Limits,
    /// Which DNS names are granted.
    pub dns_templates: DnsTemplates,
    /// The signing module, and what it may use.
    pub signer: sandbox::Settings,
    /// Where the CA's keys are.
    pub custody: CustodyConfig,
}

/// The SPIFFE bundle endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its path; begins with a slash.
    pub path: String,
    /// Certificate and key for `https_web`.
    pub web: Option<(PathBuf, PathBuf)>,
}

/// Who the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingConfig {
    /// Its SPIFFE ID.
    pub identity: SpiffeId,
    /// Its DNS names.
    pub dns_names: Vec<DnsName>,
}

impl CaConfig {
    /// Reads a configuration's text. Relative paths are taken to be relative to `folder`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let raw: RawCa = written(text)?;
        let mut faults = Vec::new();
        let read = read(raw, folder, &mut faults);
        match read {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults(faults)),
        }
    }
}

fn read(raw: RawCa, folder: &Path, faults: &mut Vec<String>) -> Option<CaConfig> {
    let own = keep(faults, trust_domain(&raw.trust_domain));
    let life = keep_all(faults, lives::parse(&raw.leaf));
    let settings =
        life.and_then(|life| keep_all(faults, lives::settings(&raw.lifecycle, life.longest())));
    let serving = own
        .as_ref()
        .and_then(|own| keep_all(faults, serving(&raw.serving, own)));
    let chain = raw.chain.map(|raw| keep(faults, chain::parse(raw, folder)));
    let endpoint = raw
        .bundle_endpoint
        .map(|raw| keep(faults, endpoint(raw, folder)));
    let attestors = keep_all(
        faults,
        attestors::parse(raw.attestors, own.as_ref(), folder),
    );
    let written = Written {
        istio: raw.istio,
        dapr: raw.dapr,
        bundle: raw.bundle,
        unix: raw.unix,
    };
    let none = BTreeMap::new();
    let known = attestors.as_ref().unwrap_or(&none);
    let frontends = own
        .as_ref()
        .and_then(|own| keep_all(faults, frontends::parse(written, own, known, folder)));
    let node_agents = keep_all(faults, attestors::node_agents(&raw.node_agents));
    let limits = keep_all(faults, limits::parse(&raw.limits));
    let dns_templates = keep_all(faults, dns::parse(&raw.dns_templates));
    let signer = keep_all(faults, sandbox::parse(raw.sandbox, folder));
    let custody = keep_all(faults, custody::parse(raw.custody, folder));
    let ledger_bytes = keep(faults, ledger_bytes(raw.ledger.max_mib));
    let (frontends, ledger_bytes) = (frontends?, ledger_bytes?);
    let state_dir = folder.join(raw.state_dir);
    Some(CaConfig {
        trust_domain: own?,
        admin_socket: raw
            .admin_socket
            .map_or_else(|| state_dir.join("admin.sock"), |path| folder.join(path)),
        state_dir,
        grpc: raw.listen.grpc,
        monitor: raw.listen.monitor,
        bundle_endpoint: match endpoint {
            None => None,
            Some(endpoint) => Some(endpoint?),
        },
        serving: serving?,
        life: life?,
        longest: life?.longest(),
        settings: settings?,
        chain: match chain {
            None => None,
            Some(chain) => Some(chain?),
        },
        ledger_bytes,
        ledger_volatile: raw.ledger.volatile.unwrap_or(false),
        istio: frontends.istio,
        dapr: frontends.dapr,
        bundle: frontends.bundle,
        unix: frontends.unix,
        attestors: attestors?,
        node_agents: node_agents?,
        limits: limits?,
        dns_templates: dns_templates?,
        signer: signer?,
        custody: custody?,
    })
}

fn ledger_bytes(mib: Option<u64>) -> Result<Option<u64>, String> {
    match mib {
        Some(0) => Err(
            "ledger.max_mib: with 0 nothing could be on record; left out, the disk is the bound"
                .into(),
        ),
        mib => Ok(mib.map(|mib| mib.saturating_mul(1 << 20))),
    }
}

fn serving(raw: &RawServing, own: &SpiffeId) -> Result<ServingConfig, Faults> {
    let mut faults = Vec::new();
    let text = raw
        .identity
        .clone()
        .unwrap_or_else(|| format!("{own}/credence/ca"));
    let identity = SpiffeId::new(&text)
        .map_err(|e| format!("serving.identity: {text:?} is not a SPIFFE ID: {e}"))
        .and_then(
            |id| match id.path().is_empty() || id.trust_domain() != own.trust_domain() {
                true => Err(format!(
                    "serving.identity: {text:?} is not a workload's ID of {own}"
                )),
                false => Ok(id),
            },
        );
    let identity = keep(&mut faults, identity);
    let name = |text: &String| {
        DnsName::parse(text).map_err(|e| format!("serving.dns_names: {text:?}: {e}"))
    };
    let names: Vec<_> = raw
        .dns_names
        .iter()
        .filter_map(|text| keep(&mut faults, name(text)))
        .collect();
    match identity {
        Some(identity) if faults.is_empty() => Ok(ServingConfig {
            identity,
            dns_names: names,
        }),
        _ => Err(Faults(faults)),
    }
}

fn endpoint(raw: RawBundleEndpoint, folder: &Path) -> Result<EndpointConfig, String> {
    if !raw.path.starts_with('/') {
        return Err(format!(
            "bundle_endpoint.path: {:?} does not begin with a slash",
            raw.path
        ));
    }
    let web = match (raw.certificate, raw.key) {
        (Some(certificate), Some(key)) => Some((folder.join(certificate), folder.join(key))),
        (None, None) => None,
        _ => {
            return Err("bundle_endpoint: certificate and key belong together: name both (https_web) or none (https_spiffe)".into());
        }
    };
    Ok(EndpointConfig {
        address: raw.address,
        path: raw.path,
        web,
    })
}

/// A duration, or what is usual.
fn duration(name: &str, text: Option<&str>, default: Duration) -> Result<Duration, String> {
    let Some(text) = text else {
        return Ok(default);
    };
    humantime::parse_duration(text)
        .map_err(|e| format!("{name}: {text:?} is not a duration such as \"1h\" or \"90s\": {e}"))
}

#[cfg(test)]
mod tests;
