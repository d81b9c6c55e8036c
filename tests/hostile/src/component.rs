//! The component's edge.
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

use credence_signer_core::{DistinguishedName, Profile, Request, SignatureAlgorithm, Validity};
use exports::credence::signer::certificates::{self as wit, Guest};

wit_bindgen::generate!({
    path: "../../signer/wit",
    world: "signer",
});

struct Component;

export!(Component);

impl Guest for Component {
    fn issue(request: wit::Request) -> Result<Vec<u8>, wit::Rejection> {
        crate::crimes::commit(ours(request)).map_err(wit::Rejection::InvalidRequest)
    }
}

fn ours(r: wit::Request) -> Request {
    Request {
        csr: r.csr,
        identity: r.identity,
        profile: match r.profile {
            wit::Profile::Root => Profile::Root,
            wit::Profile::Issuer => Profile::Issuer,
            wit::Profile::X509Svid => Profile::X509Svid,
        },
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
            wit::SignatureAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        },
        issuer: r.issuer,
    }
}
