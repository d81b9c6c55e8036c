//! The attacks that are known on those who take tokens.

use crate::{
    bearer,
    jwt::{attestor, claims, settings},
    now, refusal,
    tokens::{P256, RSA, encode, jwk, jwks, sign, token},
};
use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    signature::KeyPair as _,
};
use credence_attest::{
    Attestor as _, Refusal,
    jwt::{Algorithm, JwtAttestor, JwtSettings, Keys},
};

#[tokio::test]
async fn a_changed_token_does_not_verify() {
    let attestor = attestor(settings());
    for algorithm in Algorithm::ALL {
        let good = token(algorithm.as_str(), &claims(""));
        let parts: Vec<_> = good.split('.').collect();
        let other = encode(claims("").replace("/web", "/adm"));
        let changed = format!("{}.{other}.{}", parts[0], parts[2]);
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        let zeros = format!("{}.{}.{}", parts[0], parts[1], encode([0; 64]));
        for bad in [changed, unsigned, zeros] {
            let why = refusal(&attestor, &bearer(bad), now()).await;
            assert_eq!(why, Refusal::Signature, "{algorithm}");
        }
    }
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let attestor = attestor(settings());
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        for signature in ["", "AAAA"] {
            let bad = format!("{}.{}.{signature}", encode(&header), encode(claims("")));
            assert_eq!(
                refusal(&attestor, &bearer(bad), now()).await,
                Refusal::Algorithm
            );
        }
    }
}

/// The public key taken as a shared secret: the oldest confusion of all.
#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let attestor = attestor(settings());
    let spki: PublicKeyX509Der<'_> = RSA.public_key().as_der().unwrap();
    let pem = pem_of(spki.as_ref());
    let secrets: [&[u8]; 5] = [
        spki.as_ref(),
        pem.as_bytes(),
        RSA.public_key().as_ref(),
        P256.public_key().as_ref(),
        b"",
    ];
    for secret in secrets {
        for id in ["RS256", "ES256", "x"] {
            let header = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
            let signed = format!("{}.{}", encode(header), encode(claims("")));
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = hmac::sign(&key, signed.as_bytes());
            let bad = format!("{signed}.{}", encode(tag));
            assert_eq!(
                refusal(&attestor, &bearer(bad), now()).await,
                Refusal::Algorithm
            );
        }
    }
}

fn pem_of(spki: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let body = STANDARD.encode(spki);
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

#[tokio::test]
async fn a_key_verifies_only_what_it_is_for() {
    let attestor = attestor(settings());
    for (header, key) in [
        ("RS256", "ES256"),
        ("ES256", "EdDSA"),
        ("EdDSA", "RS256"),
        ("ES384", "ES256"),
    ] {
        let header = format!(r#"{{"alg":"{header}","kid":"{key}"}}"#);
        let bad = sign(key, &header, &claims(""));
        assert_eq!(
            refusal(&attestor, &bearer(bad), now()).await,
            Refusal::UnknownKey
        );
    }
    // of the same kind, but another algorithm than the token says
    for (says, is) in [("PS256", "RS256"), ("RS512", "RS256")] {
        let header = format!(r#"{{"alg":"{says}","kid":"{says}"}}"#);
        let bad = sign(is, &header, &claims(""));
        assert_eq!(
            refusal(&attestor, &bearer(bad), now()).await,
            Refusal::Signature
        );
    }
    // a key that names its algorithm is for that alone
    let pinned = jwks(&[jwk("RS256", r#","kid":"RS512","alg":"RS256""#)]);
    let pinned = JwtAttestor::new(settings(), Keys::fixed(pinned.as_bytes()).unwrap()).unwrap();
    let bad = bearer(token("RS512", &claims("")));
    assert_eq!(refusal(&pinned, &bad, now()).await, Refusal::UnknownKey);
}

#[tokio::test]
async fn only_listed_algorithms_are_accepted() {
    let attestor = attestor(JwtSettings {
        algorithms: vec![Algorithm::Es256],
        ..settings()
    });
    let good = bearer(token("ES256", &claims("")));
    assert!(attestor.attest(&good, now()).await.is_ok());
    let other = bearer(token("RS256", &claims("")));
    assert_eq!(refusal(&attestor, &other, now()).await, Refusal::Algorithm);
}

/// Keys and places of keys in a header are the sender's word.
#[tokio::test]
async fn a_token_does_not_bring_its_own_key() {
    let keys = jwks(&[jwk("RS256", r#","kid":"a""#)]);
    let attestor = JwtAttestor::new(settings(), Keys::fixed(keys.as_bytes()).unwrap()).unwrap();
    let own = jwk("EdDSA", r#","kid":"a""#);
    for header in [
        format!(r#"{{"alg":"EdDSA","jwk":{own}}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"a","jwk":{own}}}"#),
        r#"{"alg":"EdDSA","kid":"a","jku":"https://evil.test/jwks"}"#.into(),
        r#"{"alg":"EdDSA","kid":"a","x5u":"https://evil.test/cert","x5c":["AA"]}"#.into(),
    ] {
        let bad = bearer(sign("EdDSA", &header, &claims("")));
        assert_eq!(
            refusal(&attestor, &bad, now()).await,
            Refusal::UnknownKey,
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_key_id_is_a_name_and_no_more() {
    let attestor = attestor(settings());
    for id in [
        "../../etc/passwd",
        "' or 1=1 --",
        "RS256\\u0000",
        "https://evil.test/",
        "",
        "rs256",
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"{id}"}}"#);
        let bad = bearer(sign("RS256", &header, &claims("")));
        assert_eq!(
            refusal(&attestor, &bad, now()).await,
            Refusal::UnknownKey,
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_token_without_a_key_id_may_be_of_any_key_that_fits() {
    let attestor = attestor(settings());
    for algorithm in Algorithm::ALL {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let good = bearer(sign(algorithm.as_str(), &header, &claims("")));
        assert!(attestor.attest(&good, now()).await.is_ok(), "{algorithm}");
    }
}

#[tokio::test]
async fn a_header_that_has_to_be_understood_is_refused() {
    let attestor = attestor(settings());
    for (more, name) in [
        (r#","crit":["exp"],"exp":1"#, "crit"),
        (r#","crit":["b64"],"b64":false"#, "crit"),
        (r#","typ":"at+jwt""#, "typ"),
        (r#","cty":"JWT""#, "cty"),
        (r#","zip":"DEF""#, "zip"),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"ES256"{more}}}"#);
        let bad = bearer(sign("ES256", &header, &claims("")));
        assert_eq!(refusal(&attestor, &bad, now()).await, Refusal::Header(name));
    }
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused_though_it_is_signed() {
    let attestor = attestor(settings());
    for twice in [
        r#","sub":"spiffe://example.org/admin""#,
        r#","exp":9999999999"#,
        r#","\u0061ud":"credence""#,
    ] {
        let bad = bearer(token("ES256", &claims(twice)));
        let why = refusal(&attestor, &bad, now()).await;
        assert!(matches!(why, Refusal::JwtForm(_)), "{twice}: {why}");
    }
}
