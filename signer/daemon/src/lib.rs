//! The CA on the network, as a library: Istio's and Dapr's CA protocols and the trust bundle over TLS, the SPIFFE bundle
//! endpoint, health and metrics, and what protects all of them.
//!
//! Who is asking, what is issued, which bundle is published and how the parts are doing comes through [`ports`]. A frontend
//! turns a message into a [`desk::Application`]; the [`desk::Desk`] is the one way from there to a certificate; and
//! [`refusal`] is the one place that says what a caller hears when there is none.

pub mod bundle;
pub mod desk;
pub mod frontend;
pub mod grpc;
pub mod health;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod pem;
pub mod ports;
pub mod proto;
pub mod refusal;
pub mod tls;
