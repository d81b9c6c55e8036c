//! What a caller presents.

use crate::{peer::PeerCredentials, secret::Token};
use std::fmt;

/// All that a request brought along. Nothing of it is believed before an attestor has looked at it.
#[derive(Debug, Default)]
pub struct Evidence {
    /// A bearer's token, or one inside the message.
    pub token: Option<Token>,
    /// Who the caller says it is, where the protocol has it say so (Dapr).
    pub claimed: Option<Claimed>,
    /// The client certificate's chain, which TLS has verified against the trust bundle.
    pub certificates: CertificateChain,
    /// The process at the other end of a Unix socket.
    pub peer: Option<PeerCredentials>,
    /// What else the request says.
    pub metadata: Metadata,
}

/// Who a Dapr caller says it is: a request's `id`, `namespace` and `trust_domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The app's ID.
    pub app_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its trust domain; empty means Dapr's default, `public`.
    pub trust_domain: String,
}

/// Headers and fields that bear on who is asking (Istio).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster that the caller says it is in: the header `clusterid`.
    pub cluster: Option<String>,
    /// For whom a node agent asks: the field `ImpersonatedIdentity`.
    pub impersonated: Option<String>,
}

/// A client certificate's chain, DER, leaf first; empty if there is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CertificateChain(pub Vec<Vec<u8>>);

impl CertificateChain {
    /// The client's own.
    #[must_use]
    pub fn leaf(&self) -> Option<&[u8]> {
        self.0.first().map(Vec::as_slice)
    }
}

impl fmt::Debug for CertificateChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateChain({} certificates)", self.0.len())
    }
}
