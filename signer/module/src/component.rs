//! The WIT world onto `propose`, and its types from and to ours.
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

use credence_signer_core::{
    DistinguishedName, Profile, Rejection, Request, SignatureAlgorithm, Validity, propose,
};
use exports::credence::signer::certificates::{self as wit, Guest};

wit_bindgen::generate!({
    path: "../wit",
    world: "signer",
});

struct Component;

export!(Component);

impl Guest for Component {
    fn issue(request: wit::Request) -> Result<Vec<u8>, wit::Rejection> {
        propose(&ours(request)).map_err(theirs)
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

fn theirs(rejection: Rejection) -> wit::Rejection {
    match rejection {
        Rejection::MalformedCsr(why) => wit::Rejection::MalformedCsr(why),
        Rejection::CaRequested(why) => wit::Rejection::CaRequested(why),
        Rejection::OtherIdentity(why) => wit::Rejection::OtherIdentity(why),
        Rejection::NameNotAllowed(why) => wit::Rejection::NameNotAllowed(why),
        Rejection::ExtensionNotAllowed(why) => wit::Rejection::ExtensionNotAllowed(why),
        Rejection::UnsupportedKey(why) => wit::Rejection::UnsupportedKey(why),
        Rejection::UnsupportedIssuer(why) => wit::Rejection::UnsupportedIssuer(why),
        Rejection::InvalidRequest(why) => wit::Rejection::InvalidRequest(why),
    }
}
