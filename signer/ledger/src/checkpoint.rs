//! Checkpoints: signed statements of how long the record was, and with which head, at a time.
//!
//! The text is a C2SP signed note in the shape of a tlog-checkpoint (origin, size, hash, then a
//! line of our own with the time), so that tools for those verify the signature. The hash is the
//! chain's, not a Merkle tree's root: proofs of inclusion need the entries in between.

mod key;

pub use key::{CheckpointKey, CheckpointSigner, KeyError, MemorySigner};

use crate::{
    chain::{Head, Origin},
    octets::Digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use credence_ca::validity::Time;
use ed25519_dalek::Signature;
use thiserror::Error;

/// The longest note that is read, in octets.
const LONGEST: usize = 4096;

/// Why a note is not a checkpoint of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not the text of a checkpoint.
    #[error("it is not a checkpoint: {0}")]
    Malformed(&'static str),
    /// Another ledger's.
    #[error("it is a checkpoint of {found}, not of {wanted}")]
    OtherOrigin {
        /// What it says.
        found: String,
        /// What it should say.
        wanted: String,
    },
    /// No signature by any of the keys that are trusted.
    #[error("no key that is trusted has signed it")]
    NotSigned,
    /// A signature that names a trusted key and is not its.
    #[error("its signature is not the one of the key that it names")]
    BadSignature,
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: Origin,
    /// How long, with which head.
    pub head: Head,
    /// When, by the CA's wall clock.
    pub time: Time,
}

/// A checkpoint and its signatures, read; whether they are good is for [`Note::verify`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    checkpoint: Checkpoint,
    text: String,
    signatures: Vec<(String, [u8; 4], [u8; 64])>,
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\ntime {}\n",
            self.origin,
            self.head.size,
            STANDARD.encode(self.head.hash.0),
            self.time.unix()
        )
    }

    /// Signs it.
    ///
    /// # Errors
    /// If the signer fails; in words.
    pub fn sign(self, signer: &dyn CheckpointSigner) -> Result<Note, String> {
        let key = CheckpointKey::new(self.origin.clone(), &signer.public_key())
            .map_err(|error| error.to_string())?;
        let text = self.text();
        let signature = signer.sign(text.as_bytes())?;
        Ok(Note {
            signatures: vec![(self.origin.to_string(), key.id(), signature)],
            checkpoint: self,
            text,
        })
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        const WHY: CheckpointError =
            CheckpointError::Malformed("its four lines are origin, size, hash and time");
        let lines: Vec<_> = text.split_terminator('\n').collect();
        let [origin, size, hash, time] = lines.as_slice() else {
            return Err(WHY);
        };
        let hash = STANDARD.decode(hash).map_err(|_| WHY)?;
        let time = time.strip_prefix("time ").ok_or(WHY)?;
        let checkpoint = Self {
            origin: Origin::parse(origin).map_err(|_| WHY)?,
            head: Head {
                size: size.parse().map_err(|_| WHY)?,
                hash: Digest::from_octets(&hash).ok_or(WHY)?,
            },
            time: Time::from_unix(time.parse().map_err(|_| WHY)?),
        };
        // One text for one checkpoint: no leading zeros, no other base64.
        if checkpoint.text() == text {
            Ok(checkpoint)
        } else {
            Err(WHY)
        }
    }
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// If it is not a checkpoint with at least one signature line.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        use CheckpointError::Malformed;
        if note.len() > LONGEST {
            return Err(Malformed("it is too long"));
        }
        let (text, lines) = note
            .split_once("\n\n")
            .ok_or(Malformed("it has no empty line before its signatures"))?;
        let text = format!("{text}\n");
        let lines = lines
            .strip_suffix('\n')
            .ok_or(Malformed("it does not end with a line's end"))?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(signature).collect();
        Ok(Self {
            checkpoint: Checkpoint::parse(&text)?,
            text,
            signatures: signatures.ok_or(Malformed(
                "a signature line is a dash, a name, and base64 of 68 octets",
            ))?,
        })
    }

    /// What it says, whether or not that is signed.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What it says, if one of these keys has signed it.
    ///
    /// # Errors
    /// If it is another ledger's, no key of these has signed it, or a signature by one of these
    /// is wrong.
    pub fn verify(&self, keys: &[CheckpointKey]) -> Result<&Checkpoint, CheckpointError> {
        let origin = self.checkpoint.origin.as_str();
        if let Some(other) = keys.first()
            && !keys.iter().any(|key| key.name.as_str() == origin)
        {
            return Err(CheckpointError::OtherOrigin {
                found: origin.to_owned(),
                wanted: other.name.to_string(),
            });
        }
        let mut good = false;
        for (name, id, signature) in &self.signatures {
            let named = |key: &&CheckpointKey| key.name.as_str() == name && key.id() == *id;
            for key in keys.iter().filter(named) {
                key.key
                    .verify_strict(self.text.as_bytes(), &Signature::from_bytes(signature))
                    .map_err(|_| CheckpointError::BadSignature)?;
                good |= name == origin;
            }
        }
        if good {
            Ok(&self.checkpoint)
        } else {
            Err(CheckpointError::NotSigned)
        }
    }

    /// Its text, to be kept somewhere else than the ledger.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}\n", self.text);
        for (name, id, signature) in &self.signatures {
            let octets = STANDARD.encode([&id[..], signature].concat());
            out.push_str(&format!("\u{2014} {name} {octets}\n"));
        }
        out
    }
}

/// `— NAME BASE64`: four octets of the key's hash, then the signature.
fn signature(line: &str) -> Option<(String, [u8; 4], [u8; 64])> {
    let (name, octets) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    Origin::parse(name).ok()?;
    let octets = STANDARD.decode(octets).ok()?;
    let (id, signature) = octets.split_first_chunk::<4>()?;
    Some((name.to_owned(), *id, signature.try_into().ok()?))
}

#[cfg(test)]
mod tests;
