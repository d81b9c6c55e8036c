//! What the unit tests of the rules stand on: decisions, and a writer of what they mean that
//! shares nothing with the signing module.

use crate::{
    certificate::CaCertificate,
    der::{self, tag},
    issuance::{Issuance, Issuer},
    key::{PublicKey, tests::p256},
    name::DistinguishedName,
    oid,
    profile::Profile,
    serial::Serial,
    tbs::VERSION_3,
    validity::{Time, Validity},
};
use spiffe::SpiffeId;
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;

struct World {
    root: CaCertificate,
    issuer: CaCertificate,
    domain: SpiffeId,
    alice: SpiffeId,
    names: [DistinguishedName; 2],
    keys: [PublicKey; 3],
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let domain = SpiffeId::new("spiffe://example.org").unwrap();
    let alice = SpiffeId::new("spiffe://example.org/ns/prod/sa/alice").unwrap();
    let names = [name("root"), name("issuer")];
    let keys = [p256(1), p256(2), p256(3)];
    let root = ca(&issuance(
        Profile::Root,
        &domain,
        Some(&names[0]),
        &keys[0],
        Issuer::Itself,
    ));
    let issuer = ca(&issuance(
        Profile::Issuer,
        &domain,
        Some(&names[1]),
        &keys[1],
        Issuer::Ca(&root),
    ));
    World {
        root,
        issuer,
        domain,
        alice,
        names,
        keys,
    }
});

pub(super) fn name(common_name: &str) -> DistinguishedName {
    DistinguishedName {
        organization: "example.org".into(),
        common_name: common_name.into(),
    }
}

fn issuance<'a>(
    profile: Profile,
    identity: &'a SpiffeId,
    subject: Option<&'a DistinguishedName>,
    subject_key: &'a PublicKey,
    issuer: Issuer<'a>,
) -> Issuance<'a> {
    let days = match profile {
        Profile::Root => 3650,
        Profile::Issuer => 365,
        _ => 1,
    };
    Issuance {
        profile,
        identity,
        permitted_dns_names: &[],
        subject,
        subject_key,
        validity: Validity {
            not_before: Time::from_unix(NOW),
            not_after: Time::from_unix(NOW + days * 86_400),
        },
        serial: Serial::from_random([9; 16]),
        issuer,
    }
}

fn ca(issuance: &Issuance<'_>) -> CaCertificate {
    let algorithm = issuance.signature_algorithm().identifier();
    let der = der::sequence(&[&tbs(issuance), algorithm, &der::bit_string(&[0; 70])]);
    CaCertificate::from_der(&der).unwrap()
}

pub(super) fn root() -> Issuance<'static> {
    issuance(
        Profile::Root,
        &WORLD.domain,
        Some(&WORLD.names[0]),
        &WORLD.keys[0],
        Issuer::Itself,
    )
}

pub(super) fn issuer() -> Issuance<'static> {
    issuance(
        Profile::Issuer,
        &WORLD.domain,
        Some(&WORLD.names[1]),
        &WORLD.keys[1],
        Issuer::Ca(&WORLD.root),
    )
}

pub(super) fn issuing_ca() -> &'static CaCertificate {
    &WORLD.issuer
}

pub(super) fn leaf_of(profile: Profile) -> Issuance<'static> {
    issuance(
        profile,
        &WORLD.alice,
        None,
        &WORLD.keys[2],
        Issuer::Ca(&WORLD.issuer),
    )
}

pub(super) fn leaf() -> Issuance<'static> {
    leaf_of(Profile::X509Svid)
}

/// A decision of every profile.
pub(super) fn all() -> Vec<Issuance<'static>> {
    Profile::ALL
        .into_iter()
        .map(|profile| match profile {
            Profile::Root => root(),
            Profile::Issuer => issuer(),
            leaf => leaf_of(leaf),
        })
        .collect()
}

/// The one certificate that a decision without permitted names means.
pub(super) fn tbs(issuance: &Issuance<'_>) -> Vec<u8> {
    let uri = der::encode(tag::context(6), issuance.identity.to_string().as_bytes());
    let key_id = der::encode(tag::OCTET_STRING, &issuance.subject_key.key_id());
    let leaf = issuance.subject.is_none();
    let mut extensions = vec![
        extension(oid::value::SUBJECT_KEY_ID, false, &key_id),
        extension(oid::value::SUBJECT_ALT_NAME, leaf, &der::sequence(&[&uri])),
        extension(
            oid::value::BASIC_CONSTRAINTS,
            true,
            &issuance.profile.basic_constraints(),
        ),
        extension(oid::value::KEY_USAGE, true, &issuance.profile.key_usage()),
    ];
    if let Some(usage) = issuance.profile.extended_key_usage() {
        extensions.push(extension(oid::value::EXTENDED_KEY_USAGE, false, &usage));
    }
    if let Issuer::Ca(ca) = issuance.issuer {
        let id = der::sequence(&[&der::encode(tag::context(0), ca.key_id())]);
        extensions.push(extension(oid::value::AUTHORITY_KEY_ID, false, &id));
    }
    let extensions = der::encode(tag::SEQUENCE, &extensions.concat());
    der::sequence(&[
        &der::encode(tag::context_constructed(0), VERSION_3),
        &issuance.serial.to_der(),
        issuance.signature_algorithm().identifier(),
        &issuance.issuer_name(),
        &issuance.validity.to_der(),
        &issuance.subject_name(),
        issuance.subject_key.spki(),
        &der::encode(tag::context_constructed(3), &extensions),
    ])
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::sequence(&[
        &der::encode(tag::OID, oid),
        critical,
        &der::encode(tag::OCTET_STRING, value),
    ])
}
