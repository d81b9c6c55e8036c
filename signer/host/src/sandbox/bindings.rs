//! The host's side of `signer/wit`, and its types from and to ours.
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

use super::Proposal;
use credence_ca::{dns::DnsName, issuance::Issuer, key::SignatureAlgorithm, profile::Profile};

wasmtime::component::bindgen!({
    path: "../wit",
    world: "signer",
});

pub use exports::credence::signer::certificates as wit;

impl From<&Proposal<'_>> for wit::Request {
    fn from(proposal: &Proposal<'_>) -> Self {
        let issuance = proposal.issuance;
        Self {
            csr: proposal.csr.to_vec(),
            identity: issuance.identity.to_string(),
            profile: match issuance.profile {
                Profile::Root => wit::Profile::Root,
                Profile::Issuer => wit::Profile::Issuer,
                Profile::X509Svid => wit::Profile::X509Svid,
                Profile::DaprWorkload => wit::Profile::DaprWorkload,
                Profile::IstioWorkload => wit::Profile::IstioWorkload,
                Profile::Serving => wit::Profile::Serving,
            },
            permitted_dns_names: issuance
                .permitted_dns_names()
                .iter()
                .map(DnsName::to_string)
                .collect(),
            subject: issuance.subject.map(|name| wit::DistinguishedName {
                organization: name.organization.clone(),
                common_name: name.common_name.clone(),
            }),
            validity: wit::Validity {
                not_before: issuance.validity.not_before.unix(),
                not_after: issuance.validity.not_after.unix(),
            },
            serial: issuance.serial.octets().to_vec(),
            signature_algorithm: match issuance.signature_algorithm() {
                SignatureAlgorithm::EcdsaSha256 => wit::SignatureAlgorithm::EcdsaWithSha256,
                SignatureAlgorithm::EcdsaSha384 => wit::SignatureAlgorithm::EcdsaWithSha384,
                SignatureAlgorithm::Ed25519 => wit::SignatureAlgorithm::Ed25519,
                SignatureAlgorithm::RsaSha256 => wit::SignatureAlgorithm::Sha256WithRsaEncryption,
            },
            issuer: match issuance.issuer {
                Issuer::Itself => None,
                Issuer::Ca(ca) => Some(ca.der().to_vec()),
            },
        }
    }
}
