//! The bindings of `signer/wit` for a module, and its types from and to ours.
//!
//! A component implements [`Guest`] and says
//! `credence_signer_core::wit::export!(Component with_types_in credence_signer_core::wit)`.
#![allow(
    unsafe_code,
    reason = "the exports that wit-bindgen generates are unsafe extern functions"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from signer/wit, where the documentation is"
)]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]

use crate::{DistinguishedName, Profile, Rejection, Request, SignatureAlgorithm, Validity};
use exports::credence::signer::certificates as wit;
pub use wit::Guest;

wit_bindgen::generate!({
    path: "../../wit",
    world: "signer",
    pub_export_macro: true,
});

impl From<wit::Request> for Request {
    fn from(r: wit::Request) -> Self {
        Self {
            csr: r.csr,
            identity: r.identity,
            profile: match r.profile {
                wit::Profile::Root => Profile::Root,
                wit::Profile::Issuer => Profile::Issuer,
                wit::Profile::X509Svid => Profile::X509Svid,
                wit::Profile::DaprWorkload => Profile::DaprWorkload,
                wit::Profile::IstioWorkload => Profile::IstioWorkload,
                wit::Profile::Serving => Profile::Serving,
            },
            permitted_dns_names: r.permitted_dns_names,
            subject: r.subject.map(|s| DistinguishedName {
                organization: s.organization,
                common_name: s.common_name,
            }),
            validity: Validity {
                not_before: r.validity.not_before,
                not_after: r.validity.not_after,
            },
            serial: r.serial,
            signature_algorithm: match r.signature_algorithm {
                wit::SignatureAlgorithm::EcdsaWithSha256 => SignatureAlgorithm::EcdsaWithSha256,
                wit::SignatureAlgorithm::EcdsaWithSha384 => SignatureAlgorithm::EcdsaWithSha384,
                wit::SignatureAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
                wit::SignatureAlgorithm::Sha256WithRsaEncryption => {
                    SignatureAlgorithm::Sha256WithRsaEncryption
                }
            },
            issuer: r.issuer,
        }
    }
}

impl From<Rejection> for wit::Rejection {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::MalformedCsr(why) => Self::MalformedCsr(why),
            Rejection::CaRequested(why) => Self::CaRequested(why),
            Rejection::OtherIdentity(why) => Self::OtherIdentity(why),
            Rejection::NameNotAllowed(why) => Self::NameNotAllowed(why),
            Rejection::ExtensionNotAllowed(why) => Self::ExtensionNotAllowed(why),
            Rejection::UnsupportedKey(why) => Self::UnsupportedKey(why),
            Rejection::UnsupportedIssuer(why) => Self::UnsupportedIssuer(why),
            Rejection::InvalidRequest(why) => Self::InvalidRequest(why),
        }
    }
}
