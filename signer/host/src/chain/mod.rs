//! Bring your own chain: root, issuer and key that were made elsewhere, in files of others' layouts, or made by somebody else's
//! CA for a key of ours.
//!
//! Whatever the way, a chain is checked as a whole ([`credence_ca::chain`]) with its keys before anything is signed with it, and
//! all that is wrong is told at once.

mod error;
mod layout;
pub mod pem;
mod request;
mod set;
mod watch;
mod write;

pub use error::{BadChain, Why};
pub use layout::{DaprNames, Layout, Reading};
pub use request::{IssuerRequest, import, issuer_csr, with_key};
pub use watch::{Seen, Watch};
pub use write::{Existing, Material, WriteError, finish_writing, write_dapr};

use crate::{custody::SigningKey, key_file::FileKey, possession, private_file, state};
use credence_ca::{
    certificate::CaCertificate,
    chain::{self, Chain, Faults, Finding, Keys, Sound, Terms, Warning},
    custody::Custody as _,
    key::PublicKey,
};
use std::path::Path;

/// A chain that was checked, with the keys that belong to it. Nothing outside this module makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct OwnChain {
    /// The trust anchors; the first is the one that the issuer chains to.
    pub roots: Vec<CaCertificate>,
    /// Between issuer and root, nearest to the issuer first, without the root.
    pub above: Vec<CaCertificate>,
    /// What signs leaves.
    pub issuer: CaCertificate,
    /// Its key.
    pub issuer_key: SigningKey,
    /// The first root's key, if it was given.
    pub root_key: Option<SigningKey>,
    /// What is worth telling of the chain.
    pub warnings: Vec<Finding<Warning>>,
    /// Which files it came from, so that they are known again.
    mark: Option<set::Mark>,
}

impl OwnChain {
    /// Checks a chain with its keys.
    fn check(
        chain: &Chain,
        issuer_key: SigningKey,
        root_key: Option<SigningKey>,
        terms: &Terms<'_>,
    ) -> Result<Self, Faults> {
        let root = root_key.as_ref().map(SigningKey::public_key);
        let sound = check(chain, Some(issuer_key.public_key()), root, terms)?;
        let warnings = sound.warnings().to_vec();
        let (roots, above, issuer) = sound.into_parts();
        Ok(Self {
            roots,
            above,
            issuer,
            issuer_key,
            root_key,
            warnings,
            mark: None,
        })
    }

    /// The issuer and what is above it, as PEM: what a server sends, and what stands in Dapr's `issuer.crt`.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        certificates_pem([&self.issuer].into_iter().chain(&self.above))
    }

    /// The trust anchors, as PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        certificates_pem(&self.roots)
    }
}

/// Certificates as PEM, one after the other.
#[must_use]
pub fn certificates_pem<'a>(certificates: impl IntoIterator<Item = &'a CaCertificate>) -> String {
    certificates
        .into_iter()
        .map(state::certificate_pem)
        .collect()
}

/// With our cryptography.
fn check(
    chain: &Chain,
    issuer: Option<&PublicKey>,
    root: Option<&PublicKey>,
    terms: &Terms<'_>,
) -> Result<Sound, Faults> {
    chain::check(chain, terms, Keys { issuer, root }, &possession::verifies)
}

/// A root of one's own, with its key: issuers are made below it.
#[derive(Debug)]
#[non_exhaustive]
pub struct OwnRoot {
    /// The trust anchor.
    pub root: CaCertificate,
    /// Its key.
    pub key: SigningKey,
    /// What is worth telling of it.
    pub warnings: Vec<Finding<Warning>>,
}

impl OwnRoot {
    /// Reads a root and its key from two files, the first of which has one certificate.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(
        certificate: &Path,
        key: &Path,
        reading: &Reading,
        terms: &Terms<'_>,
    ) -> Result<Self, BadChain> {
        let der = one_certificate(certificate)?;
        let text = private_file::read_secret_of(key, reading.readers).map_err(Why::File)?;
        let key = FileKey::from_foreign(key, &text, reading.passphrase.as_ref())?;
        let (root, warnings) =
            chain::check_root(&der, terms, key.public_key(), &possession::verifies)?;
        Ok(Self {
            root,
            key: SigningKey::File(key),
            warnings,
        })
    }
}

fn one_certificate(path: &Path) -> Result<Vec<u8>, BadChain> {
    let bad = |source| Why::Pem {
        path: path.to_path_buf(),
        source,
    };
    let text = private_file::read_public(path).map_err(Why::File)?;
    let found = pem::certificates(&text).map_err(bad)?;
    match <[Vec<u8>; 1]>::try_from(found) {
        Ok([der]) => Ok(der),
        Err(several) => Err(bad(pem::PemError::NotOne(several.len())).into()),
    }
}
