//! SDS (`envoy.service.secret.v3.SecretDiscoveryService`): the secrets, the state of a stream, and the edge that speaks gRPC.
//!
//! The state of a stream is for others too: the CA publishes its bundle with it.

mod secrets;
mod service;
mod stream;

pub use secrets::Snapshot;
pub(crate) use service::Sds;
pub use stream::{Fault, Note, Reaction, Stream};

/// The type of every resource on this service.
const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
