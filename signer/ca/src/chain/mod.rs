//! A CA's chain that was made elsewhere, checked as a chain: every fault has a name, and all are told at once.
//!
//! Pure: signatures are verified by a function that is handed in, the time is a value. What is found good comes back as
//! [`Sound`], which nothing else makes.
//!
//! Two lines are drawn. A **fault** is what makes a verifier in use (OpenSSL, BoringSSL, Go, rustls) refuse the chain, or what
//! would let something in that must not be: the chain is not taken. A **warning** is what only a strict verifier minds, or what
//! does not work later: the chain is taken, and the warning is told.

mod certificate;
mod check;
mod constraints;
mod each;
mod fault;
mod links;
mod names;

pub use check::{Keys, Sound, Terms, Verifier, check, check_root};
pub use fault::{Fault, Faults, Finding, Place, Warning};

/// The most certificates between an issuer and its root.
pub const MAX_ABOVE: usize = 8;
/// The most trust anchors.
pub const MAX_ROOTS: usize = 32;

/// The certificates of a chain, DER, as they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// What signs leaves.
    pub issuer: Vec<u8>,
    /// What stands between the issuer and its root, nearest to the issuer first, without the root.
    pub above: Vec<Vec<u8>>,
    /// The trust anchors. The issuer chains to one of them.
    pub roots: Vec<Vec<u8>>,
}
