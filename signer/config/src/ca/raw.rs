//! The file as it is written.

use crate::raw::{RawCustody, RawDnsTemplate, RawSandbox};
use credence_attest::peer::EntryText;
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCa {
    pub(super) trust_domain: String,
    pub(super) state_dir: PathBuf,
    pub(super) admin_socket: Option<PathBuf>,
    pub(super) listen: RawListen,
    pub(super) bundle_endpoint: Option<RawBundleEndpoint>,
    pub(super) chain: Option<RawChain>,
    #[serde(default)]
    pub(super) serving: RawServing,
    #[serde(default)]
    pub(super) leaf: RawLeaf,
    #[serde(default)]
    pub(super) lifecycle: RawLifecycle,
    #[serde(default)]
    pub(super) ledger: RawLedger,
    pub(super) istio: Option<RawIstio>,
    pub(super) dapr: Option<RawDapr>,
    pub(super) unix: Option<RawUnix>,
    #[serde(default)]
    pub(super) bundle: RawBundle,
    #[serde(default)]
    pub(super) attestors: BTreeMap<String, RawAttestor>,
    #[serde(default)]
    pub(super) node_agents: Vec<RawNodeAgent>,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) dns_templates: Vec<RawDnsTemplate>,
    #[serde(default)]
    pub(super) sandbox: RawSandbox,
    #[serde(default)]
    pub(super) custody: RawCustody,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    pub(super) grpc: SocketAddr,
    pub(super) monitor: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBundleEndpoint {
    pub(super) address: SocketAddr,
    #[serde(default = "slash")]
    pub(super) path: String,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    pub(super) kind: RawLayout,
    pub(super) folder: Option<PathBuf>,
    pub(super) roots: Option<PathBuf>,
    pub(super) chain: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) root_key: Option<PathBuf>,
    pub(super) readers: Option<RawReaders>,
    pub(super) leaves_live: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawLayout {
    Files,
    Dapr,
    Istio,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawReaders {
    Nobody,
    Group,
    Anyone,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServing {
    pub(super) identity: Option<String>,
    #[serde(default)]
    pub(super) dns_names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLeaf {
    pub(super) shortest: Option<String>,
    pub(super) usual: Option<String>,
    pub(super) longest: Option<String>,
    pub(super) too_long: Option<RawBeyond>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawBeyond {
    Clamp,
    Refuse,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLifecycle {
    pub(super) refresh_hint: Option<String>,
    pub(super) clock_skew: Option<String>,
    pub(super) issuer_life: Option<String>,
    pub(super) root_life: Option<String>,
    pub(super) rotate_roots: Option<RawSchedule>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSchedule {
    ByItself,
    OnOrder,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLedger {
    pub(super) max_mib: Option<u64>,
    pub(super) volatile: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIstio {
    pub(super) trust_domains: Option<Vec<String>>,
    pub(super) attestors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDapr {
    pub(super) trust_domains: Option<Vec<String>>,
    #[serde(default)]
    pub(super) kubernetes: Vec<String>,
    #[serde(default)]
    pub(super) jwks: Vec<String>,
    pub(super) default: Option<RawValidator>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnix {
    pub(super) socket: PathBuf,
    pub(super) trust_domains: Option<Vec<String>>,
    pub(super) attestors: Vec<String>,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) mode: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawValidator {
    Kubernetes,
    Jwks,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBundle {
    pub(super) trust_domains: Option<Vec<String>>,
    pub(super) attestors: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum RawAttestor {
    Jwt {
        issuer: Option<String>,
        audiences: Vec<String>,
        jwks_file: Option<PathBuf>,
        jwks_url: Option<String>,
        ca_file: Option<PathBuf>,
        algorithms: Option<Vec<String>>,
        skew: Option<String>,
        longest_life: Option<String>,
        identity: String,
    },
    TokenReview {
        server: String,
        ca_file: Option<PathBuf>,
        token_file: PathBuf,
        cluster: Option<String>,
        audiences: Vec<String>,
        timeout: Option<String>,
        identity: String,
        control_plane_namespace: Option<String>,
        control_plane_trust_domain: Option<String>,
    },
    Svid {
        longest_lineage: Option<String>,
    },
    JoinToken {},
    Peer {
        registry: Option<PathBuf>,
        entries: Option<Vec<EntryText>>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNodeAgent {
    pub(super) identity: String,
    pub(super) may_ask_for: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) connections: Option<usize>,
    pub(super) connections_per_address: Option<usize>,
    pub(super) signing: Option<usize>,
    pub(super) waiting: Option<usize>,
    pub(super) identity_burst: Option<u32>,
    pub(super) identity_interval: Option<String>,
    pub(super) global_burst: Option<u32>,
    pub(super) global_interval: Option<String>,
}

fn slash() -> String {
    "/".into()
}
