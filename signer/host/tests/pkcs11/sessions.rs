//! Sessions: lost and made anew, and a PIN that is shown no more than once.

use crate::support::{PIN, library, open, other_user, settings, signs, token, with_token};
use credence_ca::{custody::Custody as _, key::KeyKind};
use credence_host::custody::{
    Role,
    pkcs11::{Pkcs11Error, Pkcs11Key, Token},
};
use cryptoki::{
    context::Pkcs11,
    object::{Attribute, KeyType, ObjectClass},
    session::{Session, UserType},
    types::AuthPin,
};
use std::{fs, sync::Arc};

/// Shuts the library down and starts it again: every session is gone.
fn restart_library() {
    Pkcs11::new(library()).unwrap().finalize().unwrap();
}

#[test]
fn a_lost_session_is_made_anew() {
    with_token("sessions::a_lost_session_is_made_anew", |_| {
        let token = Arc::new(token());
        for kind in [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Ed25519,
            KeyKind::Rsa(2048),
        ] {
            let key = Pkcs11Key::generate(&token, Role::Root, kind).unwrap();
            signs(&key);

            // somebody logs the process out
            let (_library, session) = other_user();
            session.logout().unwrap();
            signs(&key);
            drop(session);

            restart_library();
            signs(&key);
            signs(&key);
            let found = Pkcs11Key::find(&token, Role::Root, key.public_key()).unwrap();
            signs(&found);
        }
    });
}

/// Has a key sign after the library was restarted, and gave its first numbers to this many sessions, the
/// issuer's key, and some more sessions.
fn sign_with_old_numbers(
    token: &Arc<Token>,
    root: &Pkcs11Key,
    (class, kind): (ObjectClass, KeyType),
    before: usize,
) {
    restart_library();
    let key = Pkcs11Key::find(token, Role::Root, root.public_key()).unwrap();
    restart_library();
    let (library, session) = other_user();
    let slot = session.get_session_info().unwrap().slot_id();
    let open = |_| library.open_rw_session(slot).unwrap();
    let mut sessions: Vec<Session> = (0..before).map(open).collect();
    let issuer = [
        Attribute::Class(class),
        Attribute::KeyType(kind),
        Attribute::Label("credence issuer".into()),
    ];
    assert!(!session.find_objects(&issuer).unwrap().is_empty());
    sessions.extend((0..8).map(open));
    signs(&key);
}

/// After a restart of the library the numbers of sessions and objects are given out anew: what a key
/// remembers may be another key's by then, and is, for one of these. It signs nothing.
#[test]
fn a_number_that_is_anothers_by_now_signs_nothing() {
    with_token(
        "sessions::a_number_that_is_anothers_by_now_signs_nothing",
        |_| {
            let token = Arc::new(token());
            for (kind, name) in [
                (KeyKind::P256, KeyType::EC),
                (KeyKind::Rsa(2048), KeyType::RSA),
                (KeyKind::Ed25519, KeyType::EC_EDWARDS),
            ] {
                let root = Pkcs11Key::generate(&token, Role::Root, KeyKind::P256).unwrap();
                Pkcs11Key::generate(&token, Role::Issuer, kind).unwrap();
                for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                    for before in 0..8 {
                        sign_with_old_numbers(&token, &root, (class, name), before);
                    }
                }
            }
        },
    );
}

#[test]
fn a_token_that_is_gone_is_an_error_and_signing_goes_on_once_it_is_back() {
    with_token(
        "sessions::a_token_that_is_gone_is_an_error_and_signing_goes_on_once_it_is_back",
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
    with_token("sessions::a_wrong_pin_is_tried_once", |_| {
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
        for _ in 0..3 {
            let error = key.sign_own_request(&request).unwrap_err().to_string();
            assert!(error.contains("refuses the PIN"), "{error}");
        }
        // not even once it would be right again
        session
            .login(UserType::User, Some(&AuthPin::from("111111")))
            .unwrap();
        session
            .set_pin(&AuthPin::from("111111"), &AuthPin::from(PIN))
            .unwrap();
        let error = key.sign_own_request(&request).unwrap_err().to_string();
        assert!(error.contains("refuses the PIN"), "{error}");
        // a new process may try it
        let again = Arc::new(self::token());
        signs(&Pkcs11Key::find(&again, Role::Root, key.public_key()).unwrap());
    });
}
