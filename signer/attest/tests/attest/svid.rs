//! Renewal: of a certificate of ours, for the same identity, for no longer than it may go on.

use crate::{
    NOW, after,
    certs::{Authority, uri},
    now, refusal, unavailable,
};
use credence_attest::{
    Answer, AttestError, Attestor as _, BoxFuture, CertificateChain, Evidence, Lineage, ProofKind,
    Refusal, Unavailable,
    svid::{Issuers, Lineages, Presented, Revocations, SvidAttestor},
};
use credence_ca::validity::Time;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};

const WEB: &str = "spiffe://example.org/ns/prod/sa/web";

/// What the CA's records say.
#[derive(Clone)]
struct Records {
    issuers: Arc<Vec<CertificateDer<'static>>>,
    revoked: Answer<bool>,
    began: Answer<Option<u64>>,
}

impl Issuers for Records {
    fn certificates(&self) -> Arc<Vec<CertificateDer<'static>>> {
        Arc::clone(&self.issuers)
    }
}

impl Revocations for Records {
    fn is_revoked<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<bool>> {
        assert_eq!(presented.identity.to_string(), WEB);
        Box::pin(async { self.revoked.clone() })
    }
}

impl Lineages for Records {
    fn began<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<Option<Time>>> {
        assert_eq!(presented.serial.to_string(), "07");
        Box::pin(async { self.began.clone().map(|began| began.map(Time::from_unix)) })
    }
}

/// A change to a leaf before it is signed.
type Twist = fn(&mut CertificateParams);

struct World {
    root: Authority,
    issuer: Authority,
    records: Records,
}

impl World {
    fn new() -> Self {
        let root = Authority::new();
        let issuer = root.issuer();
        let records = Records {
            issuers: Arc::new(vec![issuer.der()]),
            revoked: Ok(false),
            began: Ok(Some(NOW - 1000)),
        };
        Self {
            root,
            issuer,
            records,
        }
    }

    fn attestor(&self) -> SvidAttestor {
        let records = || Arc::new(self.records.clone());
        let longest = Duration::from_secs(2000);
        SvidAttestor::new("renewal".into(), records(), records(), records(), longest)
    }

    fn leaf(&self) -> Evidence {
        self.twisted(|_| {})
    }

    fn twisted(&self, twist: impl FnOnce(&mut CertificateParams)) -> Evidence {
        presents(self.issuer.leaf(WEB, twist))
    }
}

fn presents(leaf: Vec<u8>) -> Evidence {
    Evidence {
        certificates: CertificateChain(vec![leaf]),
        ..Evidence::default()
    }
}

#[tokio::test]
async fn a_leaf_of_ours_is_renewed_for_the_same_identity() {
    let world = World::new();
    let found = world.attestor().attest(&world.leaf(), now()).await.unwrap();
    assert_eq!(found.identity.to_string(), WEB);
    assert_eq!(found.proof.kind, ProofKind::Svid);
    assert_eq!(found.proof.subject.as_deref(), Some("07"));
    assert_eq!(found.proof.expires, Some(Time::from_unix(NOW + 3600)));
    assert!(found.proof.issuer.is_some() && found.proof.fingerprint.is_some());
    let lineage = Lineage {
        began: Time::from_unix(NOW - 1000),
        ends: Time::from_unix(NOW + 1000),
    };
    assert_eq!(found.renewal, Some(lineage));
}

#[tokio::test]
async fn renewals_do_not_go_on_for_ever() {
    let world = World::new();
    let attestor = world.attestor();
    assert!(attestor.attest(&world.leaf(), after(999)).await.is_ok());
    let why = refusal(&attestor, &world.leaf(), after(1000)).await;
    assert_eq!(why, Refusal::LineageEnded);
}

#[tokio::test]
async fn what_was_revoked_or_never_issued_is_not_renewed() {
    let mut world = World::new();
    world.records.revoked = Ok(true);
    let why = refusal(&world.attestor(), &world.leaf(), now()).await;
    assert_eq!(why, Refusal::Revoked);
    let mut world = World::new();
    world.records.began = Ok(None);
    let why = refusal(&world.attestor(), &world.leaf(), now()).await;
    assert_eq!(why, Refusal::Certificate("this CA has no record of it"));
}

#[tokio::test]
async fn records_without_an_answer_let_nobody_in() {
    let away = Unavailable::Store("the disk is full".into());
    let mut world = World::new();
    world.records.revoked = Err(away.clone());
    assert_eq!(
        unavailable(&world.attestor(), &world.leaf(), now()).await,
        away
    );
    let mut world = World::new();
    world.records.began = Err(away.clone());
    assert_eq!(
        unavailable(&world.attestor(), &world.leaf(), now()).await,
        away
    );
}

#[tokio::test]
async fn only_our_own_issuers_leaves_are_renewed() {
    let world = World::new();
    // the root is above us, and may be somebody else's: what another issuer below it signed is not ours
    let sibling = presents(world.root.issuer().leaf(WEB, |_| {}));
    let direct = presents(world.root.leaf(WEB, |_| {}));
    let foreign = presents(World::new().issuer.leaf(WEB, |_| {}));
    for other in [sibling, direct, foreign] {
        let why = refusal(&world.attestor(), &other, now()).await;
        let expected = Refusal::Certificate("none of this CA's issuers signed it, for a client");
        assert_eq!(why, expected);
    }
    let mut without = World::new();
    without.records.issuers = Arc::default();
    assert!(
        without
            .attestor()
            .attest(&without.leaf(), now())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_leaf_is_looked_at_again() {
    let world = World::new();
    let attestor = world.attestor();
    let other = "spiffe://example.org/other";
    let twists: [(&str, Twist); 9] = [
        ("a CA's", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        ("no key usage", |p| p.key_usages.clear()),
        ("signs certificates", |p| {
            p.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }),
        ("signs lists", |p| {
            p.key_usages.push(KeyUsagePurpose::CrlSign);
        }),
        ("signs nothing", |p| {
            p.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        }),
        ("for servers only", |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("two identities", |p| {
            p.subject_alt_names.push(uri("spiffe://example.org/other"));
        }),
        ("no name", |p| p.subject_alt_names.clear()),
        ("a trust domain's", |p| {
            p.subject_alt_names = vec![uri("spiffe://example.org")];
        }),
    ];
    for (what, twist) in twists {
        let why = refusal(&attestor, &world.twisted(twist), now()).await;
        let known = matches!(why, Refusal::Certificate(_) | Refusal::Identity(_));
        assert!(known, "{what}: {why}");
    }
    let twice = world.twisted(|p| {
        // a second subjectAltName beside the first
        let name = [&[0x30, 0x1c, 0x86, 0x1a][..], other.as_bytes()].concat();
        p.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], name)];
    });
    let why = refusal(&attestor, &twice, now()).await;
    assert!(matches!(why, Refusal::Certificate(_)), "{why}");
}

#[tokio::test]
async fn a_leaf_is_valid_now() {
    let world = World::new();
    let attestor = world.attestor();
    let why = Refusal::Certificate("it is not valid now");
    let later = world.twisted(|p| p.not_before += time::Duration::seconds(1));
    assert_eq!(refusal(&attestor, &later, now()).await, why);
    let ended = world.twisted(|p| p.not_after = p.not_before + time::Duration::seconds(9));
    assert!(attestor.attest(&ended, after(9)).await.is_ok());
    assert_eq!(refusal(&attestor, &ended, after(10)).await, why);
}

#[tokio::test]
async fn octets_that_are_no_certificate_are_refused() {
    let world = World::new();
    let attestor = world.attestor();
    let good = world.leaf().certificates.0.remove(0);
    let longer = [&good[..], &[0]].concat();
    for bad in [
        Vec::new(),
        vec![0x30],
        longer,
        vec![0x30; 40_000],
        good[..good.len() - 1].to_vec(),
    ] {
        let why = refusal(&attestor, &presents(bad), now()).await;
        assert!(matches!(why, Refusal::Certificate(_)), "{why}");
    }
    // each octet counts: whatever is changed, it is refused, or what it says is what was signed
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(
            attestor.attest(&presents(changed), now()).await.is_err(),
            "octet {at}"
        );
    }
    let none = attestor.attest(&Evidence::default(), now()).await;
    assert_eq!(none, Err(AttestError::NoEvidence));
}
