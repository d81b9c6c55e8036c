//! What CAs answer, as the agent's port has it.

use credence_agent::{Issued, UpstreamError};

use crate::pem::{PemError, blocks};

/// The most certificates of a chain that are looked at, and of a bundle.
const MOST_IN_CHAIN: usize = 16;
const MOST_IN_BUNDLE: usize = 128;
/// Octets of an answer.
pub(crate) const LONGEST_ANSWER: usize = 4 << 20;

/// Certificates of a chain.
pub(crate) fn chain(text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    blocks(text, "CERTIFICATE", MOST_IN_CHAIN)
}

/// Certificates of a bundle.
pub(crate) fn bundle(text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    blocks(text, "CERTIFICATE", MOST_IN_BUNDLE)
}

/// A chain and its bundle. Some CAs send the root along in the chain: it is left out.
pub(crate) fn issued(chain: Vec<Vec<u8>>, bundle: Vec<Vec<u8>>) -> Result<Issued, UpstreamError> {
    if bundle.is_empty() {
        return Err(unusable("no root in its bundle"));
    }
    let chain: Vec<_> = chain
        .into_iter()
        .filter(|der| !bundle.contains(der))
        .collect();
    if chain.is_empty() {
        return Err(unusable("no certificate in its chain"));
    }
    Ok(Issued { chain, bundle })
}

/// An answer that nobody can use: the CA may do better the next time.
pub(crate) fn unusable(why: impl std::fmt::Display) -> UpstreamError {
    UpstreamError::Unavailable(format!("its answer cannot be used: {why}"))
}
