//! Questions over https: to hosts that are configured, with bounds on time and length.
//!
//! No redirect is followed, no proxy is taken from the environment, nothing is asked in clear text.

use crate::{
    error::Unavailable,
    watched::{FileFault, Watched},
};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;

/// The longest file of CA certificates, in octets.
const LONGEST_CA_FILE: u64 = 1 << 20;
/// How long a connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(30);

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why something cannot be asked over https.
#[derive(Debug, Error)]
pub enum HttpsError {
    /// Not an https URL with a host and nothing odd.
    #[error(
        "'{0}' is not a URL of the form https://HOST[:PORT][/PATH], without a user, a password or a fragment"
    )]
    Url(String),
    /// Neither a file was named nor has the system any.
    #[error("this system has no CA certificates that https could rest on; name a file of them")]
    NoRoots,
    /// Not certificates.
    #[error("the CA certificates cannot be used: {0}")]
    Roots(String),
    /// The TLS library refuses.
    #[error("https cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The CA certificates by which a server is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system.
    System,
    /// Those in a file, which is read again when it changes.
    File(PathBuf),
    /// These, in PEM.
    Pem(String),
}

impl From<Option<PathBuf>> for Roots {
    /// A file's, or the system's.
    fn from(file: Option<PathBuf>) -> Self {
        file.map_or(Self::System, Self::File)
    }
}

/// An https URL, without a user or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl(Uri);

impl HttpsUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// If it is not https, has no host, or has a user, a password or a fragment.
    pub fn parse(text: &str) -> Result<Self, HttpsError> {
        let wrong = || HttpsError::Url(text.chars().take(200).collect());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let plain = uri
            .authority()
            .is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
        let https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        if https && plain && !text.contains('#') {
            Ok(Self(uri))
        } else {
            Err(wrong())
        }
    }

    /// Another path on the same server, below this URL's own.
    pub(crate) fn join(&self, path: &str) -> Option<Uri> {
        let base = self.0.path().trim_end_matches('/');
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(format!("{base}{path}").parse().ok()?);
        Uri::from_parts(parts).ok()
    }

    pub(crate) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks over https.
pub(crate) struct Https {
    trust: Trust,
    timeout: Duration,
    longest: usize,
}

enum Trust {
    Fixed(Http),
    File(Watched<Http>),
}

impl Https {
    /// An answer has to come within `timeout` and have at most `longest` octets.
    pub(crate) fn new(roots: Roots, timeout: Duration, longest: usize) -> Result<Self, HttpsError> {
        let trust = match roots {
            Roots::File(path) => Trust::File(Watched::new(path, LONGEST_CA_FILE, from_pem)),
            Roots::System => Trust::Fixed(client(system_roots()?).map_err(HttpsError::Tls)?),
            Roots::Pem(pem) => Trust::Fixed(from_pem(pem.as_bytes()).map_err(HttpsError::Roots)?),
        };
        Ok(Self {
            trust,
            timeout,
            longest,
        })
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Reply, Unavailable> {
        // what a URL's query holds may not be for logs
        let what = {
            let uri = request.uri();
            format!("https://{}{}", uri.host().unwrap_or_default(), uri.path())
        };
        let client = self.client().await?;
        let failed = |why: String| Unavailable::Remote {
            what: what.clone(),
            why,
        };
        match tokio::time::timeout(self.timeout, self.exchange(&client, request)).await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn client(&self) -> Result<Arc<Http>, Unavailable> {
        match &self.trust {
            Trust::Fixed(client) => Ok(Arc::new(client.clone())),
            Trust::File(file) => file
                .get()
                .await
                .map_err(|fault: FileFault| Unavailable::File(fault.to_string())),
        }
    }

    async fn exchange(
        &self,
        client: &Http,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, String> {
        let response = client.request(request).await.map_err(|e| causes(&e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), self.longest)
            .collect()
            .await;
        let body = body.map_err(|e| causes(e.as_ref()))?.to_bytes();
        Ok(Reply { status, body })
    }
}

/// An error and what caused it: the library's own word says little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn from_pem(pem: &[u8]) -> Result<Http, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| format!("is not PEM: {e}"))?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() {
        return Err("has no certificate in PEM".into());
    }
    client(roots).map_err(|e| e.to_string())
}

fn system_roots() -> Result<RootCertStore, HttpsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(HttpsError::NoRoots);
    }
    Ok(roots)
}

fn client(roots: RootCertStore) -> Result<Http, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_are_taken() {
        for good in [
            "https://issuer.example.org/keys?v=1",
            "https://127.0.0.1:6443",
            "https://[::1]:1/",
        ] {
            assert!(HttpsUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://issuer.example.org/keys",
            "issuer.example.org/keys",
            "/keys",
            "https://",
            "https://user:secret@issuer.example.org/",
            "https://user@issuer.example.org/",
            "https://issuer.example.org/#x",
            "file:///etc/passwd",
            "",
        ] {
            assert!(HttpsUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_joined_to_the_server_s() {
        for (base, expected) in [
            ("https://a.test", "https://a.test/api/v1"),
            ("https://a.test/", "https://a.test/api/v1"),
            ("https://a.test:1/k8s/?x", "https://a.test:1/k8s/api/v1"),
        ] {
            let joined = HttpsUrl::parse(base).unwrap().join("/api/v1").unwrap();
            assert_eq!(joined.to_string(), expected);
        }
    }
}
