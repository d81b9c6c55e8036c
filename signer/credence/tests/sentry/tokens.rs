//! JWTs beside certificates.

use crate::process::{Setup, request};
use credence_ca_tests::{token::now, wire::DaprRequest};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;
use std::fs;
use tonic::Code;

/// What a verifier that has nothing but the key set makes of it.
fn verified(set: &str, algorithm: Algorithm, audience: &str, token: &str) -> Value {
    let set: JwkSet = serde_json::from_str(set).unwrap();
    let kid = decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[audience]);
    validation.validate_nbf = true;
    decode::<Value>(token, &key, &validation).unwrap().claims
}

fn asked() -> DaprRequest {
    DaprRequest {
        jwt_audiences: vec!["https://vault.test".into(), "b".into()],
        ..request("orders", 0)
    }
}

#[tokio::test]
async fn they_verify_by_the_key_set_and_say_who_and_for_whom() {
    for (flag, algorithm) in [
        ("RS256", Algorithm::RS256),
        ("ES256", Algorithm::ES256),
        ("EdDSA", Algorithm::EdDSA),
    ] {
        let setup = Setup::new(&[
            "-jwt-enabled",
            "-jwt-ttl=2h",
            "-jwt-issuer=https://issuer.test",
            &format!("-jwt-signing-algorithm={flag}"),
        ]);
        let sentry = setup.start();
        let answer = sentry.ask(asked()).await.unwrap();
        let set = fs::read_to_string(setup.certs().join("jwks.json")).unwrap();
        let token = answer.jwt.unwrap().value;
        let claims = verified(&set, algorithm, "public", &token);
        assert_eq!(claims["sub"], "spiffe://public/ns/shop/orders");
        assert_eq!(claims["iss"], "https://issuer.test");
        assert_eq!(claims["use"], "sig");
        let at = |name: &str| claims[name].as_u64().unwrap();
        assert_eq!(at("exp") - at("iat"), 2 * 3600);
        assert_eq!(at("iat") - at("nbf"), 15 * 60);
        assert!(now() - at("iat") < 60);
        let mut audiences: Vec<_> = answer
            .per_audience_jwts
            .keys()
            .map(String::as_str)
            .collect();
        audiences.sort_unstable();
        assert_eq!(audiences, ["b", "https://vault.test", "public"]);
        for (audience, token) in &answer.per_audience_jwts {
            let claims = verified(&set, algorithm, audience, &token.value);
            assert_eq!(claims["aud"], serde_json::json!([audience]));
        }
        // the same keys after a restart
        sentry.stop();
        let sentry = setup.start();
        let answer = sentry.ask(asked()).await.unwrap();
        verified(&set, algorithm, "b", &answer.jwt.unwrap().value);
    }
}

#[tokio::test]
async fn without_the_flag_there_are_none_and_too_many_audiences_are_refused_with_it() {
    let sentry = Setup::new(&[]).start();
    let answer = sentry.ask(asked()).await.unwrap();
    assert!(answer.jwt.is_none() && answer.per_audience_jwts.is_empty());
    let sentry = Setup::new(&["-jwt-enabled"]).start();
    let many = DaprRequest {
        jwt_audiences: vec!["a".into(); 17],
        ..asked()
    };
    assert_eq!(
        sentry.ask(many).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[test]
fn half_a_pair_of_keys_is_refused() {
    let setup = Setup::new(&["-jwt-enabled"]);
    setup.start().stop();
    fs::remove_file(setup.certs().join("jwks.json")).unwrap();
    let (code, log) = setup.refused();
    assert!(code == 4 && log.contains("jwks.json is missing"), "{log}");
}
