//! What becomes of a request.

use credence_policy::{Decision, Reason as PolicyReason, SpiffeId};

use crate::peer::PeerRejection;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Continue(Pass),
    /// It is answered here, and goes nowhere.
    Refuse(Refusal),
}

impl Verdict {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Continue(pass) => pass.decision.reason().into(),
            Self::Refuse(refusal) => refusal.reason,
        }
    }
}

/// The one place where a request is denied: every failure on the way to a decision comes here.
#[must_use]
pub fn refuse(refusal: Refusal) -> Verdict {
    Verdict::Refuse(refusal)
}

/// Leave to go on. Only an allowing decision of a policy makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    decision: Decision,
}

impl Pass {
    pub(crate) fn new(decision: Decision) -> Self {
        Self { decision }
    }

    /// The decision behind it.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// The answer to a request that is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    what: String,
    rule: Option<String>,
}

impl Refusal {
    /// A refusal that the reason says all about.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            what: reason.sentence().to_owned(),
            rule: None,
        }
    }

    pub(crate) fn by_certificate(rejection: PeerRejection) -> Self {
        Self {
            what: rejection.to_string(),
            ..Self::new(rejection.into())
        }
    }

    pub(crate) fn by_policy(peer: &SpiffeId, decision: &Decision) -> Self {
        let reason = decision.reason();
        Self {
            reason: reason.into(),
            what: format!("{peer} is denied: {}", reason.sentence()),
            rule: decision.rule().map(str::to_owned),
        }
    }

    pub(crate) fn expired(peer: &SpiffeId) -> Self {
        let reason = Reason::PeerExpired;
        Self {
            what: format!("{peer}: {}", reason.sentence()),
            ..Self::new(reason)
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.reason.status()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The answer's body: one line of text that a person can act on, and the reason's label.
    #[must_use]
    pub fn body(&self) -> String {
        format!("credence: {} ({})\n", self.what, self.reason.label())
    }

    /// What Envoy logs as `%RESPONSE_CODE_DETAILS%`: `credence_denied_<reason>`, and
    /// `:<rule>` where a rule decided. No white space.
    #[must_use]
    pub fn details(&self) -> String {
        let label = self.reason.label();
        match &self.rule {
            None => format!("credence_denied_{label}"),
            Some(rule) => format!("credence_denied_{label}:{rule}"),
        }
    }
}

/// Why a request was let through or refused: every value that the metric's `reason` can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The policy decided.
    Policy(PolicyReason),
    /// The filter has no policy, which Envoy should never let happen.
    NotConfigured,
    /// The host did not say what the decision hangs on, or not in the form that it should.
    HostFailure,
    /// No TLS, or the peer presented no certificate.
    NoCertificate,
    /// [`PeerRejection::TooLarge`], [`PeerRejection::Pem`] and [`PeerRejection::Certificate`].
    PeerMalformed,
    /// [`PeerRejection::Authority`].
    PeerIsAuthority,
    /// [`PeerRejection::NoUri`].
    PeerNoUri,
    /// [`PeerRejection::SeveralUris`].
    PeerSeveralUris,
    /// [`PeerRejection::NotSpiffe`] and [`PeerRejection::NoPath`].
    PeerNotSpiffe,
    /// [`PeerRejection::TrustDomain`].
    PeerTrustDomain,
    /// The peer's certificate was good at the handshake and has ended since.
    PeerExpired,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 10 + PolicyReason::ALL.len();

    /// Every reason.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Policy(PolicyReason::AllowRule),
        Self::Policy(PolicyReason::DenyRule),
        Self::Policy(PolicyReason::NoRule),
        Self::Policy(PolicyReason::PathMissing),
        Self::Policy(PolicyReason::PathNotCanonical),
        Self::NotConfigured,
        Self::HostFailure,
        Self::NoCertificate,
        Self::PeerMalformed,
        Self::PeerIsAuthority,
        Self::PeerNoUri,
        Self::PeerSeveralUris,
        Self::PeerNotSpiffe,
        Self::PeerTrustDomain,
        Self::PeerExpired,
    ];

    /// The stable `snake_case` name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason.label(),
            Self::NotConfigured => "not_configured",
            Self::HostFailure => "host_failure",
            Self::NoCertificate => "no_certificate",
            Self::PeerMalformed => "peer_malformed",
            Self::PeerIsAuthority => "peer_is_authority",
            Self::PeerNoUri => "peer_no_uri",
            Self::PeerSeveralUris => "peer_several_uris",
            Self::PeerNotSpiffe => "peer_not_spiffe",
            Self::PeerTrustDomain => "peer_trust_domain",
            Self::PeerExpired => "peer_expired",
        }
    }

    /// Whether a request is let through for it.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::Policy(reason) => reason.allows(),
            Self::NotConfigured
            | Self::HostFailure
            | Self::NoCertificate
            | Self::PeerMalformed
            | Self::PeerIsAuthority
            | Self::PeerNoUri
            | Self::PeerSeveralUris
            | Self::PeerNotSpiffe
            | Self::PeerTrustDomain
            | Self::PeerExpired => false,
        }
    }

    /// 421 tells a client to try again on another connection (RFC 9110 §15.5.20), which is what
    /// helps once its certificate has been renewed; 403 is for what trying again does not help.
    const fn status(self) -> u32 {
        match self {
            Self::PeerExpired => 421,
            _ => 403,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason.sentence(),
            Self::NotConfigured => "the filter has no policy, so nothing is let through",
            Self::HostFailure => "the proxy did not say who the peer is or what it asks for",
            Self::NoCertificate => {
                "the connection has no client certificate; connect with mutual TLS and an X.509-SVID"
            }
            Self::PeerMalformed => "the peer's certificate cannot be read",
            Self::PeerIsAuthority => "the peer's certificate is one of a CA",
            Self::PeerNoUri => "the peer's certificate has no URI SAN",
            Self::PeerSeveralUris => "the peer's certificate has more than one URI SAN",
            Self::PeerNotSpiffe => "the peer's certificate carries no workload's SPIFFE ID",
            Self::PeerTrustDomain => "the peer's trust domain is not accepted",
            Self::PeerExpired => {
                "its certificate has ended since the connection was made; connect again with the \
                 renewed one"
            }
        }
    }
}

impl From<PolicyReason> for Reason {
    fn from(reason: PolicyReason) -> Self {
        Self::Policy(reason)
    }
}

impl From<PeerRejection> for Reason {
    fn from(rejection: PeerRejection) -> Self {
        match rejection {
            PeerRejection::TooLarge | PeerRejection::Pem | PeerRejection::Certificate => {
                Self::PeerMalformed
            }
            PeerRejection::Authority => Self::PeerIsAuthority,
            PeerRejection::NoUri => Self::PeerNoUri,
            PeerRejection::SeveralUris => Self::PeerSeveralUris,
            PeerRejection::NotSpiffe | PeerRejection::NoPath => Self::PeerNotSpiffe,
            PeerRejection::TrustDomain(_) => Self::PeerTrustDomain,
        }
    }
}
