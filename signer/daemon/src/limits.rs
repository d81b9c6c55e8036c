//! How much is taken before the daemon says no. Every bound is there by default; none can be "none".

mod rates;

pub use credence_ca::rate::{Rate, RateError};
pub(crate) use rates::{Bucket, Rates};

use std::time::Duration;

/// What a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once. While they are, nobody is accepted: callers wait in the kernel's backlog.
    pub connections: usize,
    /// Connections of one address at once (IPv6: of one /64). One more is closed.
    pub per_address: usize,
    /// TLS handshakes under way at once; the next caller waits.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long a connection may be open without its first request.
    pub first_request: Duration,
    /// How long a connection may be open without a request under way.
    pub idle: Duration,
    /// While more connections than this are open and past their handshake, there is a crowd: each takes some 40 KB.
    pub crowd: usize,
    /// How long a connection may then be open without a request under way. Whoever needs another one dials again.
    pub idle_in_a_crowd: Duration,
    /// How long a request may take from its headers to its answer. Streams are exempt. The answer has to be taken within
    /// [`ConnectionLimits::drain`] more; one that is begun and not read to its end counts as idleness.
    pub request: Duration,
    /// How often a connection with streams is asked whether its peer still lives, and how long it has to answer.
    pub keepalive: Duration,
    /// How long a connection lasts at most; then it is told to go, and gets [`ConnectionLimits::drain`].
    pub age: Duration,
    /// How long requests under way get to end when a connection is to go.
    pub drain: Duration,
    /// Requests under way at once on one connection.
    pub streams: u32,
    /// Octets of all headers of a request together, each counted with 32 more (RFC 9113 §6.5.2): this bounds their number too.
    pub header_bytes: u32,
    /// Octets of a message.
    pub message_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            per_address: 2_048,
            handshakes: 256,
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            crowd: 2_048,
            idle_in_a_crowd: Duration::from_secs(1),
            request: Duration::from_secs(15),
            keepalive: Duration::from_secs(30),
            age: Duration::from_secs(3_600),
            drain: Duration::from_secs(5),
            streams: 128,
            header_bytes: 32 << 10,
            message_bytes: 128 << 10,
        }
    }
}

/// What the desk takes, all frontends together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuanceLimits {
    /// Requests at the desk at once, waiting ones included.
    pub waiting: usize,
    /// Callers being attested at once.
    pub attesting: usize,
    /// Certificates being signed or put on record at once: those that wait for the disk go there together.
    pub signing: usize,
    /// How long one request may be at the desk.
    pub patience: Duration,
    /// How many certificates one identity gets.
    pub identity: Rate,
    /// How many all get together.
    pub global: Rate,
    /// Identities whose rate is kept at once. While there are more, new ones are refused.
    pub identities: usize,
}

impl Default for IssuanceLimits {
    fn default() -> Self {
        Self {
            waiting: 16_384,
            attesting: 256,
            signing: 1_024,
            patience: Duration::from_secs(10),
            identity: Rate::IDENTITY,
            global: Rate::GLOBAL,
            identities: 262_144,
        }
    }
}
