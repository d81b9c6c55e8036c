//! Why a caller is not who it says, or why that cannot be told.

use std::{fmt, time::Duration};
use thiserror::Error;

/// Why there is no identity. What it says is for logs and the ledger; callers get a [`Class`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttestError {
    /// Nothing that this attestor looks at was presented.
    #[error("the request has no evidence that an attestor here takes")]
    NoEvidence,
    /// It was, and does not prove what it should.
    #[error("{attestor}: {why}")]
    Refused {
        /// Which attestor refused.
        attestor: String,
        /// Why.
        why: Refusal,
    },
    /// It cannot be told now; to ask again helps.
    #[error("{attestor}: {why}")]
    Unavailable {
        /// Which attestor has no answer.
        attestor: String,
        /// Why.
        why: Unavailable,
    },
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No proof, or one that is not good.
    Unauthenticated,
    /// A good proof of somebody who may not have what was asked for.
    Denied,
    /// To ask again helps.
    Unavailable,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "the caller could not be authenticated",
            Self::Denied => "the caller may not have this identity",
            Self::Unavailable => "the caller cannot be authenticated now; ask again",
        })
    }
}

impl AttestError {
    /// What the caller is told.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NoEvidence => Class::Unauthenticated,
            Self::Refused { why, .. } => why.class(),
            Self::Unavailable { .. } => Class::Unavailable,
        }
    }

    pub(crate) fn refused(attestor: &str, why: Refusal) -> Self {
        Self::Refused {
            attestor: attestor.to_owned(),
            why,
        }
    }

    pub(crate) fn of(attestor: &str, why: Failure) -> Self {
        match why {
            Failure::NoEvidence => Self::NoEvidence,
            Failure::Refused(why) => Self::refused(attestor, why),
            Failure::Unavailable(why) => Self::Unavailable {
                attestor: attestor.to_owned(),
                why,
            },
        }
    }
}

/// An [`AttestError`] before the attestor has put its name to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    NoEvidence,
    Refused(Refusal),
    Unavailable(Unavailable),
}

impl From<Refusal> for Failure {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

impl From<Unavailable> for Failure {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

/// Why evidence is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// More than a token may have.
    #[error("the token is longer than {} octets", crate::secret::LONGEST_TOKEN)]
    TokenTooLong,
    /// Not a word of visible characters.
    #[error(
        "the token is empty, has characters that no token has, or does not come as 'Bearer TOKEN'"
    )]
    TokenForm,
    /// Not a JWT in the compact form, or its JSON is not good.
    #[error("the token is not a JWT: {0}")]
    JwtForm(&'static str),
    /// It names an algorithm that is not on the list.
    #[error("the token's algorithm is not one that is accepted here")]
    Algorithm,
    /// It has header fields that have to be understood and are not.
    #[error("the token's header has '{0}', which is not accepted")]
    Header(&'static str),
    /// No key of the set is meant.
    #[error("no key of the key set is the token's: unknown key ID, or a key for another algorithm")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// A claim that has to be there is missing, or has the wrong type.
    #[error("the token's claim '{0}' is missing or is not of the type that it has to be")]
    Claim(String),
    /// Of another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is not for this CA: none of its audiences is accepted here")]
    Audience,
    /// Its time is over.
    #[error("the token has expired; is a clock wrong?")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet, or issued in the future; is a clock wrong?")]
    NotYet,
    /// It is good for longer than is accepted.
    #[error("the token is good for longer than is accepted here")]
    LongLived,
    /// The API server does not know the token.
    #[error("the Kubernetes API server does not vouch for the token")]
    NotAuthenticated,
    /// Not a service account's token, or one with odd names.
    #[error("the token is not a Kubernetes service account's: {0}")]
    ServiceAccount(&'static str),
    /// The pod is not the one that the token was made for.
    #[error("the pod is not one that may have this: {0}")]
    Pod(&'static str),
    /// The client certificate is not one of ours, or not a leaf.
    #[error("the client certificate renews nothing: {0}")]
    Certificate(&'static str),
    /// It was revoked.
    #[error("the client certificate or its identity has been revoked")]
    Revoked,
    /// Renewed for too long.
    #[error("renewals of this certificate have gone on for as long as they may; attest anew")]
    LineageEnded,
    /// A join token that cannot be read.
    #[error("{0}")]
    JoinToken(#[from] crate::join::JoinTokenError),
    /// Unknown, used or over.
    #[error("the join token is not good: {0}")]
    JoinTokenState(&'static str),
    /// No entry for the process.
    #[error("no registry entry is for this process (uid {0})")]
    NoEntry(u32),
    /// More than one.
    #[error("more than one registry entry is for this process (uid {0}); narrow them")]
    AmbiguousEntry(u32),
    /// The process is gone, or cannot be looked at.
    #[error("the process at the other end cannot be told: {0}")]
    Process(&'static str),
    /// Its control groups are of no use.
    #[error("the control groups of the process at the other end do not tell where it runs: {0}")]
    Cgroup(#[from] crate::peer::CgroupError),
    /// What a value in a path has to be.
    #[error("'{variable}' is '{shown}', which cannot stand in a SPIFFE ID as one path segment", shown = .value.escape_debug())]
    Segment {
        /// The template's variable.
        variable: String,
        /// Its value, cut short.
        value: String,
    },
    /// Not a SPIFFE ID of a workload.
    #[error("'{}' is not a workload's SPIFFE ID", .0.escape_debug())]
    Identity(String),
    /// Not an app's ID or namespace as Dapr has them.
    #[error("the request's {0} is not one that Dapr accepts")]
    Claimed(&'static str),
    /// The proof is of somebody else than the caller says.
    #[error("the proof is of {0}, which is not who the request says it is from")]
    ClaimedOther(String),
    /// Outside the trust domains of this frontend.
    #[error("the trust domain of {0} is not one of this frontend's")]
    TrustDomain(String),
    /// Asked for somebody else without leave.
    #[error("{agent} may not ask for '{}'", .wanted.escape_debug())]
    Impersonation {
        /// Who asked.
        agent: String,
        /// For whom, cut short.
        wanted: String,
    },
}

impl Refusal {
    /// What the caller is told.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::LongLived
            | Self::Pod(_)
            | Self::Revoked
            | Self::LineageEnded
            | Self::NoEntry(_)
            | Self::AmbiguousEntry(_)
            | Self::Segment { .. }
            | Self::Identity(_)
            | Self::Claimed(_)
            | Self::ClaimedOther(_)
            | Self::TrustDomain(_)
            | Self::Impersonation { .. } => Class::Denied,
            Self::TokenTooLong
            | Self::TokenForm
            | Self::JwtForm(_)
            | Self::Algorithm
            | Self::Header(_)
            | Self::UnknownKey
            | Self::Signature
            | Self::Claim(_)
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::NotYet
            | Self::NotAuthenticated
            | Self::ServiceAccount(_)
            | Self::Certificate(_)
            | Self::JoinToken(_)
            | Self::JoinTokenState(_)
            | Self::Process(_)
            | Self::Cgroup(_) => Class::Unauthenticated,
        }
    }
}

/// Why it cannot be told now who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// A server cannot be reached, or what it sends cannot be used.
    #[error("{what}: {why}")]
    Remote {
        /// The URL.
        what: String,
        /// What happened.
        why: String,
    },
    /// The API server does not accept our own token.
    #[error("{0} does not accept this CA's own token (401): is its file the right one?")]
    OwnToken(String),
    /// The API server does not let us ask.
    #[error(
        "{0} does not let this CA ask (403): its service account needs the role system:auth-delegator, and for Dapr to get pods and configurations"
    )]
    OwnRights(String),
    /// A file that is needed cannot be used, and no earlier good one is known.
    #[error("{0}")]
    File(String),
    /// The key is unknown, and the key set was asked for too lately to ask again.
    #[error("the token's key is unknown, and the key set may be fetched again in {} s", .0.as_secs().max(1))]
    KeysTooSoon(Duration),
    /// As many questions as may be are being asked.
    #[error("too many are being attested at once")]
    Busy,
    /// What keeps the records has no answer.
    #[error("{0}")]
    Store(String),
}

/// The start of something that a stranger wrote, short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_words_are_cut_and_escaped() {
        let refusal = Refusal::Segment {
            variable: "claims.sub".into(),
            value: cut(&"a\n\u{1b}[31m".repeat(1000)),
        };
        let text = refusal.to_string();
        assert!(
            text.len() < 600 && !text.contains(['\n', '\u{1b}']),
            "{text}"
        );
    }

    #[test]
    fn the_outside_hears_a_class_only() {
        let error = AttestError::refused("kube", Refusal::TrustDomain("spiffe://a/b".into()));
        assert!(error.to_string().contains("kube") && error.to_string().contains("spiffe://a/b"));
        assert_eq!(error.class(), Class::Denied);
        assert!(!error.class().to_string().contains("kube"));
        assert_eq!(AttestError::NoEvidence.class(), Class::Unauthenticated);
    }
}
