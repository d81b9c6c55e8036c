//! SDS (`envoy.service.secret.v3.SecretDiscoveryService`): the secrets, the state of a stream, and the edge that speaks gRPC.
//!
//! The state of a state-of-the-world stream is for others too: the CA publishes its bundle with it.

mod catalogue;
mod conversation;
mod delta;
mod elsewhere;
mod metadata;
mod names;
mod note;
mod secrets;
mod service;
mod snapshot;
mod stream;
mod wire;

pub(crate) use catalogue::Catalogues;
pub use catalogue::Validation;
pub use elsewhere::Elsewhere;
pub use note::{Fault, Note, Reaction};
pub use secrets::Secret;
pub(crate) use service::{Sds, SdsServer};
pub use snapshot::Snapshot;
pub use stream::Stream;

/// The type of every resource on this service.
const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
