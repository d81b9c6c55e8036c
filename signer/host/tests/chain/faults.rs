//! Each fault and warning in a chain of real certificates, beside openssl's verdict.

use super::pki::{
    AKI, CA, DAY, DOMAIN, P521, Pki, RSA, RSA1024, SKI, Spec, USAGE, issuer, mid, names, root,
    terms,
};
use credence_ca::{
    chain::{self, Chain, Fault, Keys, Place, Terms},
    validity::Time,
};
use credence_host::possession::verifies;
use std::time::Duration;

const ISSUER: Place = Place::Issuer;
const MID: Place = Place::Above(0);
const ROOT: Place = Place::Root(0);

/// The docs explain every fault and warning by its name.
pub(crate) fn is_documented(name: &str) {
    let docs = include_str!("../../../../docs/own-chain.md");
    assert!(
        docs.contains(&format!("| `{name}` |")),
        "{name} is not in docs/own-chain.md"
    );
}

/// What openssl says of a chain that is refused here.
#[derive(Clone, Copy)]
enum Openssl {
    /// The same.
    Refuses,
    /// Something else, for this reason.
    #[allow(dead_code, reason = "the reason is for the reader")]
    IsNotAsked(&'static str),
}
use Openssl::{IsNotAsked, Refuses};

struct Case<'a> {
    what: &'a str,
    change: &'a dyn Fn(&Pki),
    chain: &'a [&'a str],
    roots: &'a [&'a str],
    expected: &'a [(Place, &'a str)],
    openssl: Openssl,
}

fn case<'a>(what: &'a str, change: &'a dyn Fn(&Pki), expected: &'a [(Place, &'a str)]) -> Case<'a> {
    Case {
        what,
        change,
        chain: &["issuer", "mid"],
        roots: &["root"],
        expected,
        openssl: Refuses,
    }
}

impl Case<'_> {
    fn run(&self) {
        let pki = Pki::new();
        (self.change)(&pki);
        pki.bundle("chain.pem", self.chain);
        pki.bundle("roots.pem", self.roots);
        let now = pki.now();
        let bad = pki.load_at(now).expect_err(self.what);
        let mut found = names(&bad);
        let mut expected: Vec<_> = self.expected.iter().map(|(p, n)| (Some(*p), *n)).collect();
        found.sort_by_key(|found| format!("{found:?}"));
        expected.sort_by_key(|expected| format!("{expected:?}"));
        assert_eq!(found, expected, "{}: {bad}", self.what);
        for (_, name) in &found {
            is_documented(name);
            assert!(bad.to_string().contains(&format!("[{name}]")), "{bad}");
        }
        if matches!(self.openssl, Refuses) {
            let verdict = pki.openssl_accepts(now, &["-x509_strict"]);
            assert!(verdict.is_err(), "{}: openssl takes it", self.what);
        }
    }
}

fn remake(spec: Spec<'_>) -> impl Fn(&Pki) {
    move |pki| pki.make(&spec)
}

/// With another key.
fn renew(pki: &Pki, spec: &Spec<'_>) {
    std::fs::remove_file(pki.path(&format!("{}.key", spec.name))).unwrap();
    pki.make(spec);
}

#[test]
fn a_certificate_that_is_no_cas() {
    let m = |extensions| {
        remake(Spec {
            extensions,
            ..mid()
        })
    };
    case(
        "cA=false",
        &m(&["basicConstraints=critical,CA:false", SKI, AKI]),
        &[(MID, "not-ca")],
    )
    .run();
    case(
        "no basicConstraints",
        &m(&[USAGE, SKI, AKI]),
        &[(MID, "not-ca")],
    )
    .run();
    case(
        "no keyCertSign",
        &m(&[CA, "keyUsage=critical,cRLSign", SKI, AKI]),
        &[(MID, "no-cert-sign")],
    )
    .run();
    case(
        "no key identifier",
        &m(&[CA, USAGE, "subjectKeyIdentifier=none", AKI]),
        &[(MID, "no-key-id")],
    )
    .run();
    case("version 1", &m(&[]), &[(MID, "version")]).run();
    case(
        "no subject",
        &|pki| {
            pki.make(&Spec {
                subject: "/",
                ..mid()
            });
            pki.make(&issuer());
        },
        &[(MID, "no-name")],
    )
    .run();
}

#[test]
fn extensions_that_are_not_known_or_not_read() {
    let m = |extensions| {
        remake(Spec {
            extensions,
            ..mid()
        })
    };
    case(
        "critical and unknown",
        &m(&[CA, USAGE, SKI, AKI, "1.2.3.4=critical,DER:0500"]),
        &[(MID, "critical-extension")],
    )
    .run();
    let twice = |pki: &Pki| {
        let extensions = &[CA, USAGE, SKI, AKI, "1.2.3.4=DER:0500", "1.2.3.5=DER:0500"];
        pki.make(&Spec {
            extensions,
            ..mid()
        });
        pki.patch("mid", |der| {
            let second = [6, 3, 0x2a, 3, 5];
            let at = der.windows(5).position(|window| window == second).unwrap();
            der[at + 4] = 4;
        });
    };
    let faults = [(MID, "repeated-extension"), (MID, "signature")];
    case("twice", &twice, &faults).run();
    case(
        "basicConstraints is NULL",
        &m(&["2.5.29.19=critical,DER:0500", USAGE, SKI, AKI]),
        &[(MID, "extension"), (MID, "not-ca")],
    )
    .run();
}

#[test]
fn encodings() {
    let cut = |pki: &Pki| {
        pki.patch("mid", |der| {
            der.pop();
        });
    };
    Case {
        openssl: IsNotAsked("it cannot read the file"),
        ..case("cut off", &cut, &[(MID, "malformed")])
    }
    .run();
    // ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384, in the last place where it stands
    let other = |pki: &Pki| {
        pki.patch("mid", |der| {
            let sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
            let at = der.windows(8).rposition(|window| window == sha256).unwrap();
            der[at + 7] = 3;
        });
    };
    case(
        "two algorithms",
        &other,
        &[(MID, "two-algorithms"), (MID, "signature")],
    )
    .run();
}

/// Go refuses to read it.
#[test]
fn a_negative_serial_number() {
    let negative = |pki: &Pki| {
        pki.patch("root", |der| {
            // version, then the tag and length of the serial number
            let version = [0xa0, 3, 2, 1, 2];
            let at = der.windows(5).position(|window| window == version).unwrap();
            der[at + 7] |= 0x80;
        });
    };
    Case {
        openssl: IsNotAsked("it does not look"),
        ..case("a negative number", &negative, &[(ROOT, "malformed")])
    }
    .run();
}

/// The authority's name and serial number count where they are given: here of a root that was made again with the same key.
#[test]
fn an_authority_named_by_its_serial_number() {
    let extensions = &[CA, USAGE, SKI, "authorityKeyIdentifier=keyid,issuer:always"];
    let named = |pki: &Pki| {
        pki.make(&Spec {
            extensions,
            ..mid()
        });
    };
    let pki = Pki::new();
    named(&pki);
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    pki.load_at(pki.now()).unwrap();
    pki.openssl_accepts(pki.now(), &["-x509_strict"]).unwrap();
    let renewed = |pki: &Pki| {
        named(pki);
        pki.make(&root());
    };
    case(
        "the root, made again",
        &renewed,
        &[(MID, "authority-key-id")],
    )
    .run();
}

#[test]
fn keys_that_are_too_weak_or_of_another_kind() {
    for key in [RSA1024, P521] {
        let change = |pki: &Pki| {
            renew(pki, &Spec { key, ..mid() });
            pki.make(&issuer());
        };
        let openssl = if key == P521 {
            IsNotAsked("it knows P-521")
        } else {
            IsNotAsked("at its level 1, RSA-1024 is good")
        };
        Case {
            openssl,
            ..case("a key", &change, &[(MID, "key")])
        }
        .run();
    }
}

#[test]
fn signatures_by_weak_hashes() {
    let sha1 = remake(Spec {
        digest: "-sha1",
        ..issuer()
    });
    let security = IsNotAsked("at its level 0 it takes SHA-1");
    Case {
        openssl: security,
        ..case("SHA-1", &sha1, &[(ISSUER, "signature-algorithm")])
    }
    .run();
    let md5 = |pki: &Pki| {
        renew(pki, &Spec { key: RSA, ..mid() });
        pki.make(&Spec {
            digest: "-md5",
            ..issuer()
        });
    };
    Case {
        openssl: security,
        ..case("MD5", &md5, &[(ISSUER, "signature-algorithm")])
    }
    .run();
}

#[test]
fn signatures_that_are_not_the_next_ones() {
    let flip =
        |name: &'static str| move |pki: &Pki| pki.patch(name, |der| *der.last_mut().unwrap() ^= 1);
    case("the issuer's", &flip("issuer"), &[(ISSUER, "signature")]).run();
    case("the intermediate's", &flip("mid"), &[(MID, "signature")]).run();
    Case {
        openssl: IsNotAsked("it does not look at a root's signature of itself"),
        ..case("the root's own", &flip("root"), &[(ROOT, "signature")])
    }
    .run();
    let other_root = |pki: &Pki| renew(pki, &root());
    case(
        "a root of that name",
        &other_root,
        &[(MID, "authority-key-id"), (MID, "signature")],
    )
    .run();
}

#[test]
fn order_and_gaps() {
    let nothing = |_: &Pki| {};
    Case {
        chain: &["mid", "issuer"],
        openssl: IsNotAsked("it puts them in order"),
        ..case(
            "turned round",
            &nothing,
            &[(ISSUER, "order"), (ISSUER, "other-key"), (MID, "order")],
        )
    }
    .run();
    Case {
        chain: &["issuer"],
        ..case("a gap", &nothing, &[(ISSUER, "not-issued")])
    }
    .run();
    let other = |pki: &Pki| {
        pki.make(&Spec {
            name: "other",
            subject: "/CN=Other",
            ..root()
        });
    };
    Case {
        roots: &["other"],
        ..case("another root", &other, &[(MID, "not-issued")])
    }
    .run();
    Case {
        chain: &["issuer", "mid", "mid"],
        openssl: IsNotAsked("it takes each once"),
        ..case(
            "twice",
            &nothing,
            &[(MID, "order"), (Place::Above(1), "duplicate")],
        )
    }
    .run();
    Case {
        roots: &["root", "root"],
        openssl: IsNotAsked("it takes each once"),
        ..case(
            "an anchor twice",
            &nothing,
            &[(Place::Root(1), "duplicate")],
        )
    }
    .run();
    let issuer_alone = |pki: &Pki| {
        pki.make(&Spec {
            signer: None,
            ..issuer()
        });
    };
    Case {
        chain: &["issuer"],
        roots: &["issuer"],
        openssl: IsNotAsked("it lets a root sign leaves"),
        ..case(
            "the issuer is the root",
            &issuer_alone,
            &[(ISSUER, "issuer-is-root"), (ROOT, "duplicate")],
        )
    }
    .run();
}

#[test]
fn keys_that_belong_elsewhere() {
    let other_key = |pki: &Pki| {
        std::fs::copy(pki.path("mid.key"), pki.path("issuer.key")).unwrap();
    };
    Case {
        openssl: IsNotAsked("it gets no key"),
        ..case("another key", &other_key, &[(ISSUER, "other-key")])
    }
    .run();
    let shared = |pki: &Pki| {
        std::fs::copy(pki.path("root.key"), pki.path("mid.key")).unwrap();
        pki.make(&mid());
        pki.make(&issuer());
    };
    Case {
        openssl: IsNotAsked("it does not mind"),
        ..case("one key twice", &shared, &[(ROOT, "shared-key")])
    }
    .run();
}

#[test]
fn path_lengths() {
    let m = |length: &'static str| {
        move |pki: &Pki| {
            let basic = format!("{CA},pathlen:{length}");
            pki.make(&Spec {
                extensions: &[&basic, USAGE, SKI, AKI],
                ..mid()
            });
        }
    };
    case("none below", &m("0"), &[(MID, "path-length")]).run();
    let r = |pki: &Pki| {
        pki.make(&Spec {
            extensions: &["basicConstraints=critical,CA:true,pathlen:1", USAGE, SKI],
            ..root()
        });
    };
    case("one below the root", &r, &[(ROOT, "path-length")]).run();
}

#[test]
fn other_trust_domains() {
    for id in [
        "spiffe://other.org",
        "SPIFFE://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/a",
    ] {
        let name = format!("subjectAltName=URI:{id}");
        let change = |pki: &Pki| {
            pki.make(&Spec {
                extensions: &[CA, USAGE, SKI, AKI, &name],
                ..mid()
            });
        };
        Case {
            openssl: IsNotAsked("it knows no SPIFFE"),
            ..case(id, &change, &[(MID, "other-trust-domain")])
        }
        .run();
    }
    let foreign = |pki: &Pki| {
        pki.make(&Spec {
            name: "other",
            extensions: &[CA, USAGE, SKI, "subjectAltName=URI:spiffe://other.org"],
            ..root()
        });
    };
    Case {
        roots: &["root", "other"],
        openssl: IsNotAsked("it knows no SPIFFE"),
        ..case(
            "another domain's anchor",
            &foreign,
            &[(Place::Root(1), "other-trust-domain")],
        )
    }
    .run();
}

#[test]
fn name_constraints() {
    for (constraints, subject) in [
        (
            "nameConstraints=critical,permitted;URI:other.org",
            "/O=example.org/CN=Issuer",
        ),
        (
            "nameConstraints=critical,permitted;URI:.example.org",
            "/O=example.org/CN=Issuer",
        ),
        (
            "nameConstraints=critical,excluded;URI:example.org",
            "/O=example.org/CN=Issuer",
        ),
        (
            "nameConstraints=critical,permitted;dirName:corp\n[corp]\nO=Corp",
            "/O=example.org/CN=Issuer",
        ),
        (
            "nameConstraints=critical,excluded;dirName:corp\n[corp]\nO=corp",
            "/O=Corp/CN=Issuer",
        ),
    ] {
        let change = |pki: &Pki| {
            pki.make(&Spec {
                extensions: &[CA, USAGE, SKI, AKI, constraints],
                ..mid()
            });
            pki.make(&Spec {
                subject,
                ..issuer()
            });
        };
        let faults = [(MID, "name-constraints"), (MID, "name-constraints")];
        // of URIs: what leaves would be called, and what the issuer is
        let count = if constraints.contains("URI") { 2 } else { 1 };
        case(constraints, &change, &faults[..count]).run();
    }
}

#[test]
fn extended_key_usages() {
    for (usage, count) in [
        ("serverAuth", 1),
        ("clientAuth", 1),
        ("anyExtendedKeyUsage", 2),
        ("codeSigning", 2),
    ] {
        let usage = format!("extendedKeyUsage={usage}");
        let change = |pki: &Pki| {
            pki.make(&Spec {
                extensions: &[CA, USAGE, SKI, AKI, &usage],
                ..mid()
            });
        };
        let faults = [(MID, "extended-key-usage"); 2];
        case(&usage, &change, &faults[..count]).run();
    }
}

#[test]
fn times() {
    let pki = Pki::new();
    pki.make(&Spec { days: 10, ..mid() });
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    let begins = pki.certificate("mid").validity().not_before;
    let ends = pki.certificate("mid").validity().not_after;
    let second = Duration::from_secs(1);
    for (now, expected) in [
        (
            begins.minus(DAY),
            &[
                (ISSUER, "not-yet-valid"),
                (MID, "not-yet-valid"),
                (ROOT, "not-yet-valid"),
            ][..],
        ),
        (ends.minus(DAY), &[]),
        (ends.minus(DAY).plus(second), &[(MID, "ends-too-soon")]),
        (ends, &[(MID, "ends-too-soon")]),
        (ends.plus(second), &[(MID, "ended")]),
    ] {
        let found = pki.load_at(now).map_or_else(|bad| names(&bad), |_| vec![]);
        let expected: Vec<_> = expected
            .iter()
            .map(|(place, name)| (Some(*place), *name))
            .collect();
        assert_eq!(found, expected, "{now}");
        for (_, name) in found {
            is_documented(name);
        }
        // openssl knows of no leaf's life
        let openssl = pki
            .openssl_accepts(now.plus(second), &["-x509_strict"])
            .is_ok();
        let refused = expected.iter().any(|(_, name)| *name != "ends-too-soon") || now == ends;
        assert_eq!(openssl, !refused, "{now}");
    }
}

#[test]
fn counts() {
    let pki = Pki::new();
    let good = Chain {
        issuer: pki.der("issuer"),
        above: vec![pki.der("mid")],
        roots: vec![pki.der("root")],
    };
    let terms = terms(pki.now());
    let check = |chain: &Chain| chain::check(chain, &terms, Keys::default(), &verifies);
    check(&good).unwrap();
    for (chain, place, fault) in [
        (
            Chain {
                roots: vec![],
                ..good.clone()
            },
            ROOT,
            "no-root",
        ),
        (
            Chain {
                above: vec![pki.der("mid"); 9],
                ..good.clone()
            },
            MID,
            "too-many",
        ),
        (
            Chain {
                roots: vec![pki.der("root"); 33],
                ..good.clone()
            },
            ROOT,
            "too-many",
        ),
    ] {
        let faults = check(&chain).unwrap_err().faults;
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].place, faults[0].what.name()), (place, fault));
        is_documented(fault);
    }
}

#[test]
fn a_wrong_key_of_the_root() {
    let pki = Pki::new();
    let chain = Chain {
        issuer: pki.der("issuer"),
        above: vec![pki.der("mid")],
        roots: vec![pki.der("root")],
    };
    let (right, wrong) = (pki.certificate("root"), pki.certificate("mid"));
    let check = |root| {
        let keys = Keys {
            issuer: None,
            root: Some(root),
        };
        chain::check(&chain, &terms(pki.now()), keys, &verifies)
    };
    check(right.public_key()).unwrap();
    let faults = check(wrong.public_key()).unwrap_err();
    assert_eq!(faults.faults.len(), 1);
    assert_eq!(faults.faults[0].what, Fault::OtherKey);
    assert_eq!(faults.faults[0].place, ROOT);
}

#[test]
fn all_faults_are_told_at_once() {
    let pki = Pki::new();
    pki.make(&Spec {
        extensions: &[
            "basicConstraints=CA:true,pathlen:0",
            "keyUsage=cRLSign",
            SKI,
        ],
        days: 1,
        ..mid()
    });
    pki.make(&Spec {
        digest: "-sha1",
        ..issuer()
    });
    pki.write("issuer.key", pki.read("mid.key"));
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    let bad = pki.load_at(pki.now()).unwrap_err();
    let found: Vec<_> = names(&bad).into_iter().map(|(_, name)| name).collect();
    for name in [
        "no-cert-sign",
        "signature-algorithm",
        "ends-too-soon",
        "path-length",
        "other-key",
    ] {
        assert!(found.contains(&name), "{name}: {bad}");
    }
    assert_eq!(bad.to_string().lines().count(), found.len());
}

#[test]
fn a_root_with_its_key() {
    let pki = Pki::new();
    let now = pki.now();
    let check = |name: &str, key: &str| {
        let der = pki.der(name);
        let key = pki.certificate(key);
        chain::check_root(&der, &terms(now), key.public_key(), &verifies)
    };
    check("root", "root").unwrap();
    let fault = |result: Result<_, chain::Faults>| {
        let faults: Vec<_> = result.map(|_: (_, _)| ()).unwrap_err().faults;
        faults
            .iter()
            .map(|fault| fault.what.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(fault(check("root", "mid")), ["other-key"]);
    assert_eq!(fault(check("issuer", "issuer")), ["path-length"]);
    let late = Terms {
        trust_domain: &DOMAIN,
        now: Time::from_unix(4_000_000_000),
        longest_leaf_life: DAY,
    };
    let root = pki.certificate("root");
    let ended = chain::check_root(root.der(), &late, root.public_key(), &verifies);
    assert_eq!(fault(ended), ["ended"]);
}
