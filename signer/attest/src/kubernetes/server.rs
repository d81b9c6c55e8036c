//! An API server, asked in this process's own name.

use crate::{
    error::Unavailable,
    https::{Https, HttpsError, HttpsUrl, Reply, Roots},
    identity::is_segment,
    secret::{LONGEST_TOKEN, Token},
    watched::Watched,
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header, request::Builder};
use http_body_util::Full;
use std::{path::PathBuf, time::Duration};

/// The longest answer, in octets: etcd keeps no larger object by default.
const LONGEST_ANSWER: usize = 3 << 19;

/// An API server, by its CA certificates, and the token that it is shown.
pub struct ApiServer {
    server: HttpsUrl,
    https: Https,
    own_token: Watched<Token>,
}

impl ApiServer {
    /// The server there. The token's file is read again when it changes; nothing is asked yet.
    ///
    /// # Errors
    /// If https cannot be set up.
    pub fn new(
        server: HttpsUrl,
        roots: impl Into<Roots>,
        token_file: PathBuf,
        timeout: Duration,
    ) -> Result<Self, HttpsError> {
        Ok(Self {
            server,
            https: Https::new(roots.into(), timeout, LONGEST_ANSWER)?,
            own_token: Watched::new(token_file, LONGEST_TOKEN as u64 + 2, read_token),
        })
    }

    /// The object `configurations.dapr.io` of this name: JSON, at most 1.5 MiB. None if there is none.
    ///
    /// # Errors
    /// If the names cannot stand in a URL, or the server does not answer or does not let us ask.
    pub async fn configuration(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Bytes>, Unavailable> {
        if !is_segment(namespace) || !is_segment(name) {
            return Err(self.odd("the configuration's name or namespace is not one"));
        }
        self.get(&super::pods::configuration_path(namespace, name))
            .await
    }

    /// An object. None if there is none.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, Unavailable> {
        let request = Request::get(self.url(path)?);
        let reply = self.ask(request, Vec::new()).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.status(status)),
        }
    }

    pub(super) async fn ask(&self, request: Builder, body: Vec<u8>) -> Result<Reply, Unavailable> {
        let own = self.own_token.get().await;
        let own = own.map_err(|fault| Unavailable::File(fault.to_string()))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", own.expose()));
        let mut bearer = bearer.map_err(|_| self.odd("this CA's own token is none"))?;
        bearer.set_sensitive(true);
        let request = request
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .body(Full::from(Bytes::from(body)))
            .map_err(|e| self.odd(&e.to_string()))?;
        self.https.ask(request).await
    }

    pub(super) fn url(&self, path: &str) -> Result<Uri, Unavailable> {
        let url = self.server.join(path);
        url.ok_or_else(|| self.odd("the URL of the question is none"))
    }

    pub(super) fn status(&self, status: StatusCode) -> Unavailable {
        match status {
            StatusCode::UNAUTHORIZED => Unavailable::OwnToken(self.name()),
            StatusCode::FORBIDDEN => Unavailable::OwnRights(self.name()),
            other => self.odd(&format!("the status is {other}")),
        }
    }

    pub(super) fn odd(&self, why: &str) -> Unavailable {
        Unavailable::Remote {
            what: self.name(),
            why: why.to_owned(),
        }
    }

    /// Its URL.
    pub(super) fn name(&self) -> String {
        self.server.to_string()
    }
}

fn read_token(bytes: &[u8]) -> Result<Token, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not a token")?;
    Token::new(text.to_owned()).map_err(|why| why.to_string())
}
