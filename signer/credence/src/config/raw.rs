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
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) id: String,
    pub(super) socket: PathBuf,
    pub(super) uid: Option<u32>,
}

fn one_hour() -> String {
    "1h".into()
}
