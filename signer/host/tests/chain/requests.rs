//! An issuer below somebody else's CA.

use super::pki::{DOMAIN, P384, Pki, RSA, Spec, names, root, terms};
use credence_ca::{chain::Place, custody::Custody as _, key::KeyKind, validity::Time};
use credence_host::{
    authority::Authority,
    chain::{BadChain, IssuerRequest, OwnChain, import, issuer_csr},
    custody::{Custodian, Secret},
    key_file::FileKey,
    private_file,
    signer::{Settings, Signer},
};
use spiffe::SpiffeId;
use std::sync::{Arc, LazyLock};

static SIGNER: LazyLock<Arc<Signer>> =
    LazyLock::new(|| Arc::new(Signer::open(Settings::default()).unwrap()));

fn keep(pki: &Pki, request: &IssuerRequest) {
    pki.write("ours.csr", &request.csr);
    let key = request.key_pem.as_ref().unwrap();
    private_file::write_new(&pki.path("ours.key"), key.as_bytes()).unwrap();
}

/// As an offline root does it: nothing but copying what was asked for.
fn signed_by_openssl(pki: &Pki, signer: &str) {
    let (certificate, key) = (format!("{signer}.crt"), format!("{signer}.key"));
    pki.openssl(&[
        "x509",
        "-req",
        "-in",
        "ours.csr",
        "-copy_extensions",
        "copyall",
        "-CA",
        &certificate,
        "-CAkey",
        &key,
        "-CAcreateserial",
        "-days",
        "100",
        "-sha256",
        "-out",
        "ours.crt",
    ]);
}

fn take_back(pki: &Pki, custodian: &Custodian, chain: &[&str]) -> Result<OwnChain, BadChain> {
    pki.bundle("chain.pem", chain);
    let (chain, roots) = (pki.read("chain.pem"), pki.read("root.crt"));
    let key = pki.path("ours.key");
    import(
        custodian,
        &key,
        chain.as_bytes(),
        roots.as_bytes(),
        &terms(now(pki)),
    )
}

fn now(pki: &Pki) -> Time {
    pki.now()
}

#[test]
fn openssl_makes_a_working_issuer_of_it() {
    let passphrase = || Secret::from_line(b"sesame");
    for (kind, above, passphrase) in [
        (KeyKind::P256, P384, None),
        (KeyKind::Rsa(2048), RSA, None),
        (KeyKind::P384, RSA, passphrase()),
    ] {
        let pki = Pki::empty();
        pki.make(&Spec {
            key: above,
            ..root()
        });
        let custodian = Custodian::files(kind, passphrase);
        let request = issuer_csr(&custodian, &DOMAIN).unwrap();
        keep(&pki, &request);
        pki.openssl(&["req", "-in", "ours.csr", "-verify", "-noout"]);
        signed_by_openssl(&pki, "root");
        let own = take_back(&pki, &custodian, &["ours"]).unwrap();
        assert!(own.warnings.is_empty(), "{:?}", own.warnings);
        assert_eq!(own.issuer_key.public_key(), request.key.public_key());
        assert!(own.issuer.names(&DOMAIN));
        assert!(own.issuer.signs_crls());
        issues(&pki, own);
    }
}

/// A leaf by our own module and guard, which openssl verifies.
fn issues(pki: &Pki, own: OwnChain) {
    let at = now(pki);
    let [root] = <[_; 1]>::try_from(own.roots).unwrap();
    let authority = Authority::new(
        SIGNER.clone(),
        DOMAIN.clone(),
        root,
        own.issuer,
        own.issuer_key,
    );
    let (leaf_key, _) = FileKey::generate(KeyKind::P256, None).unwrap();
    let request = credence_ca::csr::OwnRequest::for_key(leaf_key.public_key());
    let csr = leaf_key.sign_own_request(&request).unwrap();
    let id = SpiffeId::new("spiffe://example.org/a").unwrap();
    let issued = authority
        .issue_svid(&id, &csr, super::pki::HOUR, at)
        .unwrap();
    let leaf = ::pem::encode(&::pem::Pem::new("CERTIFICATE", issued.chain[0].clone()));
    pki.write("issued.crt", leaf);
    let at = at.unix().to_string();
    pki.openssl(&[
        "verify",
        "-attime",
        &at,
        "-CAfile",
        "root.crt",
        "-untrusted",
        "ours.crt",
        "issued.crt",
    ]);
}

#[test]
fn what_comes_back_for_another_key_or_with_other_extensions_is_refused() {
    let pki = Pki::new();
    let custodian = Custodian::default();
    keep(&pki, &issuer_csr(&custodian, &DOMAIN).unwrap());
    signed_by_openssl(&pki, "root");
    take_back(&pki, &custodian, &["ours", "root"]).unwrap();
    let bad = take_back(&pki, &custodian, &["issuer", "mid"]).unwrap_err();
    assert_eq!(names(&bad), [(Some(Place::Issuer), "other-key")]);
    // a CA that copies nothing
    pki.openssl(&[
        "x509",
        "-req",
        "-in",
        "ours.csr",
        "-CA",
        "root.crt",
        "-CAkey",
        "root.key",
        "-CAcreateserial",
        "-out",
        "ours.crt",
    ]);
    let bad = take_back(&pki, &custodian, &["ours"]).unwrap_err();
    assert!(
        names(&bad)
            .iter()
            .all(|(place, _)| *place == Some(Place::Issuer)),
        "{bad}"
    );
    let key = pki.path("ours.key");
    let bad = import(&custodian, &key, b"", b"x", &terms(now(&pki))).unwrap_err();
    assert!(
        bad.to_string()
            .starts_with("the chain: it has no certificate"),
        "{bad}"
    );
}
