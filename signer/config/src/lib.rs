//! Configurations: TOML as it is written becomes values that hold what they promise, or every fault at once, each with its place.
//!
//! Nothing is opened here and nothing is run: paths are names, and what limits are for is known to whoever gets them. So all of
//! it can be fuzzed.

pub mod agent;
pub mod ca;
pub mod custody;
pub mod dev;
mod dns;
mod faults;
mod raw;
pub mod sandbox;

pub use faults::Faults;

use faults::{keep, keep_all};
use spiffe::{SpiffeId, TrustDomain};

/// A trust domain's own ID, by its name.
fn trust_domain(name: &str) -> Result<SpiffeId, String> {
    TrustDomain::new(name)
        .and_then(|domain| SpiffeId::new(domain.id_string()))
        .map_err(|e| format!("trust_domain: {name:?} is not a trust domain's name: {e}"))
}
