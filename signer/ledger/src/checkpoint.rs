//! Checkpoints: signed statements of how long the record was, and with which head, at a time.
//!
//! The text is a C2SP signed note in the shape of a tlog-checkpoint (origin, size, hash, then a
//! line of our own with the time), so that tools for those verify the signature. The hash is the
//! chain's, not a Merkle tree's root: proofs of inclusion need the entries in between.

use crate::{
    chain::{Head, Origin, OriginError},
    octets::Digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use credence_ca::validity::Time;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

/// Ed25519, in a signed note's key (C2SP signed-note §Signatures).
const ED25519: u8 = 1;
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
    name: Origin,
    key: VerifyingKey,
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
    fn id(&self) -> [u8; 4] {
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
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::new("example.org", [7; 16]).unwrap()
    }

    fn signer(seed: u8) -> MemorySigner {
        MemorySigner::new(&Zeroizing::new([seed; 32]))
    }

    fn key(seed: u8) -> CheckpointKey {
        CheckpointKey::new(origin(), &signer(seed).public_key()).unwrap()
    }

    fn note() -> Note {
        let checkpoint = Checkpoint {
            origin: origin(),
            head: Head::genesis(&origin()).then(b"a"),
            time: Time::from_unix(1_800_000_000),
        };
        checkpoint.sign(&signer(1)).unwrap()
    }

    /// The example of golang.org/x/mod/sumdb/note: key, hash and signature as others make them.
    #[test]
    fn keys_and_signatures_are_those_of_signed_notes() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let peter = CheckpointKey::parse(text).unwrap();
        assert_eq!(peter.text(), text);
        let (name, id, octets) = signature(
            "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
        )
        .unwrap();
        assert_eq!((name.as_str(), id), ("PeterNeumann", peter.id()));
        let text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        peter
            .key
            .verify_strict(text, &Signature::from_bytes(&octets))
            .unwrap();
    }

    #[test]
    fn what_is_written_is_read() {
        let text = note().text();
        let again = Note::parse(&text).unwrap();
        assert_eq!(again, note());
        assert_eq!(again.text(), text);
        assert_eq!(again.verify(&[key(1)]).unwrap(), note().unverified());
        assert_eq!(
            again.verify(&[key(2), key(1)]).unwrap(),
            note().unverified()
        );
        assert_eq!(CheckpointKey::parse(&key(1).text()).unwrap(), key(1));
    }

    #[test]
    fn every_octet_matters() {
        let good = note().text().into_bytes();
        for at in 0..good.len() {
            for bit in [1, 0x20] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                let read = String::from_utf8(bad)
                    .ok()
                    .and_then(|text| Note::parse(&text).ok());
                if let Some(read) = read {
                    assert!(read.verify(&[key(1)]).is_err(), "octet {at}");
                }
            }
        }
    }

    #[test]
    fn other_keys_and_ledgers_are_refused() {
        assert_eq!(note().verify(&[key(2)]), Err(CheckpointError::NotSigned));
        assert_eq!(note().verify(&[]), Err(CheckpointError::NotSigned));
        let other = Origin::new("example.com", [7; 16]).unwrap();
        let other = CheckpointKey::new(other, &signer(1).public_key()).unwrap();
        assert!(matches!(
            note().verify(&[other]),
            Err(CheckpointError::OtherOrigin { .. })
        ));
    }

    #[test]
    fn odd_texts_are_refused() {
        let good = note().text();
        for (from, to) in [
            ("\n1\n", "\n01\n"),
            ("\n1\n", "\n+1\n"),
            ("time ", "time 0"),
            ("time ", "Time "),
            ("=\ntime", "\ntime"),
            ("\n\n", "\n"),
            ("\n\n", "\nmore\n\n"),
            ("\u{2014} ", "- "),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from:?}");
            assert!(Note::parse(&bad).is_err(), "{bad}");
        }
        assert!(Note::parse(&good.repeat(40)).is_err());
        assert!(Note::parse(good.trim_end()).is_err());
    }

    #[test]
    fn keys_that_are_not_are_refused() {
        let good = key(1).text();
        for (bad, why) in [
            (good.replace('+', "-"), KeyError::Form),
            (
                good.replacen("example.org", "example.com", 1),
                KeyError::Hash,
            ),
            ("a+00000000+AQ==".into(), KeyError::Key),
            ("+00000000+AQ==".into(), KeyError::Name(OriginError)),
        ] {
            assert_eq!(CheckpointKey::parse(&bad).unwrap_err(), why, "{bad}");
        }
        assert_eq!(
            CheckpointKey::new(origin(), &[0; 32]).unwrap_err(),
            KeyError::Key
        );
    }
}
