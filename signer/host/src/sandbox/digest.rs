//! What a module is known by.

use credence_ca::hex;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The SHA-256 of a module's bytes. `Display` is lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleDigest([u8; 32]);

impl ModuleDigest {
    /// Of these bytes.
    #[must_use]
    pub fn of(module: &[u8]) -> Self {
        Self(Sha256::digest(module).into())
    }

    /// From what `Display` writes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let id: credence_ca::lifecycle::CertificateId = text.parse().ok()?;
        Some(Self(id.sha256()))
    }

    /// Its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleDigest({self})")
    }
}
