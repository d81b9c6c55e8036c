//! The contract's types (`signer/wit`), as plain Rust.

use thiserror::Error;

/// Which kind of certificate to propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A self-signed trust anchor.
    Root,
    /// An issuing CA below a root.
    Issuer,
    /// A workload's leaf.
    X509Svid,
    /// A workload's leaf, as Dapr has it.
    DaprWorkload,
    /// A workload's leaf, as Istio has it.
    IstioWorkload,
    /// The serving certificate of the CA itself.
    Serving,
}

impl Profile {
    /// Whether its holder signs certificates.
    #[must_use]
    pub fn is_ca(self) -> bool {
        matches!(self, Self::Root | Self::Issuer)
    }
}

/// Seconds since 1970-01-01T00:00:00Z, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first good second.
    pub not_before: u64,
    /// The last good second.
    pub not_after: u64,
}

/// With which algorithm the host's key will sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// By P-256, RFC 5758 §3.2
    EcdsaWithSha256,
    /// By P-384, RFC 5758 §3.2
    EcdsaWithSha384,
    /// RFC 8410 §3
    Ed25519,
    /// By RSA, RFC 4055 §5
    Sha256WithRsaEncryption,
}

/// A name that the host has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName {
    /// organizationName, UTF8String
    pub organization: String,
    /// commonName, UTF8String
    pub common_name: String,
}

/// What the host has authenticated and decided.
#[derive(Debug, Clone)]
pub struct Request {
    /// The certification request, DER (RFC 2986).
    pub csr: Vec<u8>,
    /// The SPIFFE ID that the caller was attested as.
    pub identity: String,
    /// Which kind of certificate.
    pub profile: Profile,
    /// DNS names that may stand beside the identity.
    pub permitted_dns_names: Vec<String>,
    /// The subject; none is the empty name.
    pub subject: Option<DistinguishedName>,
    /// From when to when.
    pub validity: Validity,
    /// A positive integer, big endian, 1 to 20 octets.
    pub serial: Vec<u8>,
    /// The signature algorithm of the key that will sign.
    pub signature_algorithm: SignatureAlgorithm,
    /// The issuer's certificate, DER; none for a root.
    pub issuer: Option<Vec<u8>>,
}

/// Why no certificate is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Not a certification request that can be read.
    #[error("the certification request cannot be read: {0}")]
    MalformedCsr(String),
    /// The request asks for CA rights.
    #[error("the certification request asks for CA rights: {0}")]
    CaRequested(String),
    /// The request names a SPIFFE ID that is not the caller's.
    #[error("the certification request names another identity: {0}")]
    OtherIdentity(String),
    /// The request asks for a further name that is not granted.
    #[error("the certification request asks for a name that is not granted: {0}")]
    NameNotAllowed(String),
    /// The request asks for an extension or usage that is not granted.
    #[error("the certification request asks for an extension that is not granted: {0}")]
    ExtensionNotAllowed(String),
    /// The public key's kind is not known.
    #[error("the public key is not of a kind that is known: {0}")]
    UnsupportedKey(String),
    /// The issuer's certificate cannot be used.
    #[error("the issuer's certificate cannot be used: {0}")]
    UnsupportedIssuer(String),
    /// The host's own values contradict each other.
    #[error("the request contradicts itself: {0}")]
    InvalidRequest(String),
}
