//! What the tests stand on: roots and issuers of every kind of key, and a request of every
//! profile for every kind of key, each with the shipped module's proposal.

use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    der::{self, Reader, tag},
    dns::DnsName,
    guard::{Rule, check_certificate},
    issuance::{Issuance, Issuer},
    key::{KeyKind, PublicKey, SignatureAlgorithm},
    name::DistinguishedName,
    oid::algorithm,
    profile::Profile,
    serial::Serial,
    validity::{Time, Validity},
};
use credence_signer_core as module;
use spiffe::SpiffeId;
use std::sync::LazyLock;

pub(crate) const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// The kinds of key, of subjects and of issuers.
pub(crate) const KINDS: [KeyKind; 5] = [
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::Ed25519,
    KeyKind::Rsa(2048),
    KeyKind::Rsa(4096),
];

/// A key of the right form; nobody has its private half, and nothing here is signed.
pub(crate) fn key(kind: KeyKind, seed: u8) -> PublicKey {
    let point = |length: usize| [&[4][..], &vec![seed; length]].concat();
    let (identifier, octets) = match kind {
        KeyKind::P256 => (algorithm::P256_KEY, point(64)),
        KeyKind::P384 => (algorithm::P384_KEY, point(96)),
        KeyKind::Ed25519 => (algorithm::ED25519, vec![seed; 32]),
        KeyKind::Rsa(bits) => (algorithm::RSA_KEY, rsa(bits, seed)),
    };
    PublicKey::from_spki(&der::sequence(&[identifier, &der::bit_string(&octets)])).unwrap()
}

fn rsa(bits: u16, seed: u8) -> Vec<u8> {
    let mut modulus = vec![seed; usize::from(bits) / 8];
    modulus[0] = 0x80;
    der::sequence(&[&der::unsigned_integer(&modulus), &[2, 3, 1, 0, 1]])
}

pub(crate) fn validity(days: u64) -> Validity {
    Validity {
        not_before: Time::from_unix(NOW),
        not_after: Time::from_unix(NOW + days * DAY),
    }
}

/// A CA of one kind of key: a root, and an issuer below it.
pub(crate) struct Ca {
    pub(crate) root: CaCertificate,
    pub(crate) issuer: CaCertificate,
    keys: [PublicKey; 2],
}

pub(crate) struct World {
    pub(crate) cas: Vec<Ca>,
    pub(crate) leaf_keys: Vec<PublicKey>,
    pub(crate) domain: SpiffeId,
    pub(crate) alice: SpiffeId,
    pub(crate) names: [DistinguishedName; 2],
    pub(crate) dns: [DnsName; 3],
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let domain = SpiffeId::new("spiffe://example.org").unwrap();
    let names = ["root", "issuer"].map(|role| DistinguishedName {
        organization: "example.org".into(),
        common_name: format!("Credence {role}"),
    });
    World {
        cas: KINDS.map(|kind| ca(kind, &domain, &names)).into(),
        leaf_keys: KINDS.map(|kind| key(kind, 3)).into(),
        domain,
        alice: SpiffeId::new("spiffe://example.org/ns/default/sa/alice").unwrap(),
        names,
        dns: ["a.example.org", "b.example.org", "c.example.org"]
            .map(|name| DnsName::parse(name).unwrap()),
    }
});

fn ca(kind: KeyKind, domain: &SpiffeId, names: &[DistinguishedName; 2]) -> Ca {
    let keys = [key(kind, 1), key(kind, 2)];
    let root = Issuance {
        profile: Profile::Root,
        identity: domain,
        permitted_dns_names: &[],
        subject: Some(&names[0]),
        subject_key: &keys[0],
        validity: validity(3650),
        serial: Serial::from_random([1; 16]),
        issuer: Issuer::Itself,
    };
    let root = certificate(&root);
    let issuer = Issuance {
        profile: Profile::Issuer,
        identity: domain,
        permitted_dns_names: &[],
        subject: Some(&names[1]),
        subject_key: &keys[1],
        validity: validity(365),
        serial: Serial::from_random([2; 16]),
        issuer: Issuer::Ca(&root),
    };
    let issuer = certificate(&issuer);
    Ca { root, issuer, keys }
}

pub(crate) fn certificate(issuance: &Issuance<'_>) -> CaCertificate {
    let checked = check_certificate(propose(issuance), issuance).unwrap();
    CaCertificate::from_der(&checked.with_signature(&[0; 70])).unwrap()
}

/// A decision of this profile, for this subject's key (leaves), by this CA.
pub(crate) fn issuance(
    profile: Profile,
    ca: &'static Ca,
    key: &'static PublicKey,
) -> Issuance<'static> {
    let world = &*WORLD;
    let (subject, subject_key, days, issuer) = match profile {
        Profile::Root => (Some(&world.names[0]), &ca.keys[0], 3650, Issuer::Itself),
        Profile::Issuer => (
            Some(&world.names[1]),
            &ca.keys[1],
            365,
            Issuer::Ca(&ca.root),
        ),
        _ => (None, key, 1, Issuer::Ca(&ca.issuer)),
    };
    Issuance {
        profile,
        identity: if profile.is_ca() {
            &world.domain
        } else {
            &world.alice
        },
        permitted_dns_names: &[],
        subject,
        subject_key,
        validity: validity(days),
        serial: Serial::from_random([3; 16]),
        issuer,
    }
}

/// Every profile with every kind of subject's key by a P-256 CA, and by a CA of every kind.
pub(crate) fn all() -> Vec<Issuance<'static>> {
    let world = &*WORLD;
    let mut list = Vec::new();
    for profile in Profile::ALL {
        for (ca, key) in world.cas.iter().zip(&world.leaf_keys) {
            list.push(issuance(profile, &world.cas[0], key));
            list.push(issuance(profile, ca, &world.leaf_keys[0]));
        }
    }
    list
}

/// One of each profile, P-256.
pub(crate) fn each_profile() -> Vec<Issuance<'static>> {
    Profile::ALL.map(of).into()
}

pub(crate) fn of(profile: Profile) -> Issuance<'static> {
    issuance(profile, &WORLD.cas[0], &WORLD.leaf_keys[0])
}

pub(crate) fn leaf() -> Issuance<'static> {
    of(Profile::X509Svid)
}

/// The request that the host would make of it.
pub(crate) fn request(issuance: &Issuance<'_>) -> module::Request {
    module::Request {
        csr: OwnRequest::for_key(issuance.subject_key).with_signature(&[0; 64]),
        identity: issuance.identity.to_string(),
        profile: match issuance.profile {
            Profile::Root => module::Profile::Root,
            Profile::Issuer => module::Profile::Issuer,
            Profile::X509Svid => module::Profile::X509Svid,
            Profile::DaprWorkload => module::Profile::DaprWorkload,
            Profile::IstioWorkload => module::Profile::IstioWorkload,
            Profile::Serving => module::Profile::Serving,
        },
        permitted_dns_names: issuance
            .permitted_dns_names()
            .iter()
            .map(DnsName::to_string)
            .collect(),
        subject: issuance.subject.map(|name| module::DistinguishedName {
            organization: name.organization.clone(),
            common_name: name.common_name.clone(),
        }),
        validity: module::Validity {
            not_before: issuance.validity.not_before.unix(),
            not_after: issuance.validity.not_after.unix(),
        },
        serial: issuance.serial.octets().to_vec(),
        signature_algorithm: match issuance.signature_algorithm() {
            SignatureAlgorithm::EcdsaSha256 => module::SignatureAlgorithm::EcdsaWithSha256,
            SignatureAlgorithm::EcdsaSha384 => module::SignatureAlgorithm::EcdsaWithSha384,
            SignatureAlgorithm::Ed25519 => module::SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::RsaSha256 => module::SignatureAlgorithm::Sha256WithRsaEncryption,
        },
        issuer: match issuance.issuer {
            Issuer::Itself => None,
            Issuer::Ca(ca) => Some(ca.der().to_vec()),
        },
    }
}

pub(crate) fn propose(issuance: &Issuance<'_>) -> Vec<u8> {
    module::propose(&request(issuance)).unwrap()
}

pub(crate) fn rule(proposal: Vec<u8>, issuance: &Issuance<'_>) -> Rule {
    check_certificate(proposal, issuance).unwrap_err().rule
}

/// A proposal's fields, each whole.
pub(crate) fn fields(tbs: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Reader::new(der::single(tbs, tag::SEQUENCE).unwrap().value);
    std::iter::from_fn(|| fields.any().ok())
        .map(|field| field.raw.to_vec())
        .collect()
}

/// A proposal's extensions, each whole.
pub(crate) fn extensions(tbs: &[u8]) -> Vec<Vec<u8>> {
    let all = fields(tbs);
    let explicit = der::single(all.last().unwrap(), tag::context_constructed(3)).unwrap();
    let mut list = Reader::new(der::single(explicit.value, tag::SEQUENCE).unwrap().value);
    std::iter::from_fn(|| list.any().ok())
        .map(|e| e.raw.to_vec())
        .collect()
}

/// The proposal with other extensions.
pub(crate) fn with_extensions(tbs: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut all = fields(tbs);
    let list = der::encode(tag::SEQUENCE, &extensions.concat());
    *all.last_mut().unwrap() = der::encode(tag::context_constructed(3), &list);
    der::encode(tag::SEQUENCE, &all.concat())
}

/// An extension, whole.
pub(crate) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::sequence(&[
        &der::encode(tag::OID, oid),
        flag,
        &der::encode(tag::OCTET_STRING, value),
    ])
}
