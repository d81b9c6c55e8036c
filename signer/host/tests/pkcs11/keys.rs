//! Keys: made in the token, never out of it, and found again.

use crate::support::{
    NOW, PIN, domain, make_token, now, open, other_user, settings, signs, token, with_token,
};
use credence_ca::{custody::Custody as _, key::KeyKind};
use credence_host::{
    authority::Authority,
    custody::{
        Custodian, KeyError, Role,
        pkcs11::{Pkcs11Error, Pkcs11Key},
    },
    founding,
    signer::{Settings, Signer},
    state::{StateError, StateFolder},
};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use spiffe::SpiffeId;
use std::{fs, process::Command, sync::Arc};

#[test]
fn no_key_can_be_taken_out() {
    with_token("keys::no_key_can_be_taken_out", |_| {
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
                AttributeType::Sign,
                AttributeType::Decrypt,
                AttributeType::Unwrap,
                AttributeType::Derive,
                AttributeType::Value,
            ];
            let told = session.get_attributes(key, &asked).unwrap();
            for wanted in [
                Attribute::Extractable(false),
                Attribute::NeverExtractable(true),
                Attribute::Sensitive(true),
                Attribute::AlwaysSensitive(true),
                // it signs, and opens nothing
                Attribute::Sign(true),
                Attribute::Decrypt(false),
                Attribute::Unwrap(false),
                Attribute::Derive(false),
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
    with_token(
        "keys::a_ca_in_a_token_signs_what_openssl_verifies",
        |folder| {
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
        },
    );
}

#[test]
fn a_key_that_could_leave_is_not_used() {
    with_token("keys::a_key_that_could_leave_is_not_used", |_| {
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
    with_token("keys::what_is_not_there_is_named", |folder| {
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

/// The objects of this class, in the order in which the token tells them.
fn objects(session: &Session, class: ObjectClass) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(class)]).unwrap()
}

#[test]
fn a_label_need_not_be_unique() {
    with_token("keys::a_label_need_not_be_unique", |_| {
        let token = Arc::new(token());
        let others = [
            KeyKind::P384,
            KeyKind::Rsa(2048),
            KeyKind::Rsa(2048),
            KeyKind::Ed25519,
        ];
        // more than a library is asked for at once
        let kinds = [KeyKind::P256; 12].into_iter().chain(others);
        let made = kinds.map(|kind| Pkcs11Key::generate(&token, Role::Root, kind).unwrap());
        for key in made.collect::<Vec<_>>() {
            let found = Pkcs11Key::find(&token, Role::Root, key.public_key()).unwrap();
            assert_eq!(found.public_key(), key.public_key());
            signs(&found);
        }
    });
}

#[test]
fn labels_are_as_configured() {
    with_token("keys::labels_are_as_configured", |_| {
        let mut settings = settings();
        settings.root_label = "a".into();
        settings.issuer_label = "b".into();
        let token = Arc::new(open(settings, PIN).unwrap());
        for role in [Role::Root, Role::Issuer] {
            Pkcs11Key::generate(&token, role, KeyKind::P256).unwrap();
        }
        let (_library, session) = other_user();
        for label in ["a", "b"] {
            let label = Attribute::Label(label.into());
            assert_eq!(session.find_objects(&[label]).unwrap().len(), 2);
        }
    });
}

/// Which of two private keys belongs to a public one, only their CKA_ID says.
#[test]
fn keys_that_cannot_be_told_apart_are_not_used() {
    with_token("keys::keys_that_cannot_be_told_apart_are_not_used", |_| {
        let token = Arc::new(token());
        let make = || Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
        let (one, _other) = (make(), make());
        let (_library, session) = other_user();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            for object in objects(&session, class) {
                let same = [Attribute::Id(vec![7])];
                session.update_attributes(object, &same).unwrap();
            }
        }
        assert!(matches!(
            Pkcs11Key::find(&token, Role::Root, one.public_key()),
            Err(Pkcs11Error::NoKey { .. })
        ));
    });
}

#[test]
fn a_key_without_its_public_key_object_is_not_found() {
    with_token(
        "keys::a_key_without_its_public_key_object_is_not_found",
        |_| {
            let token = Arc::new(token());
            let key = Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
            let (_library, session) = other_user();
            for object in objects(&session, ObjectClass::PUBLIC_KEY) {
                session.destroy_object(object).unwrap();
            }
            let error = Pkcs11Key::find(&token, Role::Root, key.public_key()).unwrap_err();
            assert!(matches!(error, Pkcs11Error::NoKey { .. }), "{error}");
            assert!(error.to_string().contains("credence root"), "{error}");
        },
    );
}

#[test]
fn two_tokens_of_the_same_label_are_one_too_many() {
    with_token(
        "keys::two_tokens_of_the_same_label_are_one_too_many",
        |_| {
            token();
            make_token();
            let error = open(settings(), PIN).unwrap_err();
            assert!(
                matches!(error, Pkcs11Error::NoToken { found: 2, .. }),
                "{error}"
            );
            assert!(error.to_string().contains("\"credence\""), "{error}");
        },
    );
}
