//! The file as it is written.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) trust_domain: String,
    pub(super) state_dir: PathBuf,
    #[serde(default = "one_hour")]
    pub(super) leaf_life: String,
    pub(super) identities: Vec<RawIdentity>,
    #[serde(default)]
    pub(super) dns_templates: Vec<RawDnsTemplate>,
    #[serde(default)]
    pub(super) sandbox: RawSandbox,
    #[serde(default)]
    pub(super) custody: RawCustody,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) id: String,
    pub(super) socket: PathBuf,
    pub(super) uid: Option<u32>,
    #[serde(default)]
    pub(super) dns_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDnsTemplate {
    pub(super) path: String,
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSandbox {
    pub(super) module: Option<PathBuf>,
    pub(super) memory_kib: Option<usize>,
    pub(super) table_elements: Option<usize>,
    pub(super) stack_kib: Option<usize>,
    pub(super) deadline: Option<String>,
    pub(super) proposal_kib: Option<usize>,
    pub(super) instances: Option<u32>,
    pub(super) misbehaviours: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCustody {
    pub(super) key: Option<String>,
    pub(super) passphrase_file: Option<PathBuf>,
    pub(super) passphrase_fd: Option<u32>,
    pub(super) pkcs11: Option<RawToken>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawToken {
    pub(super) library: PathBuf,
    pub(super) token: String,
    pub(super) pin_file: Option<PathBuf>,
    pub(super) pin_fd: Option<u32>,
    #[serde(default = "root_label")]
    pub(super) root_label: String,
    #[serde(default = "issuer_label")]
    pub(super) issuer_label: String,
}

fn root_label() -> String {
    "credence root".into()
}

fn issuer_label() -> String {
    "credence issuer".into()
}

fn one_hour() -> String {
    "1h".into()
}
