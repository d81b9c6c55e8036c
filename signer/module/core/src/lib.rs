//! The CSR-signing logic as a pure function.
//!
//! [`propose`] takes what the host has authenticated and decided and gives the to-be-signed
//! certificate. `credence_signer.wasm` is this behind the component of `signer/wit`.

mod asked;
mod der;
mod issuer;
mod request;
mod splice;
mod tbs;
#[cfg(feature = "wit")]
pub mod wit;

pub use request::{DistinguishedName, Profile, Rejection, Request, SignatureAlgorithm, Validity};

/// Proposes a TBSCertificate, DER, for a request whose proof of possession has been verified.
///
/// # Errors
/// A typed rejection, if the request asks for what its profile does not grant or cannot be read.
pub fn propose(request: &Request) -> Result<Vec<u8>, Rejection> {
    let asked = asked::read(&request.csr)?;
    asked.check(request)?;
    tbs::build(request, &asked)
}
