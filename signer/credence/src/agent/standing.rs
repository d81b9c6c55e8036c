//! How an agent is doing, as it is told: the same for the table, JSON and metrics. Times are RFC 3339.

use serde::{Deserialize, Serialize};

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// When it was looked at.
    pub(super) at: String,
    pub(super) trust_domain: String,
    pub(super) identities: Vec<IdentityStanding>,
    pub(super) bundles: Vec<BundleStanding>,
    #[serde(default)]
    pub(super) files: Vec<FilesStanding>,
    #[serde(default)]
    pub(super) watched: Vec<WatchedStanding>,
}

/// An identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IdentityStanding {
    pub(super) id: String,
    /// `waiting`, `unattested`, `refused`, `holding`, `renewing`, `cannot_renew` or `expired`.
    pub(super) state: String,
    pub(super) serial: Option<String>,
    /// When it came.
    pub(super) issued: Option<String>,
    pub(super) not_before: Option<String>,
    pub(super) expires: Option<String>,
    /// Seconds until then; 0 once it has ended.
    pub(super) left: Option<u64>,
    /// When the CA is asked next; none while it is being asked.
    pub(super) next_renewal: Option<String>,
    /// Certificates that came.
    pub(super) certificates: u64,
    /// Attempts that came to nothing.
    pub(super) failures: u64,
    pub(super) last_error: Option<Trouble>,
    pub(super) clients: Clients,
}

/// Those whose default identity it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clients {
    pub(super) sds_streams: usize,
    pub(super) workload_streams: usize,
    /// Responses that were sent.
    pub(super) pushes: u64,
    pub(super) last_version: Option<String>,
    pub(super) unknown_names: u64,
    /// Responses that a client would not have.
    pub(super) refusals: u64,
    pub(super) last_refusal: Option<Trouble>,
}

/// What went wrong last, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) at: String,
    pub(super) reason: String,
}

/// A trust domain's bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BundleStanding {
    pub(super) trust_domain: String,
    pub(super) roots: usize,
    pub(super) revocation_lists: usize,
    pub(super) number: Option<u64>,
    /// Where it comes from, if that is not the CA.
    pub(super) source: Option<String>,
    /// When its source said last that it is the present one.
    pub(super) heard: Option<String>,
    pub(super) last_error: Option<Trouble>,
}

/// A folder that certificates are written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilesStanding {
    pub(super) folder: String,
    pub(super) identity: String,
    /// Of the certificate that is there.
    pub(super) serial: Option<String>,
    pub(super) written: Option<String>,
    /// Why what is served now is not there.
    pub(super) last_error: Option<Trouble>,
    /// When the application was told last.
    pub(super) told: Option<String>,
    /// Why it was not told of what is there.
    pub(super) not_told: Option<Trouble>,
}

/// A file that somebody else rotates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WatchedStanding {
    pub(super) name: String,
    /// The default identity of who asked first.
    pub(super) asked_by: String,
    /// Since when something of it is served.
    pub(super) served: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) last_error: Option<Trouble>,
}
