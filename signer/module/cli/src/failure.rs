//! What can go wrong, and the exit status that says so.

use credence_ca::{
    certificate::CertificateError, csr::CsrError, custody::CustodyError, dns::DnsNameError,
    guard::Refusal, key::KeyKind, validity::ValidityError,
};
use credence_signer_core::Rejection;
use thiserror::Error;

/// Why the command did not do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The command line.
    #[error("{0}\n(see credence_signer_cli --help)")]
    Usage(String),
    /// A file.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Not a SPIFFE ID, or not one that this CA may certify.
    #[error("{0}")]
    Identity(String),
    /// A DNS name.
    #[error(transparent)]
    DnsName(#[from] DnsNameError),
    /// The request cannot be taken apart.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// A kind of key whose signatures this command cannot verify.
    #[error(
        "requests by {0} keys cannot be verified by this command; the credence daemon signs them"
    )]
    NoVerifier(KeyKind),
    /// The public key cannot be used.
    #[error("the {0} public key is not a usable point of its curve")]
    BadKey(KeyKind),
    /// The signature is not that key's.
    #[error("the certification request's signature does not verify with its own key")]
    BadSignature,
    /// The signing logic said no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The guard said no.
    #[error("the proposal was refused by the guard: {0}")]
    Guard(#[from] Refusal),
    /// No life can be given.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// A CA's certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A key.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

impl Failure {
    /// 2 for the command line, 1 for everything else.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    pub(crate) fn file(path: &std::path::Path, what: &dyn std::fmt::Display) -> Self {
        Self::File {
            path: path.display().to_string(),
            what: what.to_string(),
        }
    }
}
