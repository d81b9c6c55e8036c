//! The file as it is written.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    pub(crate) trust_domain: String,
    pub(crate) state_dir: PathBuf,
    #[serde(default = "one_hour")]
    pub(crate) leaf_life: String,
    pub(crate) identities: Vec<RawIdentity>,
    #[serde(default)]
    pub(crate) dns_templates: Vec<RawDnsTemplate>,
    #[serde(default)]
    pub(crate) sandbox: RawSandbox,
    #[serde(default)]
    pub(crate) custody: RawCustody,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawIdentity {
    pub(crate) id: String,
    pub(crate) socket: PathBuf,
    pub(crate) uid: Option<u32>,
    #[serde(default)]
    pub(crate) dns_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDnsTemplate {
    pub(crate) path: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSandbox {
    pub(crate) module: Option<PathBuf>,
    pub(crate) memory_kib: Option<usize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) stack_kib: Option<usize>,
    pub(crate) deadline: Option<String>,
    pub(crate) proposal_kib: Option<usize>,
    pub(crate) instances: Option<u32>,
    pub(crate) misbehaviours: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCustody {
    pub(crate) key: Option<String>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) passphrase_fd: Option<u32>,
    pub(crate) pkcs11: Option<RawToken>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawToken {
    pub(crate) library: PathBuf,
    pub(crate) token: String,
    pub(crate) pin_file: Option<PathBuf>,
    pub(crate) pin_fd: Option<u32>,
    #[serde(default = "root_label")]
    pub(crate) root_label: String,
    #[serde(default = "issuer_label")]
    pub(crate) issuer_label: String,
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
