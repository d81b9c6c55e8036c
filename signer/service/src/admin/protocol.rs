//! What is said over the administration socket. Times are seconds since 1970, durations are seconds.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize as _;

/// The longest request, in octets.
pub const LONGEST_REQUEST: usize = 1 << 20;
/// The longest answer, in octets.
pub const LONGEST_ANSWER: usize = 16 << 20;

/// A secret on its way. Never shown, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Every root and issuer, and who holds up what.
    Status,
    /// The published roots, PEM.
    Roots,
    /// Begin with a new root.
    RotateRoot,
    /// Give up the root that is to be.
    WithdrawRoot,
    /// A new issuer.
    RotateIssuer,
    /// Give up the issuer that is to be.
    WithdrawIssuer,
    /// Make the next root active though gates are shut.
    ForceActivate {
        /// Only say what it would break.
        ask: bool,
    },
    /// Take a retiring root out of the bundle though gates are shut.
    ForceRetire {
        /// The root's SHA-256.
        root: String,
        /// Only say what it would break.
        ask: bool,
    },
    /// Every process of an identity that reads roots at its start was started anew, with this bundle there to be read.
    Restarted {
        /// The SPIFFE ID.
        identity: String,
        /// The bundle's name; none: the one that is published now.
        bundle: Option<String>,
    },
    /// Somebody verifies and has no leaf.
    RegisterVerifier {
        /// Its SPIFFE ID.
        name: String,
    },
    /// It does no more.
    RemoveVerifier {
        /// Its SPIFFE ID.
        name: String,
    },
    /// The wall clock is right.
    ConfirmClock,
    /// The state comes from a backup.
    Restored,
    /// Remove the active root's key: its issuers are imported from then on.
    RemoveRootKey,
    /// A key and a request for an issuer's certificate.
    IssuerCsr,
    /// The certificate for one of those requests.
    ImportIssuer {
        /// PEM, the issuer first.
        chain: String,
        /// PEM, the trust anchors.
        roots: String,
    },
    /// A chain with its key.
    ImportChain {
        /// PEM, the issuer first.
        chain: String,
        /// PEM, the trust anchors.
        roots: String,
        /// PEM, PKCS#8, not encrypted.
        key: Secret,
    },
    /// A new root.
    NewRoot {
        /// PEM, PKCS#8, not encrypted; none: a key is made.
        key: Option<Secret>,
        /// How long it is to live; none: as configured.
        seconds: Option<u64>,
    },
    /// Move old entries of the ledger to a file of their own.
    Archive {
        /// From before this time.
        before: u64,
        /// A file that is not there yet, as the CA's process sees it.
        to: String,
    },
    /// A copy of the state.
    Backup {
        /// A folder that is not there yet, as the CA's process sees it.
        to: String,
    },
    /// Revoke a certificate or an identity.
    Revoke {
        /// A serial number in hexadecimal digits, or a SPIFFE ID.
        subject: String,
        /// Why.
        reason: String,
    },
    /// Take an identity's revocation back.
    Reinstate {
        /// The SPIFFE ID.
        identity: String,
        /// Why.
        reason: String,
    },
    /// The published revocation lists, PEM.
    RevocationLists,
    /// The filter's deny list, JSON.
    DenyList,
    /// A join token.
    CreateToken {
        /// The SPIFFE ID that it is good for.
        identity: String,
        /// For how long.
        seconds: u64,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done,
    /// What a forced step would break, a line each.
    Breaks(Vec<String>),
    /// How it stands.
    Status(Box<Standing>),
    /// PEM.
    Pem(String),
    /// It is done, and this is worth knowing.
    Told(String),
    /// JSON.
    Json(String),
    /// A token. Shown once.
    Token {
        /// The token.
        token: String,
        /// When it ends.
        expires: u64,
    },
    /// It was refused, or failed.
    Error(String),
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The trust domain.
    pub trust_domain: String,
    /// The published bundle's name.
    pub bundle: String,
    /// The next root, the active one, those that retire, those that are over.
    pub roots: Vec<Authority>,
    /// The same of issuers.
    pub issuers: Vec<Authority>,
    /// What to worry about, revocation lists included.
    pub warnings: Vec<String>,
    /// Leaves that live.
    pub live_leaves: u64,
}

/// A root or an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// SHA-256 of its certificate; none while it is wanted.
    pub id: Option<String>,
    /// Its phase.
    pub phase: String,
    /// From when it is valid.
    pub not_before: Option<u64>,
    /// Until when.
    pub not_after: Option<u64>,
    /// What holds up its next phase.
    pub holds: Vec<Gate>,
}

/// A shut gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name.
    pub gate: String,
    /// What it waits for.
    pub why: String,
    /// Who is waited for, by name up to a bound.
    pub who: Vec<Who>,
}

/// Somebody who holds up a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Its name; its leaf's serial number where that is all that tells it apart.
    pub holder: String,
    /// Its identity.
    pub identity: String,
    /// What it lacks.
    pub lacks: String,
    /// Whether it has to be restarted, and reported.
    pub restart: bool,
    /// When its last leaf ends, and it holds up nothing any more.
    pub until: u64,
}
