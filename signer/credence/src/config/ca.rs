//! The configuration of `credence ca run`: parsed whole or not at all, every fault told at once.

mod attestors;
mod frontends;
mod limits;
mod raw;

pub(crate) use attestors::{AttestorConfig, IdentityFrom, KeysConfig, RegistryConfig};
pub(crate) use frontends::{DaprConfig, FrontendConfig, UnixConfig};

use super::{CustodyConfig, Faults, custody, dns, keep, keep_all, sandbox, trust_domain};
use credence_ca::{
    dns::{DnsName, DnsTemplates},
    lifecycle::{RootSchedule, Settings, Terms},
};
use credence_daemon::desk::{Beyond, Life};
use credence_host::{
    chain::{DaprNames, Layout, Reading},
    private_file::Readers,
    signer::Settings as SignerSettings,
};
use credence_service::{chain::ChainPlan, plan::Limits};
use frontends::Written;
use raw::{
    RawBeyond, RawBundleEndpoint, RawCa, RawChain, RawLayout, RawLeaf, RawLifecycle, RawReaders,
    RawSchedule, RawServing,
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A good configuration.
#[derive(Debug, Clone)]
pub(crate) struct CaConfig {
    /// The trust domain's own ID, without a path.
    pub(crate) trust_domain: SpiffeId,
    pub(crate) state_dir: PathBuf,
    pub(crate) admin_socket: PathBuf,
    pub(crate) grpc: SocketAddr,
    pub(crate) monitor: SocketAddr,
    pub(crate) bundle_endpoint: Option<EndpointConfig>,
    pub(crate) serving: ServingConfig,
    pub(crate) life: Life,
    pub(crate) longest: Duration,
    pub(crate) settings: Settings,
    /// Root and issuer from somebody else's files.
    pub(crate) chain: Option<ChainPlan>,
    pub(crate) ledger_bytes: Option<u64>,
    pub(crate) ledger_volatile: bool,
    pub(crate) istio: Option<FrontendConfig>,
    pub(crate) dapr: Option<DaprConfig>,
    pub(crate) bundle: FrontendConfig,
    pub(crate) unix: Option<UnixConfig>,
    pub(crate) attestors: BTreeMap<String, AttestorConfig>,
    pub(crate) node_agents: Vec<credence_attest::NodeAgent>,
    pub(crate) limits: Limits,
    pub(crate) dns_templates: DnsTemplates,
    pub(crate) signer: SignerSettings,
    pub(crate) custody: CustodyConfig,
}

/// The SPIFFE bundle endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointConfig {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// Certificate and key for `https_web`.
    pub(crate) web: Option<(PathBuf, PathBuf)>,
}

/// Who the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServingConfig {
    pub(crate) identity: SpiffeId,
    pub(crate) dns_names: Vec<DnsName>,
}

impl CaConfig {
    /// Reads a configuration's text. Relative paths are taken to be relative to `folder`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let raw: RawCa =
            toml::from_str(text).map_err(|e| Faults(vec![e.to_string().trim_end().to_owned()]))?;
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
    let lives = keep_all(faults, lives(&raw.leaf));
    let settings =
        lives.and_then(|lives| keep_all(faults, settings(&raw.lifecycle, lives.longest)));
    let serving = own
        .as_ref()
        .and_then(|own| keep_all(faults, serving(&raw.serving, own)));
    let chain = raw.chain.map(|raw| keep(faults, chain(raw, folder)));
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
    let frontends = frontends?;
    let (lives, state_dir) = (lives?, folder.join(raw.state_dir));
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
        life: lives.life,
        longest: lives.longest,
        settings: settings?,
        chain: match chain {
            None => None,
            Some(chain) => Some(chain?),
        },
        ledger_bytes: raw.ledger.max_mib.map(|mib| mib.saturating_mul(1 << 20)),
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

#[derive(Debug, Clone, Copy)]
struct Lives {
    life: Life,
    longest: Duration,
}

fn lives(raw: &RawLeaf) -> Result<Lives, Faults> {
    let mut faults = Vec::new();
    let mut read = |name: &str, text: &Option<String>, default: u64| {
        keep(
            &mut faults,
            duration(name, text.as_deref(), Duration::from_secs(default)),
        )
    };
    let shortest = read("leaf.shortest", &raw.shortest, 60);
    let usual = read("leaf.usual", &raw.usual, 3_600);
    let longest = read("leaf.longest", &raw.longest, 86_400);
    let beyond = match raw.too_long {
        Some(RawBeyond::Refuse) => Beyond::Refuse,
        Some(RawBeyond::Clamp) | None => Beyond::Clamp,
    };
    let (Some(shortest), Some(usual), Some(longest)) = (shortest, usual, longest) else {
        return Err(Faults(faults));
    };
    match Life::new(shortest, usual, longest, beyond) {
        Ok(life) => Ok(Lives { life, longest }),
        Err(error) => Err(Faults(vec![format!("leaf: {error}")])),
    }
}

fn settings(raw: &RawLifecycle, longest: Duration) -> Result<Settings, Faults> {
    let mut faults = Vec::new();
    let default = Terms::default();
    let mut read = |name: &str, text: &Option<String>, default: Duration| {
        keep(&mut faults, duration(name, text.as_deref(), default)).unwrap_or(default)
    };
    let terms = Terms {
        longest_leaf_life: longest,
        refresh_hint: read(
            "lifecycle.refresh_hint",
            &raw.refresh_hint,
            default.refresh_hint,
        ),
        clock_skew: read("lifecycle.clock_skew", &raw.clock_skew, default.clock_skew),
        issuer_life: read(
            "lifecycle.issuer_life",
            &raw.issuer_life,
            default.issuer_life,
        ),
        root_life: read("lifecycle.root_life", &raw.root_life, default.root_life),
        roots: match raw.rotate_roots {
            Some(RawSchedule::OnOrder) => RootSchedule::OnOrder,
            Some(RawSchedule::ByItself) | None => RootSchedule::ByItself,
        },
    };
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    Settings::try_from(terms).map_err(|e| Faults(vec![format!("lifecycle: {e}")]))
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

fn chain(raw: RawChain, folder: &Path) -> Result<ChainPlan, String> {
    let at = |path: PathBuf| folder.join(path);
    let layout =
        match raw.kind {
            RawLayout::Files => match (raw.roots, raw.chain, raw.key, raw.folder) {
                (Some(roots), Some(chain), Some(key), None) => Layout::Files {
                    roots: at(roots),
                    chain: at(chain),
                    issuer_key: at(key),
                    root_key: raw.root_key.map(at),
                },
                _ => return Err(
                    "chain: of kind \"files\" it has roots, chain and key, and may have root_key"
                        .into(),
                ),
            },
            kind => {
                let named = raw.roots.is_some()
                    || raw.chain.is_some()
                    || raw.key.is_some()
                    || raw.root_key.is_some();
                let folder = match raw.folder {
                Some(folder) if !named => at(folder),
                _ => return Err(
                    "chain: of kinds \"dapr\" and \"istio\" it has a folder, and no other files"
                        .into(),
                ),
            };
                match kind {
                    RawLayout::Dapr => Layout::Dapr {
                        folder,
                        names: DaprNames::default(),
                    },
                    _ => Layout::Istio { folder },
                }
            }
        };
    let readers = match raw.readers {
        None | Some(RawReaders::Nobody) => Readers::Nobody,
        Some(RawReaders::Group) => Readers::Group,
        Some(RawReaders::Anyone) => Readers::Anyone,
    };
    let others = duration(
        "chain.leaves_live",
        raw.leaves_live.as_deref(),
        Duration::from_secs(86_400),
    )?;
    Ok(ChainPlan {
        near_its_end: false,
        layout,
        reading: Reading {
            readers,
            passphrase: None,
        },
        others,
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
