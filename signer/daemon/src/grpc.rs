//! gRPC over TLS, and over Unix sockets without, with bounds on everything a peer can do to a connection.

mod activity;
mod addresses;
mod body;
mod connection;
mod listener;
mod local;
mod router;

pub use connection::Connections;
pub use listener::{Listener, bind};
pub use local::{Access, LocalError, LocalListener};
pub use router::Router;
