//! An issuer of tokens: what a cluster's API server is.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Signs tokens with ES256.
pub struct Issuer {
    key: EcdsaKeyPair,
    kid: String,
}

impl Issuer {
    /// With a key of its own.
    #[must_use]
    pub fn new(kid: &str) -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
                .unwrap(),
            kid: kid.to_owned(),
        }
    }

    /// Its key set.
    #[must_use]
    pub fn jwks(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }]})
        .to_string()
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.kid});
        let text = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), text.as_bytes())
            .unwrap();
        format!("{text}.{}", BASE64.encode(signature.as_ref()))
    }

    /// A projected token of a service account.
    #[must_use]
    pub fn service_account(&self, namespace: &str, account: &str) -> String {
        let now = now();
        self.sign(&json!({
            "iss": "https://kubernetes.test", "aud": ["istio-ca"], "iat": now, "nbf": now, "exp": now + 3600,
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": "7b1f"},
                "pod": {"name": "pod", "uid": "9c2d"},
            },
        }))
    }

    /// A token whose subject is a SPIFFE ID, as Dapr's `jwks` validator takes it.
    #[must_use]
    pub fn subject(&self, id: &str, audience: &str) -> String {
        let now = now();
        self.sign(&json!({"iss": "https://kubernetes.test", "aud": [audience], "iat": now, "exp": now + 3600, "sub": id}))
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
