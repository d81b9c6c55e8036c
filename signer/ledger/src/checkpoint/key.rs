//! The key that signs checkpoints, both halves.

use crate::{
    chain::{Origin, OriginError},
    octets::Digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

/// Ed25519, in a signed note's key (C2SP signed-note §Signatures).
const ED25519: u8 = 1;

/// A key that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not NAME+HASH+KEY.
    #[error(
        "a checkpoint key is written NAME+HASH+KEY, with 8 hexadecimal digits and base64 (C2SP signed-note)"
    )]
    Form,
    /// A name that no ledger has.
    #[error(transparent)]
    Name(#[from] OriginError),
    /// The hash is another key's.
    #[error("the checkpoint key does not have the hash that stands before it; copy it again")]
    Hash,
    /// Not a point of Ed25519's curve.
    #[error("the checkpoint key is not an Ed25519 public key")]
    Key,
}

/// The public half of the key that signs a ledger's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointKey {
    pub(super) name: Origin,
    pub(super) key: VerifyingKey,
}

impl CheckpointKey {
    /// From the public key's 32 octets.
    ///
    /// # Errors
    /// If they are no Ed25519 key, or one of small order.
    pub fn new(name: Origin, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Key)?;
        if key.is_weak() {
            return Err(KeyError::Key);
        }
        Ok(Self { name, key })
    }

    /// From its text: `NAME+HASH+KEY` (C2SP signed-note §Verifier keys).
    ///
    /// # Errors
    /// If it is another text, or the hash is not the key's.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, '+');
        let mut part = || parts.next().ok_or(KeyError::Form);
        let (name, hash, key) = (Origin::parse(part()?)?, part()?, part()?);
        let key = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let Some((&ED25519, public)) = key.split_first() else {
            return Err(KeyError::Key);
        };
        let key = Self::new(name, public.try_into().map_err(|_| KeyError::Key)?)?;
        if credence_ca::hex(&key.id()) == hash {
            Ok(key)
        } else {
            Err(KeyError::Hash)
        }
    }

    /// Its text: `NAME+HASH+KEY`.
    #[must_use]
    pub fn text(&self) -> String {
        let key = [&[ED25519][..], self.key.as_bytes()].concat();
        let (hash, key) = (credence_ca::hex(&self.id()), STANDARD.encode(key));
        format!("{}+{hash}+{key}", self.name)
    }

    /// The ledger that it is of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.name
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The four octets that stand before each of its signatures.
    pub(super) fn id(&self) -> [u8; 4] {
        let Digest([a, b, c, d, ..]) = Digest::of_parts(&[
            self.name.as_str().as_bytes(),
            b"\n",
            &[ED25519],
            self.key.as_bytes(),
        ]);
        [a, b, c, d]
    }
}

/// The port to the key that signs checkpoints: one of the ledger's own, which signs nothing else.
pub trait CheckpointSigner: Send {
    /// The public key, 32 octets of Ed25519.
    fn public_key(&self) -> [u8; 32];

    /// Signs a checkpoint's text (Ed25519, RFC 8032).
    ///
    /// # Errors
    /// If the key, or what holds it, fails; in words.
    fn sign(&self, text: &[u8]) -> Result<[u8; 64], String>;
}

/// A key in memory.
pub struct MemorySigner(SigningKey);

impl MemorySigner {
    /// From the private key's 32 octets (RFC 8032 §5.1.5).
    #[must_use]
    pub fn new(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
}

impl CheckpointSigner for MemorySigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], String> {
        Ok(self.0.sign(text).to_bytes())
    }
}
