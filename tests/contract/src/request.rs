//! Requests and connections, as the module sees them, and what became of them.

use std::collections::BTreeMap;

use crate::script::{ContextState, Headers, LocalResponse};

/// What the module tells Envoy to do with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    Continue,
    /// Hold it back.
    Pause,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The module's answer to the headers, the body and the trailers. Envoy asks no more once there
    /// is a response.
    pub actions: Vec<Action>,
    /// The module's answer to the response's headers, if it was asked.
    pub on_response: Option<Action>,
    /// The answer that it gave in the application's stead.
    pub response: Option<LocalResponse>,
    /// The request's headers as the application gets them.
    pub headers: Headers,
    /// What the access log can show.
    pub filter_state: BTreeMap<String, String>,
    /// Calls of functions beside the ABI: name and arguments.
    pub foreign_calls: Vec<(String, Vec<u8>)>,
}

impl Outcome {
    pub(crate) fn new(actions: Vec<Action>, on_response: Option<Action>, of: ContextState) -> Self {
        Self {
            actions,
            on_response,
            response: of.response,
            headers: of.headers,
            filter_state: of.filter_state,
            foreign_calls: of.foreign_calls,
        }
    }

    /// Whether the request reached the application, and the response the client.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.response.is_none()
            && self.actions.contains(&Action::Continue)
            && self.on_response != Some(Action::Pause)
    }

    /// The response's status, details and body.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn refusal(&self) -> (u32, &str, &str) {
        let response = self.response.as_ref().expect("a local response");
        (response.status, &response.details, &response.body)
    }

    /// The values of a header as the application gets it.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let of = |(other, _): &&(Vec<u8>, Vec<u8>)| other == name.as_bytes();
        let values = self.headers.iter().filter(of);
        values.map(|(_, value)| value.as_slice()).collect()
    }
}

/// Properties that a test sets.
pub(crate) type Properties = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) const CONNECTION: &[u8] = b"connection\0id";

fn put(properties: &mut Properties, path: &str, value: impl AsRef<[u8]>) {
    let path = path.replace('.', "\0").into_bytes();
    properties.insert(path, value.as_ref().to_vec());
}

fn put_peer(properties: &mut Properties, digest: &str, pem: impl AsRef<[u8]>) {
    put(properties, "connection.mtls", [1]);
    put(properties, "connection.tls_version", "TLSv1.3");
    let digest_of = "connection.sha256_peer_certificate_digest";
    put(properties, digest_of, digest);
    put(properties, "connection.peer_certificate", pem);
}

/// What a request and its connection look like to the module.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub(crate) properties: Properties,
    pub(crate) headers: Headers,
    pub(crate) on_response: Properties,
    pub(crate) has_no_connection: bool,
}

impl Request {
    /// A request for `path`, on a connection of its own of which nothing is known yet.
    #[must_use]
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::default()
            .header(":method", "GET")
            .header(":path", path)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let header = (name.as_bytes().to_vec(), value.as_ref().to_vec());
        self.headers.push(header);
        self
    }

    /// With a property, `path` as in `connection.mtls`.
    #[must_use]
    pub fn property(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        put(&mut self.properties, path, value);
        self
    }

    /// On the connection of this number.
    #[must_use]
    pub fn on(self, connection: u64) -> Self {
        self.property("connection.id", connection.to_le_bytes())
    }

    /// On a connection that the host has no number for.
    #[must_use]
    pub fn without_connection(mut self) -> Self {
        self.has_no_connection = true;
        self
    }

    /// From a peer that presented this certificate.
    #[must_use]
    pub fn peer(mut self, digest: &str, pem: impl AsRef<[u8]>) -> Self {
        put_peer(&mut self.properties, digest, pem);
        self
    }

    /// With a property that is there once a server has answered.
    #[must_use]
    pub fn answered_with(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        put(&mut self.on_response, path, value);
        self
    }

    /// Answered by a server that presented this certificate.
    #[must_use]
    pub fn answered_by(self, digest: &str, pem: impl AsRef<[u8]>) -> Self {
        self.answered_with("response.code_details", "via_upstream")
            .answered_with("upstream.sha256_peer_certificate_digest", digest)
            .answered_with("upstream.peer_certificate", pem)
    }
}

/// What a connection looks like to the network role.
#[derive(Debug, Clone, Default)]
pub struct Downstream {
    pub(crate) properties: Properties,
}

impl Downstream {
    /// A connection with this number, its handshake not over yet.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let downstream = Self::default().property("connection.id", number.to_le_bytes());
        downstream.property("source.address", "127.0.0.1:4242")
    }

    /// With a property.
    #[must_use]
    pub fn property(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        put(&mut self.properties, path, value);
        self
    }

    /// Without a property.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.properties.remove(path.replace('.', "\0").as_bytes());
        self
    }

    /// Of a peer that presented this certificate.
    #[must_use]
    pub fn peer(mut self, digest: &str, pem: impl AsRef<[u8]>) -> Self {
        put_peer(&mut self.properties, digest, pem);
        self
    }
}
