//! Sentry's validators, as attestors.

use crate::support::{Still, ring};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use credence_attest::{Attestor as _, Claimed, Evidence, HttpsUrl, Now, Token, jwt::JwtAttestor};
use credence_ca::validity::Time;
use credence_daemon::ports::Tokens as _;
use credence_sentry::{
    Environment, Flags, Parsed, Settings,
    admission::{AdmissionError, jwks, kubernetes},
    cluster::Cluster,
    configuration::Configuration,
    jwt::{Algorithm, Terms, TokenIssuer},
};
use spiffe::SpiffeId;
use std::{sync::Arc, time::Duration};

const SENTRY: &str = "spiffe://example.org/ns/default/dapr-sentry";
const APP: &str = "spiffe://example.org/ns/prod/app";

/// So many seconds after the tokens were issued.
fn after(seconds: u64) -> Now {
    Now {
        wall: Time::from_unix(1_800_000_000 + seconds),
        steady: Duration::ZERO,
    }
}

fn settings(source: &str) -> Settings {
    let words = ["--trust-domain".to_owned(), "example.org".to_owned()];
    let Ok(Parsed::Run(flags)) = Flags::parse(&words, &Environment::new()) else {
        panic!("flags");
    };
    let yaml = format!(
        "spec: {{mtls: {{tokenValidators: [{{name: jwks, options: {{source: '{source}'}}}}]}}}}"
    );
    let (configuration, odd) = Configuration::from_yaml(&yaml, &Environment::new()).unwrap();
    Settings::new(*flags, configuration, odd).unwrap()
}

fn attestor(source: &str) -> Result<JwtAttestor, AdmissionError> {
    let settings = settings(source);
    jwks(&settings, settings.admission.jwks().unwrap())
}

fn shown(token: &str) -> Evidence {
    Evidence {
        token: Some(Token::new(token.to_owned()).unwrap()),
        claimed: Some(Claimed {
            app_id: "app".into(),
            namespace: "prod".into(),
            trust_domain: "example.org".into(),
        }),
        ..Evidence::default()
    }
}

/// Tokens of another sentry, for this one: by a set in the configuration, plainly or in base64, and in a file.
#[tokio::test]
async fn a_token_for_sentry_of_the_workload_itself_is_taken() {
    let (dir, ring) = ring(Algorithm::ES256);
    let terms = Terms {
        issuer: None,
        ttl: Duration::from_secs(60),
        clock_skew: Duration::ZERO,
    };
    let issuer = TokenIssuer::new(Arc::clone(&ring), terms, Arc::new(Still));
    let tokens = issuer
        .issue(SpiffeId::new(APP).unwrap(), vec![SENTRY.into()])
        .await
        .unwrap();
    let set = ring.now().set.json().to_owned();
    let file = dir.path().join("jwks.json");
    for source in [
        set.clone(),
        BASE64_STANDARD.encode(&set),
        file.to_str().unwrap().to_owned(),
    ] {
        let attestor = attestor(&source).unwrap();
        let found = attestor
            .attest(&shown(&tokens.by_audience[SENTRY]), after(0))
            .await
            .unwrap();
        assert_eq!(found.identity.to_string(), APP);
        // for the trust domain, not for sentry
        let other = shown(&tokens.by_audience["example.org"]);
        assert!(attestor.attest(&other, after(0)).await.is_err());
        let own = shown(&tokens.by_audience[SENTRY]);
        assert!(
            attestor.attest(&own, after(359)).await.is_ok(),
            "five minutes of skew"
        );
        assert!(attestor.attest(&own, after(360)).await.is_err());
    }
}

#[test]
fn a_set_that_cannot_be_used_is_refused_at_once() {
    let refused = attestor(r#"{"keys":[]}"#).err().unwrap().to_string();
    assert!(
        refused.contains("the key set in source cannot be used"),
        "{refused}"
    );
    assert!(attestor("https://issuer.test/keys").is_ok());
}

#[tokio::test]
async fn without_an_api_server_nobody_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster {
        server: HttpsUrl::parse("https://127.0.0.1:1").unwrap(),
        ca_file: dir.path().join("ca.crt"),
        token_file: dir.path().join("token"),
    };
    let attestor = kubernetes(&settings("/keys"), &cluster).unwrap();
    assert!(attestor.settles_trust_domain());
    let refused = attestor.attest(&shown("t"), after(0)).await.unwrap_err();
    assert_eq!(refused.class(), credence_attest::Class::Unavailable);
}
