//! The discovery document and the key set.

use crate::support::{body, get, ring, start, status};
use credence_sentry::{
    jwt::Algorithm,
    oidc::{AllowedHosts, Discovery, DiscoverySettings, PathPrefix, PublicUri},
};
use serde_json::{Value, json};
use std::net::SocketAddr;

const DOCUMENT: &str = "/.well-known/openid-configuration";

fn settings() -> DiscoverySettings {
    DiscoverySettings {
        issuer: None,
        jwks_uri: None,
        path_prefix: PathPrefix::parse("").unwrap(),
        allowed_hosts: AllowedHosts::default(),
        tls: false,
    }
}

fn hosts(hosts: &[&str]) -> AllowedHosts {
    AllowedHosts::new(hosts.iter().map(ToString::to_string).collect())
}

async fn served(settings: DiscoverySettings) -> SocketAddr {
    let (_dir, ring) = ring(Algorithm::ES256);
    start(Discovery::new(ring, settings), None).await
}

async fn document(address: SocketAddr, path: &str, headers: &str) -> Value {
    let answer = get(address, path, headers).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("content-type: application/json"));
    assert!(answer.contains("cache-control: public, max-age=3600"));
    serde_json::from_str(body(&answer)).unwrap()
}

#[tokio::test]
async fn the_document_is_sentry_s_and_its_addresses_the_request_s() {
    let address = served(settings()).await;
    let expected = json!({
        "issuer": "http://sentry.test:9080",
        "jwks_uri": "http://sentry.test:9080/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nbf", "use"],
    });
    let said = document(address, DOCUMENT, "host: sentry.test:9080\r\n").await;
    assert_eq!(said, expected);
    let query = format!("{DOCUMENT}?x=1");
    assert_eq!(
        document(address, &query, "host: sentry.test:9080\r\n").await,
        expected
    );
}

#[tokio::test]
async fn the_key_set_is_the_ring_s_of_the_moment() {
    let (_first, now) = ring(Algorithm::ES256);
    let (dir, next) = ring(Algorithm::ES384);
    let address = start(Discovery::new(now.clone(), settings()), None).await;
    let set = document(address, "/jwks.json", "host: a.test\r\n").await;
    assert_eq!(
        set,
        serde_json::from_str::<Value>(now.now().set.json()).unwrap()
    );
    let of_files = credence_sentry::settings::JwtSettings {
        key: dir.path().join("jwt.key"),
        jwks: dir.path().join("jwks.json"),
        issuer: None,
        algorithm: Algorithm::ES384,
        key_id: None,
        ttl: std::time::Duration::from_secs(1),
    };
    let exposed = credence_sentry::jwt::Exposed::Refused;
    now.replace(credence_sentry::jwt::load(&of_files, exposed).unwrap());
    let set = document(address, "/jwks.json", "host: a.test\r\n").await;
    assert_eq!(
        set,
        serde_json::from_str::<Value>(next.now().set.json()).unwrap()
    );
    let said = document(address, DOCUMENT, "host: a.test\r\n").await;
    assert_eq!(
        said["id_token_signing_alg_values_supported"],
        json!(["ES384"])
    );
}

#[tokio::test]
async fn issuer_and_key_set_are_as_they_are_configured() {
    let uri = |text| Some(PublicUri::parse(text).unwrap());
    let both = DiscoverySettings {
        issuer: uri("https://issuer.test/dapr"),
        jwks_uri: uri("https://keys.test/set"),
        ..settings()
    };
    // no host is needed then
    let said = document(served(both.clone()).await, DOCUMENT, "host: \r\n").await;
    assert_eq!(said["issuer"], "https://issuer.test/dapr");
    assert_eq!(said["jwks_uri"], "https://keys.test/set");
    let derived = DiscoverySettings {
        jwks_uri: None,
        path_prefix: PathPrefix::parse("/oidc/").unwrap(),
        ..both
    };
    let path = format!("/oidc{DOCUMENT}");
    let said = document(served(derived).await, &path, "host: a.test\r\n").await;
    assert_eq!(said["jwks_uri"], "https://issuer.test/oidc/jwks.json");
}

#[tokio::test]
async fn pages_are_below_the_prefix_and_nowhere_else() {
    let prefixed = DiscoverySettings {
        path_prefix: PathPrefix::parse("oidc/v1").unwrap(),
        ..settings()
    };
    let address = served(prefixed).await;
    let host = "host: a.test\r\n";
    let said = document(address, &format!("/oidc/v1{DOCUMENT}"), host).await;
    assert_eq!(said["issuer"], "http://a.test");
    assert_eq!(said["jwks_uri"], "http://a.test/oidc/v1/jwks.json");
    document(address, "/oidc/v1/jwks.json", host).await;
    for path in [
        DOCUMENT,
        "/jwks.json",
        "/",
        "/oidc/v1",
        "/oidc/v1/authorize",
        "/oidc/v1/jwks.json/",
    ] {
        assert_eq!(status(&get(address, path, host).await), 404, "{path}");
    }
}

#[tokio::test]
async fn only_allowed_hosts_are_answered_and_only_they_may_be_forwarded() {
    let listed = DiscoverySettings {
        allowed_hosts: hosts(&["public.test", "own.test"]),
        ..settings()
    };
    let address = served(listed).await;
    for (headers, expected) in [
        ("host: own.test:9080\r\n", Some("http://own.test:9080")),
        (
            "host: in.test\r\nx-forwarded-host: public.test\r\n",
            Some("http://public.test"),
        ),
        ("host: own.test\r\nx-forwarded-host: evil.test\r\n", None),
        ("host: evil.test\r\n", None),
        ("", None),
    ] {
        for path in [DOCUMENT, "/jwks.json"] {
            let answer = get(address, path, headers).await;
            assert_eq!(
                status(&answer),
                if expected.is_some() { 200 } else { 403 },
                "{headers}"
            );
        }
        if let Some(expected) = expected {
            assert_eq!(
                document(address, DOCUMENT, headers).await["issuer"],
                expected
            );
        }
    }
}

/// Anybody can send that header: it would put another issuer into caches on the way.
#[tokio::test]
async fn without_a_list_a_forwarded_host_is_not_believed() {
    for allowed_hosts in [hosts(&[]), hosts(&["*"])] {
        let open = DiscoverySettings {
            allowed_hosts,
            ..settings()
        };
        let address = served(open).await;
        let headers = "host: own.test\r\nx-forwarded-host: evil.test\r\n";
        assert_eq!(
            document(address, DOCUMENT, headers).await["issuer"],
            "http://own.test"
        );
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_a_bad_request() {
    let address = served(settings()).await;
    for headers in [
        "host: a b\r\n",
        "host: a/b\r\n",
        "host: \"\r\n",
        "host: \r\n",
        "",
        "host: a.test\r\nhost: b.test\r\n",
    ] {
        let answer = get(address, DOCUMENT, headers).await;
        assert_eq!(status(&answer), 400, "{headers}: {answer}");
    }
}
