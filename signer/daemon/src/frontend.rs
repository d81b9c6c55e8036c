//! From the messages of others' protocols to applications, and back.

mod dapr;
mod istio;
mod sds;

pub use dapr::{Dapr, DaprTerms, Validators};
pub use istio::Istio;
pub use sds::{BundleStreams, StreamLimits};

use crate::{
    pem::PemError,
    ports::{Evidence, Frontend, Remote, Token},
    refusal::{AttestError, Refusal},
};
use credence_attest::peer::PeerCredentials;
use std::sync::Arc;
use tonic::metadata::MetadataMap;

/// What is known of the other end of a connection. The listener puts it into each request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where, or who, it is.
    pub remote: Option<Remote>,
    /// The process, where it is on a Unix socket.
    pub process: Option<PeerCredentials>,
    /// Its certificate's chain as TLS verified it, DER, leaf first; empty if it has none.
    pub certificates: Arc<[Vec<u8>]>,
}

/// What is in no message: the connection, and the headers that Istio's clients send.
fn evidence<T>(frontend: Frontend, request: &tonic::Request<T>) -> Evidence {
    let peer = request.extensions().get::<Peer>();
    Evidence {
        frontend,
        token: None,
        claimed: None,
        certificates: peer.map_or_else(|| Arc::from([]), |peer| Arc::clone(&peer.certificates)),
        cluster: text(request.metadata(), "clusterid"),
        impersonated: None,
        process: peer.and_then(|peer| peer.process.clone()),
        peer: peer.and_then(|peer| peer.remote),
    }
}

/// The bearer's token. Which of several is meant cannot be told, so they are none.
fn bearer(headers: &MetadataMap) -> Result<Option<Token>, Refusal> {
    let refused = |why: &str| AttestError::Unauthenticated(why.to_owned()).into();
    let mut values = headers.get_all("authorization").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(refused("more than one authorization header")),
        (Some(value), None) => {
            let value = value
                .to_str()
                .map_err(|_| refused("an authorization header that is not text"))?;
            let token = Token::from_authorization(value);
            token.map(Some).map_err(|error| refused(&error.to_string()))
        }
    }
}

/// What cannot be written was not a certificate: a fault of ours.
fn unwritable(error: &PemError) -> Refusal {
    Refusal::Failed(error.to_string())
}

/// A header's text, if it is short printable ASCII.
fn text(headers: &MetadataMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (1..=LONGEST_TEXT)
        .contains(&value.len())
        .then(|| value.to_owned())
}

/// The longest header or field, in octets, that is handed on as text: the longest SPIFFE ID (SPIFFE-ID §2.3).
const LONGEST_TEXT: usize = 2048;
