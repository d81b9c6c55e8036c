//! Keys in a PKCS#11 token: SoftHSM2 (`scripts/setup --for-test` brings it).
//!
//! SoftHSM finds its configuration by an environment variable, and a library is a process' own: each
//! test runs itself again, in a process with a token of its own.
#![cfg(feature = "pkcs11")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{custody::Custody as _, key::KeyKind, validity::Time};
use credence_host::{
    authority::Authority,
    custody::{
        Custodian, KeyError, Role, Secret, TokenSettings,
        pkcs11::{Pkcs11Error, Pkcs11Key, Token},
    },
    founding,
    signer::{Settings, Signer},
    state::{StateError, StateFolder},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass},
    session::{Session, UserType},
    types::AuthPin,
};
use spiffe::SpiffeId;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

const NOW: u64 = 1_800_000_000;
const PIN: &str = "246810";
/// Set in the process that has a token.
const INSIDE: &str = "CREDENCE_TEST_TOKEN";

/// Runs `body` in a process of its own, with a new token; `test` is the caller's name.
fn with_token(test: &str, body: fn(&Path)) {
    if let Some(folder) = env::var_os(INSIDE) {
        return body(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let config = dir.path().join("softhsm2.conf");
    fs::write(
        &config,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "credence"])
        .args(["--so-pin", "13579", "--pin", PIN])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .expect("softhsm2-util, which scripts/setup --for-test brings (Debian: softhsm2)");
    assert!(made.status.success(), "{made:?}");
    let again = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SOFTHSM2_CONF", &config)
        .env(INSIDE, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&again.stdout) + String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success(), "{text}");
    assert!(
        text.contains("1 passed"),
        "{test} is not a test's name: {text}"
    );
}

fn library() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|path| path.exists())
    .expect("SoftHSM2's library (Debian: softhsm2)")
}

fn settings() -> TokenSettings {
    TokenSettings {
        library: library(),
        token: "credence".into(),
        root_label: "credence root".into(),
        issuer_label: "credence issuer".into(),
    }
}

fn open(settings: TokenSettings, pin: &str) -> Result<Token, Pkcs11Error> {
    Token::open(settings, &Secret::from_line(pin.as_bytes()).unwrap())
}

fn token() -> Token {
    open(settings(), PIN).unwrap()
}

/// The token, seen by somebody else in this process.
fn other_user() -> (Pkcs11, Session) {
    let library = Pkcs11::new(library()).unwrap();
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(e) => panic!("{e}"),
    }
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    let session = library.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&AuthPin::from(PIN))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(e) => panic!("{e}"),
    }
    (library, session)
}

fn domain() -> SpiffeId {
    SpiffeId::new("spiffe://example.org").unwrap()
}

fn now() -> Time {
    Time::from_unix(NOW)
}

fn signs(key: &Pkcs11Key) {
    let request = credence_ca::csr::OwnRequest::for_key(key.public_key());
    let csr = key.sign_own_request(&request).unwrap();
    credence_host::possession::ProvenRequest::prove(&csr).unwrap();
}

#[test]
fn no_key_can_be_taken_out() {
    with_token("no_key_can_be_taken_out", |_| {
        let token = Arc::new(token());
        for kind in [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Ed25519,
            KeyKind::Rsa(2048),
        ] {
            signs(&Pkcs11Key::generate(&token, Role::Issuer, kind).unwrap());
        }
        let (_library, session) = other_user();
        let keys = session
            .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
            .unwrap();
        assert_eq!(keys.len(), 4);
        let wrapping = session
            .generate_key(
                &Mechanism::AesKeyGen,
                &[Attribute::ValueLen(32.into()), Attribute::Wrap(true)],
            )
            .unwrap();
        for key in keys {
            let asked = [
                AttributeType::Extractable,
                AttributeType::NeverExtractable,
                AttributeType::Sensitive,
                AttributeType::AlwaysSensitive,
                AttributeType::Value,
            ];
            let told = session.get_attributes(key, &asked).unwrap();
            for wanted in [
                Attribute::Extractable(false),
                Attribute::NeverExtractable(true),
                Attribute::Sensitive(true),
                Attribute::AlwaysSensitive(true),
            ] {
                assert!(told.contains(&wanted), "{wanted:?}");
            }
            assert!(
                !told.iter().any(|a| matches!(a, Attribute::Value(_))),
                "the private value was told"
            );
            let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, key);
            assert!(wrapped.is_err(), "the key was wrapped");
            let loosened = session.update_attributes(key, &[Attribute::Extractable(true)]);
            assert!(loosened.is_err(), "the key was made extractable");
        }
    });
}

#[test]
fn a_ca_in_a_token_signs_what_openssl_verifies() {
    with_token("a_ca_in_a_token_signs_what_openssl_verifies", |folder| {
        let signer = Arc::new(Signer::open(Settings::default()).unwrap());
        let state = StateFolder::open(&folder.join("state")).unwrap();
        let custodian = Custodian::token(KeyKind::P256, token());
        let founded = founding::found(&signer, &custodian, &domain(), now()).unwrap();
        state.store_ca(&founded).unwrap();
        assert!(!folder.join("state/ca/root.key").exists());
        assert!(!folder.join("state/ca/issuer.key").exists());
        let ca = state.load_ca(&custodian, &domain()).unwrap().unwrap();
        let (key, _) = credence_host::key_file::FileKey::generate(KeyKind::P256, None).unwrap();
        let csr = key
            .sign_own_request(&credence_ca::csr::OwnRequest::for_key(key.public_key()))
            .unwrap();
        let workload = SpiffeId::new("spiffe://example.org/workload").unwrap();
        let issued = Authority::new(signer, domain(), ca.root, ca.issuer, ca.issuer_key)
            .issue_svid(&workload, &csr, std::time::Duration::from_secs(3600), now())
            .unwrap();
        let pem = |name: &str, der: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, pem::encode(&pem::Pem::new("CERTIFICATE", der))).unwrap();
            path
        };
        let verified = Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-check_ss_sig",
                "-attime",
                &NOW.to_string(),
            ])
            .arg("-CAfile")
            .arg(pem("root.pem", &issued.bundle[0]))
            .arg("-untrusted")
            .arg(pem("issuer.pem", &issued.chain[1]))
            .arg(pem("leaf.pem", &issued.chain[0]))
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
    });
}

#[test]
fn a_lost_session_is_made_anew() {
    with_token("a_lost_session_is_made_anew", |_| {
        let token = Arc::new(token());
        let key = Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
        signs(&key);

        // somebody logs the process out
        let (library, session) = other_user();
        session.logout().unwrap();
        signs(&key);

        // the library is shut down and started again: every session is gone
        drop(session);
        library.finalize().unwrap();
        signs(&key);
        signs(&key);
        let found = Pkcs11Key::find(&token, Role::Root, key.public_key()).unwrap();
        signs(&found);
    });
}

#[test]
fn a_token_that_is_gone_is_an_error_and_signing_goes_on_once_it_is_back() {
    with_token(
        "a_token_that_is_gone_is_an_error_and_signing_goes_on_once_it_is_back",
        |folder| {
            let token = Arc::new(token());
            let key = Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
            let (tokens, away) = (folder.join("tokens"), folder.join("away"));
            fs::rename(&tokens, &away).unwrap();
            fs::create_dir(&tokens).unwrap();
            Pkcs11::new(library()).unwrap().finalize().unwrap();
            let request = credence_ca::csr::OwnRequest::for_key(key.public_key());
            let error = key.sign_own_request(&request).unwrap_err().to_string();
            assert!(error.contains("0 PKCS#11 tokens labelled"), "{error}");

            fs::remove_dir_all(&tokens).unwrap();
            fs::rename(&away, &tokens).unwrap();
            Pkcs11::new(library()).unwrap().finalize().unwrap();
            signs(&key);
        },
    );
}

#[test]
fn a_wrong_pin_is_tried_once() {
    with_token("a_wrong_pin_is_tried_once", |_| {
        let error = open(settings(), "000000").unwrap_err();
        assert!(matches!(error, Pkcs11Error::Pin(_)), "{error}");
        assert!(!format!("{error}{error:?}").contains("000000"));

        // a PIN that is changed while the key is in use locks nobody out
        let token = Arc::new(token());
        let key = Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
        assert!(!format!("{token:?}{key:?}").contains(PIN));
        let (_library, session) = other_user();
        session
            .set_pin(&AuthPin::from(PIN), &AuthPin::from("111111"))
            .unwrap();
        session.logout().unwrap();
        let request = credence_ca::csr::OwnRequest::for_key(key.public_key());
        for _ in 0..20 {
            let error = key.sign_own_request(&request).unwrap_err().to_string();
            assert!(error.contains("refuses the PIN"), "{error}");
        }
        let (slot, library) = {
            let info = session.get_session_info().unwrap();
            (info.slot_id(), &_library)
        };
        let flags = library.get_token_info(slot).unwrap();
        assert!(!flags.user_pin_locked() && !flags.user_pin_final_try());
    });
}

#[test]
fn a_key_that_could_leave_is_not_used() {
    with_token("a_key_that_could_leave_is_not_used", |_| {
        let token = Arc::new(token());
        let (_library, session) = other_user();
        let names = [
            Attribute::Token(true),
            Attribute::Label(b"credence root".to_vec()),
            Attribute::Id(vec![7]),
        ];
        let curve = vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let public = [&names[..], &[Attribute::EcParams(curve)]].concat();
        let loose = [
            &names[..],
            &[
                Attribute::Private(true),
                Attribute::Sensitive(false),
                Attribute::Extractable(true),
            ],
        ]
        .concat();
        let (public, _) = session
            .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &loose)
            .unwrap();
        let point = match &session
            .get_attributes(public, &[AttributeType::EcPoint])
            .unwrap()[..]
        {
            [Attribute::EcPoint(point)] => point[2..].to_vec(),
            other => panic!("{other:?}"),
        };
        let spki = credence_ca::der::sequence(&[
            credence_ca::oid::algorithm::P256_KEY,
            &credence_ca::der::bit_string(&point),
        ]);
        let public = credence_ca::key::PublicKey::from_spki(&spki).unwrap();
        assert!(matches!(
            Pkcs11Key::find(&token, Role::Root, &public),
            Err(Pkcs11Error::Extractable(_))
        ));
        assert!(matches!(
            Pkcs11Key::find(&token, Role::Issuer, &public),
            Err(Pkcs11Error::NoKey { .. })
        ));
    });
}

#[test]
fn what_is_not_there_is_named() {
    with_token("what_is_not_there_is_named", |folder| {
        let mut elsewhere = settings();
        elsewhere.token = "another".into();
        assert!(matches!(
            open(elsewhere, PIN),
            Err(Pkcs11Error::NoToken { found: 0, .. })
        ));
        let mut missing = settings();
        missing.library = folder.join("none.so");
        let error = open(missing, PIN).unwrap_err();
        assert!(error.to_string().contains("none.so"), "{error}");

        // certificates of a CA whose keys are elsewhere
        let signer = Signer::open(Settings::default()).unwrap();
        let state = StateFolder::open(&folder.join("state")).unwrap();
        let founded = founding::found(&signer, &Custodian::default(), &domain(), now()).unwrap();
        state.store_ca(&founded).unwrap();
        assert!(matches!(
            state.load_ca(&Custodian::token(KeyKind::P256, token()), &domain()),
            Err(StateError::Key(KeyError::Token(Pkcs11Error::NoKey { .. })))
        ));
    });
}
