//! Whose files, under which names, in which form.

use super::pki::{DOMAIN, ED25519, P384, Pki, RSA, Spec, issuer, mid, names, root, terms};
use credence_ca::{chain::Place, custody::Custody as _, key::KeyKind};
use credence_host::{
    chain::{BadChain, DaprNames, Layout, OwnChain, OwnRoot, Reading, Why},
    custody::{Custodian, Secret},
    founding,
    private_file::Readers,
    signer::{Settings, Signer},
};
use std::{fs, os::unix::fs::symlink};

fn dapr(pki: &Pki) -> Layout {
    Layout::Dapr {
        folder: pki.folder().to_path_buf(),
        names: DaprNames::default(),
    }
}

fn istio(pki: &Pki) -> Layout {
    Layout::Istio {
        folder: pki.folder().to_path_buf(),
    }
}

fn load(pki: &Pki, layout: &Layout) -> Result<Option<OwnChain>, BadChain> {
    layout.load(&Reading::default(), &terms(pki.now()))
}

/// The base chain in Dapr's layout.
fn in_daprs_layout() -> Pki {
    let pki = Pki::new();
    let issuer = pki.read("issuer.crt") + &pki.read("mid.crt");
    pki.write("ca.crt", pki.read("root.crt"));
    pki.write("issuer.crt", issuer);
    pki
}

#[track_caller]
fn is_the_base_chain(pki: &Pki, found: &OwnChain) {
    assert_eq!(found.roots, [pki.certificate("root")]);
    assert_eq!(found.above, [pki.certificate("mid")]);
    assert_eq!(found.issuer, pki.certificate("issuer"));
    assert_eq!(found.issuer_key.public_key(), found.issuer.public_key());
}

#[test]
fn daprs_layout() {
    let pki = in_daprs_layout();
    is_the_base_chain(&pki, &load(&pki, &dapr(&pki)).unwrap().unwrap());
    let names = DaprNames {
        roots: "roots".into(),
        chain: "chain".into(),
        key: "key".into(),
    };
    for (from, to) in [
        ("ca.crt", "roots"),
        ("issuer.crt", "chain"),
        ("issuer.key", "key"),
    ] {
        fs::copy(pki.path(from), pki.path(to)).unwrap();
    }
    let folder = pki.folder().to_path_buf();
    let renamed = Layout::Dapr { folder, names };
    is_the_base_chain(&pki, &load(&pki, &renamed).unwrap().unwrap());
}

#[test]
fn none_of_the_files_is_none_and_some_is_an_error_that_says_which() {
    let empty = Pki::empty();
    let time = terms(in_daprs_layout().now());
    for layout in [dapr(&empty), istio(&empty)] {
        assert!(layout.load(&Reading::default(), &time).unwrap().is_none());
    }
    for gone in ["ca.crt", "issuer.crt", "issuer.key"] {
        let pki = in_daprs_layout();
        let now = pki.now();
        fs::remove_file(pki.path(gone)).unwrap();
        let bad = dapr(&pki)
            .load(&Reading::default(), &terms(now))
            .unwrap_err();
        let Why::Incomplete { there, missing } = &bad.why()[0] else {
            panic!("{bad}");
        };
        assert_eq!(missing, &[pki.path(gone)]);
        assert_eq!(there.len(), 2);
        assert!(bad.to_string().contains(gone), "{bad}");
    }
    // files that were named have to be there
    let bad = empty.layout().load(&Reading::default(), &time).unwrap_err();
    assert_eq!(bad.why().len(), 3);
    assert!(bad.to_string().contains("roots.pem is missing"), "{bad}");
}

#[test]
fn istios_layout() {
    let pki = Pki::new();
    pki.write("ca-key.pem", pki.read("issuer.key"));
    pki.bundle("ca-cert.pem", &["issuer"]);
    pki.bundle("root-cert.pem", &["root"]);
    // as Istio's own makefile has it, as others have it
    for chain in [
        &["issuer", "mid", "root"][..],
        &["issuer", "mid"],
        &["mid"],
        &["mid", "root"],
    ] {
        pki.bundle("cert-chain.pem", chain);
        is_the_base_chain(&pki, &load(&pki, &istio(&pki)).unwrap().unwrap());
    }
    pki.make(&Spec {
        signer: Some("root"),
        ..issuer()
    });
    pki.bundle("ca-cert.pem", &["issuer"]);
    pki.write("cert-chain.pem", "");
    let found = load(&pki, &istio(&pki)).unwrap().unwrap();
    assert!(found.above.is_empty());
    fs::remove_file(pki.path("cert-chain.pem")).unwrap();
    let bad = load(&pki, &istio(&pki)).unwrap_err();
    assert!(bad.to_string().contains("cert-chain.pem is not"), "{bad}");
}

/// What istiod makes for itself: a root that signs leaves.
#[test]
fn istios_self_signed_root_is_told_what_to_do() {
    let pki = Pki::new();
    pki.write("ca-key.pem", pki.read("root.key"));
    for name in ["ca-cert.pem", "root-cert.pem"] {
        pki.bundle(name, &["root"]);
    }
    pki.write("cert-chain.pem", "");
    let bad = load(&pki, &istio(&pki)).unwrap_err();
    assert!(
        names(&bad).contains(&(Some(Place::Issuer), "issuer-is-root")),
        "{bad}"
    );
}

#[test]
fn a_kubernetes_tls_secret() {
    let pki = Pki::new();
    pki.write("tls.key", pki.read("issuer.key"));
    pki.bundle("tls.crt", &["issuer", "mid"]);
    pki.bundle("ca.crt", &["root"]);
    is_the_base_chain(&pki, &load(&pki, &istio(&pki)).unwrap().unwrap());
    fs::remove_file(pki.path("ca.crt")).unwrap();
    let bad = load(&pki, &istio(&pki)).unwrap_err();
    assert!(bad.to_string().contains("ca.crt is not"), "{bad}");
}

/// PKCS#8, SEC1 with and without its curve, PKCS#1.
#[test]
fn keys_in_every_form() {
    for (kind, forms) in [
        (
            super::pki::P256,
            &[
                &["ec"][..],
                &["pkey"],
                &["pkey", "-traditional"],
                &["params"],
            ][..],
        ),
        (P384, &[&["ec"], &["pkey"]]),
        (RSA, &[&["rsa", "-traditional"], &["rsa"], &["pkey"]]),
        (ED25519, &[&["pkey"]]),
    ] {
        let pki = Pki::new();
        pki.make(&Spec {
            name: "own",
            key: kind,
            ..issuer()
        });
        pki.bundle("chain.pem", &["own", "mid"]);
        pki.bundle("roots.pem", &["root"]);
        for form in forms {
            if *form == ["params"] {
                let parameters = ["ecparam", "-name", "prime256v1", "-out", "params.pem"];
                pki.openssl(&parameters);
                pki.openssl(&["ec", "-in", "own.key", "-out", "issuer.key"]);
                pki.write(
                    "issuer.key",
                    pki.read("params.pem") + &pki.read("issuer.key"),
                );
            } else {
                let (command, rest) = form.split_first().unwrap();
                pki.openssl(&[&[command, "-in", "own.key", "-out", "issuer.key"], rest].concat());
                pki.mode("issuer.key", 0o600);
            }
            let own = pki
                .load_at(pki.now())
                .unwrap_or_else(|bad| panic!("{form:?}: {bad}"));
            assert_eq!(own.issuer_key.public_key(), own.issuer.public_key());
        }
    }
}

#[test]
fn what_is_no_key_is_refused_without_a_word_of_it() {
    let pki = Pki::new();
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    let good = pki.read("issuer.key");
    let body = good.lines().nth(1).unwrap();
    for bad in [
        String::new(),
        good.repeat(2),
        good.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        good.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        good.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
        good.replace("-----\nM", "-----\nProc-Type: 4,ENCRYPTED\n\nM"),
        pki.read("issuer.crt"),
        format!("{good}{}", pki.read("issuer.crt")),
    ] {
        pki.write("issuer.key", &bad);
        let found = pki.load_at(pki.now()).expect_err(&bad);
        assert_eq!(names(&found), [(None, "key-file")], "{bad}");
        let text = format!("{found} {found:?}");
        assert!(
            !text.contains(body) && text.contains("issuer.key"),
            "{text}"
        );
    }
}

#[test]
fn a_key_that_others_may_read_needs_a_setting() {
    let pki = in_daprs_layout();
    let time = terms(pki.now());
    let load = |readers| {
        let reading = Reading {
            readers,
            passphrase: None,
        };
        dapr(&pki).load(&reading, &time)
    };
    pki.mode("issuer.key", 0o644);
    for readers in [Readers::Nobody, Readers::Group] {
        assert_eq!(names(&load(readers).unwrap_err()), [(None, "file")]);
    }
    load(Readers::Anyone).unwrap().unwrap();
    pki.mode("issuer.key", 0o440);
    assert!(load(Readers::Nobody).is_err());
    load(Readers::Group).unwrap().unwrap();
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase() {
    let pki = Pki::new();
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    pki.write("pass", "sesame");
    pki.openssl(&[
        "pkcs8",
        "-topk8",
        "-scrypt",
        "-in",
        "issuer.key",
        "-out",
        "new",
        "-passout",
        "file:pass",
    ]);
    pki.write("issuer.key", pki.read("new"));
    let load = |text: Option<&str>| {
        let passphrase = text.map(|text| Secret::from_line(text.as_bytes()).unwrap());
        let reading = Reading {
            readers: Readers::Nobody,
            passphrase,
        };
        pki.layout().load(&reading, &terms(pki.now()))
    };
    load(Some("sesame")).unwrap().unwrap();
    for wrong in [None, Some("other")] {
        let bad = load(wrong).unwrap_err();
        assert_eq!(names(&bad), [(None, "key-file")], "{bad}");
    }
}

#[test]
fn faults_of_files_and_of_the_chain_are_told_together() {
    let pki = in_daprs_layout();
    pki.mode("issuer.key", 0o644);
    pki.write(
        "issuer.crt",
        pki.read("issuer.crt")
            .split_inclusive("-----END CERTIFICATE-----\n")
            .next()
            .unwrap(),
    );
    let bad = load(&pki, &dapr(&pki)).unwrap_err();
    assert_eq!(
        names(&bad),
        [(None, "file"), (Some(Place::Issuer), "not-issued")]
    );
    pki.write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let bad = load(&pki, &dapr(&pki)).unwrap_err();
    assert_eq!(names(&bad), [(None, "pem"), (None, "file")]);
}

/// A volume's files are links by way of `..data`; the mode that counts is the file's own.
#[test]
fn a_kubernetes_volume() {
    let pki = in_daprs_layout();
    let generation = pki.path("..2026");
    fs::create_dir(&generation).unwrap();
    symlink("..2026", pki.path("..data")).unwrap();
    for name in ["ca.crt", "issuer.crt", "issuer.key"] {
        fs::rename(pki.path(name), generation.join(name)).unwrap();
        symlink(format!("..data/{name}"), pki.path(name)).unwrap();
    }
    let found = load(&pki, &dapr(&pki)).unwrap().unwrap();
    assert_eq!(found.above, [pki.certificate("mid")]);
}

#[test]
fn the_roots_key_comes_along() {
    let pki = Pki::new();
    pki.bundle("chain.pem", &["issuer", "mid"]);
    pki.bundle("roots.pem", &["root"]);
    let load = |key: &str| {
        let layout = Layout::Files {
            roots: pki.path("roots.pem"),
            chain: pki.path("chain.pem"),
            issuer_key: pki.path("issuer.key"),
            root_key: Some(pki.path(key)),
        };
        load(&pki, &layout)
    };
    let own = load("root.key").unwrap().unwrap();
    assert_eq!(
        own.root_key.unwrap().public_key(),
        own.roots[0].public_key()
    );
    assert_eq!(
        names(&load("mid.key").unwrap_err()),
        [(Some(Place::Root(0)), "other-key")]
    );
    assert!(
        load("none.key")
            .unwrap_err()
            .to_string()
            .contains("none.key is not")
    );
}

/// A root of one's own: an issuer is made below it that stands the same check.
#[test]
fn a_root_with_its_key_gets_an_issuer() {
    for key in [super::pki::P256, RSA] {
        let pki = Pki::empty();
        pki.make(&Spec { key, ..root() });
        let now = pki.now();
        let reading = Reading::default();
        let load =
            |key: &str| OwnRoot::load(&pki.path("root.crt"), &pki.path(key), &reading, &terms(now));
        let own = load("root.key").unwrap();
        let signer = Signer::open(Settings::default()).unwrap();
        let request =
            credence_host::chain::issuer_csr(&Custodian::files(KeyKind::P256, None), &DOMAIN)
                .unwrap();
        let certificate =
            founding::certify_issuer(&signer, &DOMAIN, (&own.root, &own.key), &request.key, now)
                .unwrap();
        pki.write("issuer.key", request.key_pem.unwrap().as_bytes());
        pki.write(
            "chain.pem",
            ::pem::encode(&::pem::Pem::new("CERTIFICATE", certificate.der())),
        );
        pki.bundle("roots.pem", &["root"]);
        let found = pki.load_at(now).unwrap();
        assert_eq!(found.issuer, certificate);
        assert!(found.warnings.is_empty());
        pki.make(&mid());
        assert_eq!(
            names(&load("mid.key").unwrap_err()),
            [(Some(Place::Root(0)), "other-key")]
        );
        pki.bundle("root.crt", &["root", "mid"]);
        assert_eq!(names(&load("root.key").unwrap_err()), [(None, "pem")]);
    }
}
