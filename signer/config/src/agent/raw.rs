//! The file as it is written.

use credence_attest::peer::EntryText;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgent {
    pub(super) trust_domain: String,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) status_socket: Option<PathBuf>,
    pub(super) monitor: Option<SocketAddr>,
    pub(super) validation: Option<RawValidation>,
    pub(super) ca: RawCa,
    pub(super) identities: Vec<RawIdentity>,
    pub(super) shared: Option<RawShared>,
    #[serde(default)]
    pub(super) files: Vec<RawFiles>,
    #[serde(default)]
    pub(super) sds_files: Vec<RawSdsFiles>,
    #[serde(default)]
    pub(super) federation: Vec<RawFederation>,
    #[serde(default)]
    pub(super) limits: RawLimits,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawValidation {
    TrustedCa,
    Spiffe,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCa {
    pub(super) protocol: Option<RawProtocol>,
    pub(super) address: Option<String>,
    pub(super) socket: Option<PathBuf>,
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
    pub(super) roots_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) join_token_file: Option<PathBuf>,
    pub(super) node_agent: Option<bool>,
    pub(super) life: Option<String>,
    pub(super) renewals: Option<RawRenewals>,
    pub(super) cluster: Option<String>,
    pub(super) node: Option<String>,
    pub(super) bundle_poll: Option<String>,
    pub(super) control_plane_namespace: Option<String>,
    pub(super) control_plane_trust_domain: Option<String>,
    pub(super) validator: Option<RawValidator>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawProtocol {
    Credence,
    Istio,
    Sentry,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawRenewals {
    ByCertificate,
    ByProof,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawValidator {
    Default,
    Kubernetes,
    Jwks,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) id: String,
    #[serde(default)]
    pub(super) dns_names: Vec<String>,
    pub(super) socket: Option<PathBuf>,
    pub(super) uid: Option<u32>,
    pub(super) hint: Option<String>,
    #[serde(default)]
    pub(super) also: Vec<String>,
    pub(super) federates_with: Option<Vec<String>>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) join_token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShared {
    pub(super) socket: PathBuf,
    pub(super) registry: Option<PathBuf>,
    pub(super) entries: Option<Vec<EntryText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFiles {
    pub(super) identity: String,
    pub(super) folder: PathBuf,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) bundle: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) key_mode: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) reload: Option<RawReload>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReload {
    pub(super) command: Option<Vec<String>>,
    pub(super) signal: Option<String>,
    pub(super) pid_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSdsFiles {
    pub(super) folders: Vec<PathBuf>,
    pub(super) identities: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "profile", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum RawFederation {
    File {
        trust_domain: String,
        file: PathBuf,
    },
    HttpsWeb {
        trust_domain: String,
        url: String,
        roots_file: Option<PathBuf>,
    },
    HttpsSpiffe {
        trust_domain: String,
        url: String,
        endpoint_id: String,
        bundle_file: PathBuf,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) connections: Option<usize>,
    pub(super) connections_per_uid: Option<usize>,
    pub(super) streams: Option<usize>,
    pub(super) streams_per_uid: Option<usize>,
}
