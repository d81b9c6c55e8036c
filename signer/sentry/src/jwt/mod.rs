//! JWTs beside certificates: the key that signs them, the set that verifies them, and what they say.
//!
//! The CA's own keys have nothing to do with it: those sign what a guard has checked, and no tokens.

mod files;
mod issue;
mod jwk;
mod key;
mod set;

pub use crate::algorithm::{Algorithm, KeyKind};
pub use files::{Exposed, JwtFilesError, create, follow, load, load_or_create};
pub use issue::{Terms, TokenIssuer};
pub use key::{JwtKey, KeyError};
pub use set::{JwkSet, SetError};

use std::sync::{Arc, PoisonError, RwLock};

/// The key that signs now, with the set that verifies what it signs.
#[derive(Debug)]
pub struct Keys {
    /// What signs.
    pub key: JwtKey,
    /// What verifies; the key's public half is in it.
    pub set: JwkSet,
    /// `kid` in tokens.
    pub key_id: String,
    /// What is odd about them, and nothing to stop for.
    pub warnings: Vec<String>,
}

/// Keys that can be replaced while tokens are issued and the set is served.
#[derive(Debug)]
pub struct KeyRing(RwLock<Arc<Keys>>);

impl KeyRing {
    /// These, for now.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self(RwLock::new(Arc::new(keys)))
    }

    /// Those of now.
    #[must_use]
    pub fn now(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Others, from now on.
    pub fn replace(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

#[cfg(test)]
mod tests;
