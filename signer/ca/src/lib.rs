//! Pure: request splitting, profiles, the guard, issuance rules, the lifecycle of roots and
//! issuers.
//!
//! No clock, no socket, no file, no randomness: all of those are the host's, and come in as
//! values.

pub mod certificate;
pub mod chain;
pub mod crl;
pub mod csr;
pub mod custody;
pub mod der;
pub mod dns;
pub mod domains;
pub mod guard;
pub mod issuance;
pub mod key;
pub mod life;
pub mod lifecycle;
pub mod name;
pub mod oid;
pub mod profile;
pub mod rate;
pub mod scheme;
pub mod serial;
pub mod tbs;
pub mod validity;

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
