//! Chains that are taken, with and without warnings, beside openssl's verdict.

use super::{
    faults::is_documented,
    pki::{AKI, CA, DAY, ED25519, ID, P256, P384, Pki, RSA, SKI, Spec, USAGE, issuer, mid, root},
};
use credence_ca::{
    chain::{Place, Warning},
    custody::Custody as _,
};

const ISSUER: Place = Place::Issuer;
const MID: Place = Place::Above(0);
const ROOT: Place = Place::Root(0);

/// Chains that are taken: openssl takes them too, strictly if there is no warning.
#[track_caller]
fn good(what: &str, pki: &Pki, chain: &[&str], roots: &[&str], warnings: &[(Place, Warning)]) {
    pki.bundle("chain.pem", chain);
    pki.bundle("roots.pem", roots);
    let now = pki.now();
    let own = pki
        .load_at(now)
        .unwrap_or_else(|bad| panic!("{what}: {bad}"));
    let found: Vec<_> = own.warnings.iter().map(|w| (w.place, w.what)).collect();
    assert_eq!(found, warnings, "{what}");
    for (_, warning) in warnings {
        is_documented(warning.name());
    }
    assert_eq!(own.issuer_key.public_key(), own.issuer.public_key());
    let flags: &[&str] = match warnings {
        [] => &["-x509_strict"],
        _ if warnings.iter().any(|(_, w)| *w == Warning::NotSelfSigned) => &["-partial_chain"],
        _ => &[],
    };
    pki.openssl_accepts(now, flags)
        .unwrap_or_else(|e| panic!("{what}: {e}"));
}

#[test]
fn good_chains_of_every_kind_of_key() {
    for [one, two, three] in [
        [P256, P384, P256],
        [RSA, RSA, RSA],
        [RSA, P384, ED25519],
        [ED25519, ED25519, ED25519],
        [P384, RSA, P384],
    ] {
        let pki = Pki::empty();
        for (spec, key) in [(root(), one), (mid(), two), (issuer(), three)] {
            // Ed25519 hashes by itself
            let signer_key = match spec.name {
                "root" | "mid" => one,
                _ => two,
            };
            let digest = if signer_key == ED25519 {
                "-sha512"
            } else {
                spec.digest
            };
            pki.make(&Spec {
                key,
                digest,
                ..spec
            });
        }
        good("kinds of key", &pki, &["issuer", "mid"], &["root"], &[]);
    }
}

#[test]
fn good_chains_of_every_length() {
    let pki = Pki::new();
    good(
        "with the root at its end",
        &pki,
        &["issuer", "mid", "root"],
        &["root"],
        &[],
    );
    pki.make(&Spec {
        signer: Some("root"),
        ..issuer()
    });
    good("without an intermediate", &pki, &["issuer"], &["root"], &[]);
    let pki = Pki::new();
    pki.make(&Spec {
        name: "mid2",
        subject: "/CN=2",
        signer: Some("mid"),
        ..mid()
    });
    pki.make(&Spec {
        signer: Some("mid2"),
        extensions: &[CA, USAGE, SKI, AKI],
        ..issuer()
    });
    good(
        "with two, and no SPIFFE ID",
        &pki,
        &["issuer", "mid2", "mid"],
        &["root"],
        &[],
    );
}

#[test]
fn the_issuers_anchor_comes_first() {
    let pki = Pki::new();
    for (name, subject) in [("a", "/CN=a"), ("b", "/O=Corp/CN=Root"), ("c", "/CN=c")] {
        pki.make(&Spec {
            name,
            subject,
            ..root()
        });
    }
    good(
        "anchors",
        &pki,
        &["issuer", "mid"],
        &["a", "b", "root", "c"],
        &[],
    );
    let own = pki.load_at(pki.now()).unwrap();
    let order = ["root", "a", "b", "c"].map(|name| pki.certificate(name));
    assert_eq!(own.roots, order);
    assert_eq!(own.above, [pki.certificate("mid")]);
    assert_eq!(own.issuer, pki.certificate("issuer"));
}

#[test]
fn what_is_only_worth_telling() {
    let with = |spec: Spec<'_>, warning: (Place, Warning)| {
        let pki = Pki::new();
        pki.make(&spec);
        good("a warning", &pki, &["issuer", "mid"], &["root"], &[warning]);
    };
    with(
        Spec {
            extensions: &[CA, "keyUsage=critical,keyCertSign", SKI, AKI, ID],
            ..issuer()
        },
        (ISSUER, Warning::NoCrlSign),
    );
    with(
        Spec {
            extensions: &[CA, SKI, AKI],
            ..mid()
        },
        (MID, Warning::NoKeyUsage),
    );
    with(
        Spec {
            extensions: &["basicConstraints=CA:true", USAGE, SKI, AKI],
            ..mid()
        },
        (MID, Warning::NotCritical),
    );
    with(
        Spec {
            extensions: &[CA, USAGE, SKI, "authorityKeyIdentifier=none"],
            ..mid()
        },
        (MID, Warning::NoAuthorityKeyId),
    );
    with(
        Spec {
            digest: "-sha1",
            ..root()
        },
        (ROOT, Warning::WeakSelfSignature),
    );
    let constrained = |constraints| Spec {
        extensions: Box::leak(Box::new([CA, USAGE, SKI, AKI, constraints])),
        ..mid()
    };
    with(
        constrained("nameConstraints=permitted;DNS:example.org"),
        (MID, Warning::DnsConstrained),
    );
    with(
        constrained("nameConstraints=critical,permitted;dirName:o\n[o]\nO=EXAMPLE.org"),
        (MID, Warning::ConstraintsRefusedByGo),
    );
    with(
        constrained("certificatePolicies=critical,1.2.3.4"),
        (MID, Warning::CriticalPolicies),
    );
    let pki = Pki::new();
    good(
        "an intermediate as anchor",
        &pki,
        &["issuer"],
        &["mid"],
        &[(ROOT, Warning::NotSelfSigned)],
    );
}

#[test]
fn an_anchor_that_has_ended_may_stay() {
    let pki = Pki::new();
    pki.make(&Spec {
        name: "old",
        subject: "/CN=old",
        days: 1,
        ..root()
    });
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root", "old"]);
    let ended = pki.certificate("old").validity().not_after;
    let own = pki.load_at(ended.plus(DAY)).unwrap();
    assert_eq!(own.warnings.len(), 1);
    assert_eq!(own.warnings[0].place, Place::Root(1));
    assert_eq!(own.warnings[0].what, Warning::AnchorEnded(ended));
    is_documented("anchor-ended");
}

#[test]
fn uris_are_constrained_as_hosts() {
    for constraints in [
        "permitted;URI:example.org",
        "excluded;URI:other.org",
        "excluded;URI:.example.org",
    ] {
        let pki = Pki::new();
        let line = format!("nameConstraints=critical,{constraints}");
        pki.make(&Spec {
            extensions: &[CA, USAGE, SKI, AKI, &line],
            ..mid()
        });
        good(constraints, &pki, &["issuer", "mid"], &["root"], &[]);
    }
}
