//! What the targets of the signer's half share: decisions of every profile and kind of key, the
//! shipped module's proposals for them, edits, and futures that never wait.

use arbitrary::Arbitrary;
use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    der,
    dns::DnsName,
    guard::check_certificate,
    issuance::{Issuance, Issuer},
    key::{KeyKind, PublicKey, SignatureAlgorithm},
    name::DistinguishedName,
    oid::algorithm,
    profile::Profile,
    serial::Serial,
    validity::{Time, Validity},
};
use credence_signer_core as module;
use libfuzzer_sys::arbitrary;
use spiffe::SpiffeId;
use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

/// notBefore of everything.
pub const START: u64 = 1_800_000_000;
/// An hour.
const LIFE: u64 = 3600;

/// The kinds of key.
pub const KINDS: [KeyKind; 4] = [
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::Ed25519,
    KeyKind::Rsa(2048),
];

/// A key of the right form; nobody has its private half.
pub fn key(kind: KeyKind, seed: u8) -> PublicKey {
    let point = |length: usize| [&[4][..], &vec![seed; length]].concat();
    let (identifier, octets) = match kind {
        KeyKind::P256 => (algorithm::P256_KEY, point(64)),
        KeyKind::P384 => (algorithm::P384_KEY, point(96)),
        KeyKind::Ed25519 => (algorithm::ED25519, vec![seed; 32]),
        KeyKind::Rsa(bits) => {
            let mut modulus = vec![seed; usize::from(bits) / 8];
            modulus[0] = 0x80;
            let modulus = der::unsigned_integer(&modulus);
            (
                algorithm::RSA_KEY,
                der::sequence(&[&modulus, &[2, 3, 1, 0, 1]]),
            )
        }
    };
    let spki = der::sequence(&[identifier, &der::bit_string(&octets)]);
    PublicKey::from_spki(&spki).expect("a key of the right form")
}

/// What decisions are made of.
pub struct World {
    domain: SpiffeId,
    alice: SpiffeId,
    name: DistinguishedName,
    keys: Vec<PublicKey>,
    dns: Vec<DnsName>,
    issuers: Vec<CaCertificate>,
}

/// The one that all targets use.
pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World {
        domain: SpiffeId::new("spiffe://example.org").expect("an ID"),
        alice: SpiffeId::new("spiffe://example.org/alice").expect("an ID"),
        name: DistinguishedName {
            organization: "example.org".into(),
            common_name: "Credence".into(),
        },
        keys: KINDS.map(|kind| key(kind, 7)).into(),
        dns: ["a.example.org", "b.example.org"]
            .map(|name| DnsName::parse(name).expect("a name"))
            .into(),
        issuers: Vec::new(),
    };
    world.issuers = (0..KINDS.len())
        .map(|kind| {
            let root = world.decide(Profile::Root, kind, 0);
            let checked = check_certificate(propose(&root), &root).expect("a good proposal");
            CaCertificate::from_der(&checked.with_signature(&[0; 70])).expect("a root")
        })
        .collect();
    world
});

impl World {
    /// A decision of this profile for a key of one kind by an issuer of another.
    pub fn decide(&self, profile: Profile, subject: usize, issuer: usize) -> Issuance<'_> {
        Issuance {
            profile,
            identity: if profile.is_ca() {
                &self.domain
            } else {
                &self.alice
            },
            permitted_dns_names: &self.dns,
            subject: profile.is_ca().then_some(&self.name),
            subject_key: &self.keys[subject % KINDS.len()],
            validity: Validity {
                not_before: Time::from_unix(START),
                not_after: Time::from_unix(START + LIFE),
            },
            serial: Serial::from_random([3; 16]),
            issuer: match profile {
                Profile::Root => Issuer::Itself,
                _ => Issuer::Ca(&self.issuers[issuer % KINDS.len()]),
            },
        }
    }

    /// The issuer with this kind of key.
    pub fn issuer(&self, kind: usize) -> &CaCertificate {
        &self.issuers[kind % KINDS.len()]
    }
}

/// The shipped module's proposal.
pub fn propose(issuance: &Issuance<'_>) -> Vec<u8> {
    module::propose(&module::Request {
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
    })
    .expect("a good proposal")
}

/// Edits of something good (place, how many octets go, what comes), or octets of its own.
#[derive(Debug, Arbitrary)]
pub enum Input {
    /// So that the fuzzer starts inside the format.
    Edited(Vec<(u16, u8, Vec<u8>)>),
    /// Extensions, or whatever is last in a list, in another order: what stands at two places
    /// changes places.
    Swapped(u16, u8, u16, u8),
    /// Whatever the fuzzer likes.
    Bytes(Vec<u8>),
}

impl Input {
    /// The octets to try.
    pub fn apply(self, good: &[u8]) -> Vec<u8> {
        let mut out = good.to_vec();
        match self {
            Self::Bytes(bytes) => return bytes,
            Self::Edited(edits) => {
                for (at, gone, come) in edits {
                    let at = usize::from(at) % (out.len() + 1);
                    let end = (at + usize::from(gone)).min(out.len());
                    out.splice(at..end, come);
                }
            }
            Self::Swapped(a, a_length, b, b_length) => {
                let range = |at: u16, length: u8| {
                    let at = usize::from(at) % (good.len() + 1);
                    at..(at + usize::from(length)).min(good.len())
                };
                let (a, b) = (range(a, a_length), range(b, b_length));
                if a.end <= b.start {
                    let (first, second) = (good[a.clone()].to_vec(), good[b.clone()].to_vec());
                    out.splice(b, first);
                    out.splice(a, second);
                }
            }
        }
        out
    }
}

/// The output of a future that has nothing to wait for.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
