//! Tokens with real signatures; the attacks are beside this.

use crate::{
    NOW, after, bearer, domain, now, refusal,
    tokens::{ED, all_keys, token},
};
use credence_attest::{
    AttestError, Attestor as _, Evidence, ProofKind, Refusal,
    identity::template::{Template, TemplateError},
    jwt::{Algorithm, JwtAttestor, JwtSettings, JwtSettingsError, Keys, Naming},
};
use credence_ca::validity::Time;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

pub(crate) fn settings() -> JwtSettings {
    JwtSettings {
        name: "issuer".into(),
        issuer: Some("https://issuer.test".into()),
        audiences: vec!["credence".into()],
        algorithms: Algorithm::ALL.to_vec(),
        skew: Duration::from_secs(60),
        longest_life: None,
        naming: Naming::Subject,
    }
}

pub(crate) fn claims(more: &str) -> String {
    format!(
        r#"{{"iss":"https://issuer.test","aud":"credence","exp":{},"sub":"spiffe://example.org/web"{more}}}"#,
        NOW + 600
    )
}

pub(crate) fn attestor(settings: JwtSettings) -> JwtAttestor {
    JwtAttestor::new(settings, Keys::fixed(all_keys().as_bytes()).unwrap()).unwrap()
}

fn by_template(text: &str) -> JwtAttestor {
    attestor(JwtSettings {
        naming: Naming::Template(Template::parse(text, &domain()).unwrap()),
        ..settings()
    })
}

#[tokio::test]
async fn every_algorithm_verifies_and_what_was_proved_is_recorded() {
    let attestor = attestor(settings());
    for algorithm in Algorithm::ALL {
        let token = token(algorithm.as_str(), &claims(r#","jti":"42""#));
        let found = attestor.attest(&bearer(token), now()).await.unwrap();
        assert_eq!(found.identity.to_string(), "spiffe://example.org/web");
        assert_eq!((found.on_behalf, found.renewal), (None, None));
        let proof = found.proof;
        assert_eq!(
            (proof.attestor.as_str(), proof.kind),
            ("issuer", ProofKind::Jwt)
        );
        assert_eq!(proof.issuer.as_deref(), Some("https://issuer.test"));
        assert_eq!(proof.subject.as_deref(), Some("spiffe://example.org/web"));
        assert_eq!(proof.audiences, ["credence"]);
        assert_eq!(proof.expires, Some(Time::from_unix(NOW + 600)));
        assert_eq!(proof.fingerprint, Some(Sha256::digest("42").into()));
    }
}

#[tokio::test]
async fn time_is_what_it_is_told() {
    let attestor = attestor(settings());
    let evidence = bearer(token("ES256", &claims(&format!(r#","nbf":{NOW}"#))));
    assert!(attestor.attest(&evidence, after(659)).await.is_ok());
    assert_eq!(
        refusal(&attestor, &evidence, after(660)).await,
        Refusal::Expired
    );
    let early = bearer(token("ES256", &claims(&format!(r#","nbf":{}"#, NOW + 61))));
    assert_eq!(refusal(&attestor, &early, now()).await, Refusal::NotYet);
    assert!(attestor.attest(&early, after(1)).await.is_ok());
    for huge in ["1e300", "18446744073709551616", "-1", "1e-400"] {
        let text = claims("").replace(&(NOW + 600).to_string(), huge);
        let why = refusal(&attestor, &bearer(token("ES256", &text)), now()).await;
        let known = matches!(
            why,
            Refusal::Claim(_) | Refusal::Expired | Refusal::JwtForm(_)
        );
        assert!(known, "{huge}: {why}");
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let attestor = attestor(settings());
    let other = claims("").replace(r#""aud":"credence""#, r#""aud":["vault","kubernetes"]"#);
    let other = bearer(token("ES256", &other));
    assert_eq!(refusal(&attestor, &other, now()).await, Refusal::Audience);
    let both = claims("").replace(r#""aud":"credence""#, r#""aud":["vault","credence"]"#);
    assert!(
        attestor
            .attest(&bearer(token("ES256", &both)), now())
            .await
            .is_ok()
    );
}

/// Each issuer's tokens are for the attestor that knows the issuer: another has nothing to say to them.
#[tokio::test]
async fn another_issuer_s_token_is_left_to_another_attestor() {
    let attestor = attestor(settings());
    let other = claims("").replace("issuer.test", "other.test");
    for evidence in [
        bearer(token("ES256", &other)),
        bearer("not-a-jwt"),
        bearer("a.b.c.d"),
        Evidence::default(),
    ] {
        let found = attestor.attest(&evidence, now()).await;
        assert_eq!(found, Err(AttestError::NoEvidence));
    }
    let garbage = refusal(&attestor, &bearer("a.b.c"), now()).await;
    assert!(matches!(garbage, Refusal::JwtForm(_)));
}

#[tokio::test]
async fn a_subject_has_to_be_a_workload_s_id() {
    let attestor = attestor(settings());
    for subject in [
        "spiffe://example.org",
        "spiffe://Example.org/web",
        "spiffe://example.org/../web",
        "web",
        "",
    ] {
        let text = claims("").replace("spiffe://example.org/web", subject);
        let why = refusal(&attestor, &bearer(token("ES256", &text)), now()).await;
        assert!(matches!(why, Refusal::Identity(_)), "{subject}");
    }
}

const KUBERNETES: &str = r#""sub":"system:serviceaccount:prod:web","kubernetes.io":{"namespace":"prod","serviceaccount":{"name":"web","uid":"1"},"pod":{"name":"web-0","uid":"2"}}"#;

#[tokio::test]
async fn a_projected_kubernetes_token_is_a_service_account_offline() {
    let istio = attestor(JwtSettings {
        naming: Naming::Template(Template::istio(domain())),
        ..settings()
    });
    let good = claims("").replace(r#""sub":"spiffe://example.org/web""#, KUBERNETES);
    let found = istio
        .attest(&bearer(token("RS256", &good)), now())
        .await
        .unwrap();
    assert_eq!(
        found.identity.to_string(),
        "spiffe://example.org/ns/prod/sa/web"
    );
    assert_eq!(
        found.proof.subject.as_deref(),
        Some("system:serviceaccount:prod:web")
    );
    let pod = by_template("spiffe://{trust_domain}/{kubernetes.namespace}/{kubernetes.pod}");
    let found = pod
        .attest(&bearer(token("RS256", &good)), now())
        .await
        .unwrap();
    assert_eq!(found.identity.path(), "/prod/web-0");
    let disagreeing = good.replace(r#""namespace":"prod""#, r#""namespace":"kube-system""#);
    let why = refusal(&istio, &bearer(token("RS256", &disagreeing)), now()).await;
    assert!(matches!(why, Refusal::ServiceAccount(_)));
    let plain = bearer(token("RS256", &claims("")));
    let missing = Refusal::Claim("kubernetes.namespace".into());
    assert_eq!(refusal(&istio, &plain, now()).await, missing);
}

#[tokio::test]
async fn a_claim_is_one_segment_whatever_it_says() {
    let attestor = by_template("spiffe://{trust_domain}/team/{claims.org.team}");
    let of = |team: &str| {
        let more = format!(r#","org":{{"team":{team}}}"#);
        bearer(token("ES256", &claims(&more)))
    };
    let found = attestor.attest(&of(r#""red""#), now()).await.unwrap();
    assert_eq!(found.identity.path(), "/team/red");
    for odd in [
        r#""""#,
        r#""..""#,
        r#""a/../../admin""#,
        r#""a%2fb""#,
        r#""r\u0000""#,
        r#""\u00e9""#,
    ] {
        let why = refusal(&attestor, &of(odd), now()).await;
        assert!(matches!(why, Refusal::Segment { .. }), "{odd}");
    }
    for no_text in ["1", "null", "true", r#"["red"]"#, r#"{"a":"red"}"#] {
        let why = refusal(&attestor, &of(no_text), now()).await;
        assert_eq!(why, Refusal::Claim("claims.org.team".into()), "{no_text}");
    }
}

#[test]
fn settings_that_let_everybody_in_are_refused() {
    let keys = || Keys::fixed(all_keys().as_bytes()).unwrap();
    let error = |settings| JwtAttestor::new(settings, keys()).err().unwrap();
    let name = || "issuer".to_owned();
    for audiences in [vec![], vec![String::new()]] {
        let none = error(JwtSettings {
            audiences,
            ..settings()
        });
        assert_eq!(none, JwtSettingsError::NoAudience(name()));
    }
    let no_algorithm = error(JwtSettings {
        algorithms: vec![],
        ..settings()
    });
    assert_eq!(no_algorithm, JwtSettingsError::NoAlgorithm(name()));
    let skew = Duration::from_secs(901);
    assert_eq!(
        error(JwtSettings { skew, ..settings() }),
        JwtSettingsError::Skew(name())
    );
    let naming = Naming::Template(Template::dapr());
    let template = error(JwtSettings {
        naming,
        ..settings()
    });
    assert!(matches!(
        template,
        JwtSettingsError::Template(_, TemplateError::NotHere(_))
    ));
}

/// A second opinion: another's tokens are taken here, and what is taken here another takes.
#[tokio::test]
async fn agrees_with_another_implementation() {
    use jsonwebtoken as other;
    let attestor = attestor(settings());
    let keys: other::jwk::JwkSet = serde_json::from_str(&all_keys()).unwrap();
    for algorithm in Algorithm::ALL {
        let token = token(algorithm.as_str(), &claims(""));
        let theirs = algorithm.as_str().parse().unwrap();
        let key = keys.find(algorithm.as_str()).unwrap();
        let mut rules = other::Validation::new(theirs);
        rules.set_audience(&["credence"]);
        rules.set_issuer(&["https://issuer.test"]);
        rules.validate_exp = false;
        let key = other::DecodingKey::from_jwk(key).unwrap();
        other::decode::<serde_json::Value>(&token, &key, &rules).unwrap();
        assert!(
            attestor.attest(&bearer(token), now()).await.is_ok(),
            "{algorithm}"
        );
    }
    let header = other::Header {
        kid: Some("EdDSA".into()),
        ..other::Header::new(other::Algorithm::EdDSA)
    };
    let own: serde_json::Value = serde_json::from_str(&claims("")).unwrap();
    let pkcs8 = ED.to_pkcs8v1().unwrap();
    let key = other::EncodingKey::from_ed_der(pkcs8.as_ref());
    let token = other::encode(&header, &own, &key).unwrap();
    assert!(attestor.attest(&bearer(token), now()).await.is_ok());
}
