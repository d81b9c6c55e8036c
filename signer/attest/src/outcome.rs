//! What an attestor found.

use credence_ca::validity::Time;
use spiffe::SpiffeId;
use std::fmt;

/// Who is asking, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The identity that a certificate may be issued for.
    pub identity: SpiffeId,
    /// The node agent that asked in the identity's place, if one did.
    pub on_behalf: Option<SpiffeId>,
    /// What was proved, for the ledger.
    pub proof: ProofRecord,
    /// Where this is a renewal: the lineage that it goes on with. A proof of any other kind begins a new one.
    pub renewal: Option<Lineage>,
}

/// What was proved, as the ledger keeps it: never a token, and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRecord {
    /// The attestor, by its name in the configuration.
    pub attestor: String,
    /// What kind of proof it was.
    pub kind: ProofKind,
    /// Who made the proof: a token's issuer, an API server, an issuer's key ID.
    pub issuer: Option<String>,
    /// Whom it speaks of, in its own words.
    pub subject: Option<String>,
    /// Whom it was for.
    pub audiences: Vec<String>,
    /// SHA-256 of what tells it from others: a token's `jti` (or what of it is signed, if it has none), a
    /// join token, a certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// When it ends.
    pub expires: Option<Time>,
}

/// The kinds of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofKind {
    /// A JWT whose signature was verified here.
    Jwt,
    /// A token that a Kubernetes API server vouched for.
    TokenReview,
    /// A certificate of ours, over mTLS.
    Svid,
    /// A join token.
    JoinToken,
    /// A process on the same host, by the kernel's word.
    Peer,
    /// None: the caller was believed.
    None,
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jwt => "jwt",
            Self::TokenReview => "token-review",
            Self::Svid => "svid",
            Self::JoinToken => "join-token",
            Self::Peer => "peer",
            Self::None => "none",
        })
    }
}

/// A chain of renewals that began with a proof of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// When that proof was given.
    pub began: Time,
    /// After this nothing renews it, and no certificate of it should last longer.
    pub ends: Time,
}
