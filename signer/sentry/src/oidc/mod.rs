//! The OIDC server of Dapr's sentry: where verifiers find the keys of JWTs (OpenID Connect Discovery 1.0 §4).
//!
//! It answers for the discovery document and the key set, and for nothing else of OIDC.

mod host;
mod tls;

pub use crate::uri::{PathPrefix, PublicUri, UriError};
pub use host::AllowedHosts;
pub use tls::{Certificate, CertificateError, follow, reload};

use crate::jwt::KeyRing;
use credence_daemon::http::{Asked, Page, Pages};
use http::StatusCode;
use serde::Serialize;
use std::sync::Arc;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEY_SET: &str = "/jwks.json";

/// What the server is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// The issuer of tokens; where there is none, it is derived from the request.
    pub issuer: Option<PublicUri>,
    /// The key set's URI; where there is none, it is derived from the issuer.
    pub jwks_uri: Option<PublicUri>,
    /// What paths begin with.
    pub path_prefix: PathPrefix,
    /// For which hosts it answers.
    pub allowed_hosts: AllowedHosts,
    /// Whether it is served over TLS: derived URIs are https ones then.
    pub tls: bool,
}

/// The pages.
pub struct Discovery {
    keys: Arc<KeyRing>,
    settings: DiscoverySettings,
    document: String,
    key_set: String,
}

/// The members that verifiers need, and those that have to be there.
#[derive(Serialize)]
struct Document<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'a str; 1],
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
    scopes_supported: [&'a str; 1],
    claims_supported: [&'a str; 7],
}

impl Discovery {
    /// Pages about these keys.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>, settings: DiscoverySettings) -> Self {
        Self {
            document: format!("{}{DISCOVERY}", settings.path_prefix),
            key_set: format!("{}{KEY_SET}", settings.path_prefix),
            keys,
            settings,
        }
    }

    fn discovery(&self, asked: Asked<'_>) -> Page {
        let Some((issuer, jwks_uri)) = self.addresses(asked) else {
            let why = "a host header that names a host is needed\n";
            return Page::text(StatusCode::BAD_REQUEST, why.into());
        };
        let keys = self.keys.now();
        let document = Document {
            issuer: &issuer,
            jwks_uri: &jwks_uri,
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [keys.key.algorithm().name()],
            scopes_supported: ["openid"],
            claims_supported: ["sub", "iss", "aud", "exp", "iat", "nbf", "use"],
        };
        match serde_json::to_string(&document) {
            Ok(json) => Page::json(json).kept_for_an_hour(),
            Err(error) => {
                tracing::error!(%error, "the discovery document cannot be written");
                let why = "it cannot be written\n";
                Page::text(StatusCode::INTERNAL_SERVER_ERROR, why.into())
            }
        }
    }

    /// The issuer, and the key set's URI: on the issuer's host, where it is not configured. None if they have to be derived, and cannot.
    fn addresses(&self, asked: Asked<'_>) -> Option<(String, String)> {
        let DiscoverySettings {
            issuer, jwks_uri, ..
        } = &self.settings;
        let (issuer, origin) = match issuer {
            Some(issuer) => (issuer.as_str().to_owned(), issuer.origin().to_owned()),
            None => {
                let origin = self.origin(asked)?;
                (origin.clone(), origin)
            }
        };
        let jwks_uri = jwks_uri.as_ref().map_or_else(
            || format!("{origin}{}", self.key_set),
            |uri| uri.as_str().to_owned(),
        );
        Some((issuer, jwks_uri))
    }

    /// Scheme and host under which the caller came.
    fn origin(&self, asked: Asked<'_>) -> Option<String> {
        let host = self.settings.allowed_hosts.meant(asked)?;
        let scheme = if self.settings.tls { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }
}

impl Pages for Discovery {
    fn page(&self, asked: Asked<'_>) -> Option<Page> {
        let is_document = asked.path == self.document;
        if !is_document && asked.path != self.key_set {
            return None;
        }
        if !self.settings.allowed_hosts.allow(asked) {
            tracing::debug!(host = ?asked.host, forwarded = ?asked.forwarded_host, "OIDC is not served for this host");
            let why = "it is not served for this host\n";
            return Some(Page::text(StatusCode::FORBIDDEN, why.into()));
        }
        Some(if is_document {
            self.discovery(asked)
        } else {
            Page::json(self.keys.now().set.json().to_owned()).kept_for_an_hour()
        })
    }
}
