//! What the pure code asks of its host.
//!
//! Each call is one to Envoy: none is made twice for a request, and none that a decision does not hang
//! on.

pub use credence_policy::RequestFacts;

use crate::time::Millis;

/// The host would not say something, or not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// An answer of the host.
pub type Answer<T> = Result<T, Unreadable>;

/// What may be asked about a connection.
pub trait ConnectionFacts {
    /// SHA-256 of the peer's certificate as 64 hexadecimal digits; none if it presented none.
    ///
    /// # Errors
    /// If the host does not say.
    fn peer_digest(&mut self) -> Answer<Option<Vec<u8>>>;

    /// Whether the connection is TLS and the peer presented a certificate.
    ///
    /// # Errors
    /// If the host does not say.
    fn is_mtls(&mut self) -> Answer<bool>;

    /// Whether the connection is TLS, its handshake finished or not.
    ///
    /// # Errors
    /// If the host does not say.
    fn is_tls(&mut self) -> Answer<bool>;

    /// The peer's certificate as PEM.
    ///
    /// # Errors
    /// If the host does not say.
    fn peer_pem(&mut self) -> Answer<Option<Vec<u8>>>;

    /// The port that the connection came to.
    ///
    /// # Errors
    /// If the host does not say.
    fn port(&mut self) -> Answer<Option<u16>>;

    /// What time it is.
    ///
    /// # Errors
    /// If the host does not say.
    fn now(&mut self) -> Answer<Millis>;
}

/// What may be asked about a request and its connection.
pub trait Facts: ConnectionFacts + RequestFacts<Error = Unreadable> {
    /// The connection's number: 8 bytes, never given twice while the process runs.
    ///
    /// # Errors
    /// If the host does not say.
    fn connection_id(&mut self) -> Answer<Option<Vec<u8>>>;
}

/// What may be asked about a request that goes out, and about the server that answered it.
pub trait OutboundFacts: RequestFacts<Error = Unreadable> {
    /// The route's name; none if it has none.
    ///
    /// # Errors
    /// If the host does not say.
    fn route(&mut self) -> Answer<Option<Vec<u8>>>;

    /// The cluster's name; none if no cluster is chosen.
    ///
    /// # Errors
    /// If the host does not say.
    fn cluster(&mut self) -> Answer<Option<Vec<u8>>>;

    /// SHA-256 of the server's certificate as 64 hexadecimal digits; none if it presented none.
    ///
    /// # Errors
    /// If the host does not say.
    fn server_digest(&mut self) -> Answer<Option<Vec<u8>>>;

    /// The server's certificate as PEM.
    ///
    /// # Errors
    /// If the host does not say.
    fn server_pem(&mut self) -> Answer<Option<Vec<u8>>>;

    /// Whether the response came from a server, and not from Envoy itself.
    ///
    /// # Errors
    /// If the host does not say.
    fn is_from_server(&mut self) -> Answer<bool>;

    /// What time it is.
    ///
    /// # Errors
    /// If the host does not say.
    fn now(&mut self) -> Answer<Millis>;
}

/// A value that the workers of one Envoy share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it is.
    pub value: Vec<u8>,
    /// Changes whenever the value is set.
    pub cas: u32,
}

/// What became of setting a shared value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// It is set.
    Done,
    /// Another worker was faster; nothing was set.
    Raced,
}

/// A `cas` for a key that is not there yet. Envoy takes 0 for "overwrite whatever is there", and any other
/// value for a key that is not there; it counts up from 1, so that this one is not met.
pub const ABSENT: u32 = u32::MAX;

/// Values that the workers of one Envoy share.
pub trait Shared {
    /// The value of a key; none if it was never set.
    ///
    /// # Errors
    /// If the host does not say.
    fn get(&mut self, key: &str) -> Answer<Option<Stored>>;

    /// Sets a value that no other worker sets.
    ///
    /// # Errors
    /// If the host does not do it.
    fn put(&mut self, key: &str, value: &[u8]) -> Answer<()>;

    /// Sets a value if its `cas` is still this one ([`ABSENT`]: if it is not there).
    ///
    /// # Errors
    /// If the host does not do it.
    fn set(&mut self, key: &str, value: &[u8], cas: u32) -> Answer<Set>;
}

/// Where counts and measurements go. False: it was not taken.
pub trait Meters {
    /// Makes a counter visible, at 0 if nothing is added to it.
    fn declare(&mut self, counter: &str) -> bool;
    /// Adds to a counter.
    fn add(&mut self, counter: &str, by: i64) -> bool;
    /// Sets a gauge.
    fn set_gauge(&mut self, gauge: &str, value: u64) -> bool;
    /// Adds a measurement to a histogram.
    fn observe(&mut self, histogram: &str, value: u64) -> bool;
}
