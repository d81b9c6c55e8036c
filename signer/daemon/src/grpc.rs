//! gRPC over TLS, with bounds on everything a peer can do to a connection.

mod activity;
mod addresses;
mod body;
mod connection;
mod listener;
mod router;

pub use connection::Connections;
pub use listener::{Listener, bind};
pub use router::Router;
