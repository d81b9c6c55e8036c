//! Why something was let through or refused.

use credence_policy::Reason as PolicyReason;

use crate::peer::PeerRejection;

/// Every value that the metrics' `reason` can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The policy decided.
    Policy(PolicyReason),
    /// The filter has no policy, which Envoy should never let happen.
    NotConfigured,
    /// The host did not say what the decision hangs on, or not in the form that it should, or did not do
    /// what the answer needs.
    HostFailure,
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
    /// The peer's certificate was good at the handshake and has ended since.
    PeerExpired,
    /// The peer's certificate or identity is on the deny list.
    PeerRevoked,
    /// The server spoke before the TLS handshake was known to be over.
    HandshakeUnfinished,
    /// The network role watches as many connections as it can.
    TooManyConnections,
    /// The request goes to the server that the policy names, or to none.
    ServerPinned,
    /// The policy names no server, and allows that.
    ServerUnpinned,
    /// The policy names no server, and refuses that.
    ServerUnknown,
    /// The server that answered is not the one that the policy names.
    ServerOther,
    /// The server that answered presented no certificate, and the policy names one.
    ServerPlaintext,
}

/// Those beside the policy's.
const OWN: [Reason; 16] = [
    Reason::NotConfigured,
    Reason::HostFailure,
    Reason::PeerMalformed,
    Reason::PeerIsAuthority,
    Reason::PeerNoUri,
    Reason::PeerSeveralUris,
    Reason::PeerNotSpiffe,
    Reason::PeerExpired,
    Reason::PeerRevoked,
    Reason::HandshakeUnfinished,
    Reason::TooManyConnections,
    Reason::ServerPinned,
    Reason::ServerUnpinned,
    Reason::ServerUnknown,
    Reason::ServerOther,
    Reason::ServerPlaintext,
];

/// What a reason can be given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// A request to this service.
    Inbound,
    /// A request to another service.
    Outbound,
    /// A connection to this service, decided by the network role.
    Connection,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = OWN.len() + PolicyReason::ALL.len();

    /// Every reason.
    pub fn all() -> impl Iterator<Item = Self> {
        PolicyReason::ALL.into_iter().map(Self::Policy).chain(OWN)
    }

    /// Its position in [`Self::all`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::all()
            .position(|other| other == self)
            .unwrap_or(Self::COUNT)
    }

    /// The stable `snake_case` name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason.label(),
            Self::NotConfigured => "not_configured",
            Self::HostFailure => "host_failure",
            Self::PeerMalformed => "peer_malformed",
            Self::PeerIsAuthority => "peer_is_authority",
            Self::PeerNoUri => "peer_no_uri",
            Self::PeerSeveralUris => "peer_several_uris",
            Self::PeerNotSpiffe => "peer_not_spiffe",
            Self::PeerExpired => "peer_expired",
            Self::PeerRevoked => "peer_revoked",
            Self::HandshakeUnfinished => "handshake_unfinished",
            Self::TooManyConnections => "too_many_connections",
            Self::ServerPinned => "server_pinned",
            Self::ServerUnpinned => "server_unpinned",
            Self::ServerUnknown => "server_unknown",
            Self::ServerOther => "server_other",
            Self::ServerPlaintext => "server_plaintext",
        }
    }

    /// Whether something is let through for it.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::Policy(reason) => reason.allows(),
            Self::ServerPinned | Self::ServerUnpinned => true,
            Self::NotConfigured
            | Self::HostFailure
            | Self::PeerMalformed
            | Self::PeerIsAuthority
            | Self::PeerNoUri
            | Self::PeerSeveralUris
            | Self::PeerNotSpiffe
            | Self::PeerExpired
            | Self::PeerRevoked
            | Self::HandshakeUnfinished
            | Self::TooManyConnections
            | Self::ServerUnknown
            | Self::ServerOther
            | Self::ServerPlaintext => false,
        }
    }

    /// `allow` or `deny`.
    #[must_use]
    pub const fn decision(self) -> &'static str {
        if self.allows() { "allow" } else { "deny" }
    }

    /// Whether it can be given in this flow.
    #[must_use]
    pub fn is_for(self, flow: Flow) -> bool {
        match self {
            Self::NotConfigured | Self::HostFailure => true,
            Self::Policy(PolicyReason::DryRun) => true,
            Self::ServerPinned
            | Self::ServerUnpinned
            | Self::ServerUnknown
            | Self::ServerOther
            | Self::ServerPlaintext => flow == Flow::Outbound,
            Self::HandshakeUnfinished | Self::TooManyConnections => flow == Flow::Connection,
            Self::Policy(
                PolicyReason::MethodMissing
                | PolicyReason::MethodNotCanonical
                | PolicyReason::HostMissing
                | PolicyReason::HostNotCanonical
                | PolicyReason::PathMissing
                | PolicyReason::PathNotCanonical,
            ) => flow == Flow::Inbound,
            _ => flow != Flow::Outbound,
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason.sentence(),
            Self::NotConfigured => "the filter has no policy, so nothing is let through",
            Self::HostFailure => "the proxy did not say who the peer is or what it asks for",
            Self::PeerMalformed => "the peer's certificate cannot be read",
            Self::PeerIsAuthority => "the peer's certificate is one of a CA",
            Self::PeerNoUri => "the peer's certificate has no URI SAN",
            Self::PeerSeveralUris => "the peer's certificate has more than one URI SAN",
            Self::PeerNotSpiffe => "the peer's certificate carries no workload's SPIFFE ID",
            Self::PeerExpired => {
                "its certificate has ended since the connection was made; connect again with the \
                 renewed one"
            }
            Self::PeerRevoked => {
                "its certificate or identity has been revoked; ask the owner of its trust domain"
            }
            Self::HandshakeUnfinished => {
                "the server spoke before the handshake was over; set the proxy's \
                 `upstream_connect_mode: ON_DOWNSTREAM_TLS_HANDSHAKE`"
            }
            Self::TooManyConnections => "this proxy has more connections than it can watch over",
            Self::ServerPinned => "the policy names the server",
            Self::ServerUnpinned => "the policy names no server, and allows that",
            Self::ServerUnknown => {
                "the policy names no server for this host, route or cluster; add it to `servers`"
            }
            Self::ServerOther => "the server that answered is not the one that the policy names",
            Self::ServerPlaintext => {
                "the policy names the server, and it was reached without TLS; give the proxy's \
                 cluster a transport_socket"
            }
        }
    }
}

impl From<PolicyReason> for Reason {
    fn from(reason: PolicyReason) -> Self {
        Self::Policy(reason)
    }
}

impl From<&PeerRejection> for Reason {
    fn from(rejection: &PeerRejection) -> Self {
        match rejection {
            PeerRejection::TooLarge | PeerRejection::Pem | PeerRejection::Certificate => {
                Self::PeerMalformed
            }
            PeerRejection::Authority => Self::PeerIsAuthority,
            PeerRejection::NoUri => Self::PeerNoUri,
            PeerRejection::SeveralUris => Self::PeerSeveralUris,
            PeerRejection::NotSpiffe | PeerRejection::NoPath => Self::PeerNotSpiffe,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Flow, Reason};

    #[test]
    fn every_reason_is_in_the_documentation() {
        let table = include_str!("../../../docs/metrics.md");
        for reason in Reason::all() {
            let row = format!("| `{}` | {}", reason.label(), reason.decision());
            assert!(table.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_reason_has_a_label_of_its_own_and_a_flow() {
        let labels: HashSet<_> = Reason::all().map(Reason::label).collect();
        assert_eq!(labels.len(), Reason::COUNT);
        let flows = [Flow::Inbound, Flow::Outbound, Flow::Connection];
        for reason in Reason::all() {
            let label = reason.label();
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(flows.iter().any(|flow| reason.is_for(*flow)), "{label}");
        }
    }
}
