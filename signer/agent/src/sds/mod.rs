//! SDS (`envoy.service.secret.v3.SecretDiscoveryService`): the secrets, the state of a stream, and the edge that speaks gRPC.

mod secrets;
mod service;
mod stream;

pub(crate) use secrets::Snapshot;
pub(crate) use service::Sds;

/// The type of every resource on this service.
const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
