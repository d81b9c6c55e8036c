//! The form of a join token: `credence-join-1-` and 91 characters of base64url.
//!
//! ```text
//! octets   0..32  the secret, random
//!         32..64  SHA-256 of the root's certificate, DER
//!         64..68  the first octets of SHA-256 of the prefix and all before
//! ```
//! The last part finds slips of the hand before the token is used up; it proves nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use credence_ca::hex;
use sha2::{Digest as _, Sha256};
use std::fmt;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What all versions begin with: a person, or who looks for secrets in a repository, knows it by that.
const FAMILY: &str = "credence-join-";
/// What this version begins with.
const PREFIX: &str = "credence-join-1-";
/// Secret, root, checksum.
const LENGTH: usize = 68;
/// The octets in base64url without padding.
const ENCODED: usize = 91;

/// Why a text is not a join token. Never says anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinTokenError {
    /// It does not begin like one.
    #[error("not a join token: it has to begin with '{PREFIX}'")]
    Prefix,
    /// It is of a version that is not known here.
    #[error(
        "the join token is of another version than this program's; it has to begin with '{PREFIX}'"
    )]
    Version,
    /// Cut off, or with something added.
    #[error(
        "the join token has {0} characters after '{PREFIX}' and not {ENCODED}; was all of it copied?"
    )]
    Length(usize),
    /// A slip.
    #[error("the join token has a wrong character; copy it again")]
    Checksum,
}

/// Whether a text calls itself a join token, of whatever version.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.starts_with(FAMILY)
}

/// A join token. Wiped when dropped, never shown.
#[derive(Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct JoinToken {
    secret: [u8; 32],
    root: [u8; 32],
}

impl JoinToken {
    /// From 32 octets of a cryptographic random number generator, for hosts that are to trust this root.
    #[must_use]
    pub fn new(random: [u8; 32], root: RootPin) -> Self {
        Self {
            secret: random,
            root: root.0,
        }
    }

    /// Reads a token: only what [`JoinToken::to_text`] writes.
    ///
    /// # Errors
    /// If it is none, of another version, or mistyped.
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            let other = looks_like_one(text);
            return Err(if other {
                JoinTokenError::Version
            } else {
                JoinTokenError::Prefix
            });
        };
        if encoded.len() != ENCODED {
            return Err(JoinTokenError::Length(encoded.len()));
        }
        let mut octets = Zeroizing::new([0; LENGTH]);
        match URL_SAFE_NO_PAD.decode_slice(encoded, octets.as_mut_slice()) {
            Ok(LENGTH) => Self::from_octets(&octets).ok_or(JoinTokenError::Checksum),
            _ => Err(JoinTokenError::Checksum),
        }
    }

    fn from_octets(octets: &[u8; LENGTH]) -> Option<Self> {
        let (secret, rest) = octets.split_first_chunk::<32>()?;
        let (root, sum) = rest.split_first_chunk::<32>()?;
        let token = Self {
            secret: *secret,
            root: *root,
        };
        (token.checksum() == sum).then_some(token)
    }

    fn checksum(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(PREFIX)
            .chain_update(self.secret)
            .chain_update(self.root)
            .finalize();
        let digest: [u8; 32] = digest.into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The token as a person copies it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut octets = Zeroizing::new(Vec::with_capacity(LENGTH));
        octets.extend_from_slice(&self.secret);
        octets.extend_from_slice(&self.root);
        octets.extend_from_slice(&self.checksum());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + ENCODED));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(octets.as_slice(), &mut text);
        text
    }

    /// What is kept of it.
    ///
    /// A plain SHA-256, neither salted nor slow: those are for what people think up. Nobody guesses 256 random
    /// bits, and no two tokens are alike.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let digest = Sha256::new()
            .chain_update("credence join token 1")
            .chain_update(self.secret)
            .chain_update(self.root)
            .finalize();
        TokenHash(digest.into())
    }

    /// The root that its bearer may trust on the first connection.
    #[must_use]
    pub fn root_pin(&self) -> RootPin {
        RootPin(self.root)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(not shown)")
    }
}

/// Which certificate is the root: by SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPin([u8; 32]);

impl RootPin {
    /// Of this certificate, DER.
    #[must_use]
    pub fn of(root: &[u8]) -> Self {
        Self(Sha256::digest(root).into())
    }

    /// Whether it is this certificate, DER. It is public, so that how long this takes tells nothing.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        *self == Self::of(certificate)
    }
}

/// What is kept of a join token: enough to know it again, not enough to present it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// As it was stored.
    #[must_use]
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// To be stored.
    #[must_use]
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        JoinToken::new([7; 32], RootPin::of(b"root"))
    }

    #[test]
    fn has_a_form_of_its_own() {
        let text = token().to_text();
        assert_eq!(text.len(), PREFIX.len() + ENCODED);
        assert_eq!(JoinToken::parse(&text), Ok(token()));
        assert!(token().root_pin().matches(b"root"));
        assert!(!token().root_pin().matches(b"other"));
        assert!(!format!("{:?}", token()).contains('7'));
        assert_eq!(token().hash().to_string().len(), 64);
    }

    #[test]
    fn what_is_none_is_told_from_what_is_mistyped() {
        let text = token().to_text();
        let cut = text.strip_suffix(|_: char| true).unwrap();
        for (bad, why) in [
            (String::new(), JoinTokenError::Prefix),
            ("credence-join".into(), JoinTokenError::Prefix),
            ("credence-join-2-AAAA".into(), JoinTokenError::Version),
            (PREFIX.into(), JoinTokenError::Length(0)),
            (cut.into(), JoinTokenError::Length(90)),
            (format!("{}=", *text), JoinTokenError::Length(92)),
            (format!("{cut} "), JoinTokenError::Checksum),
        ] {
            assert_eq!(JoinToken::parse(&bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn the_hash_is_of_all_that_differs() {
        let hash = |random, root: &[u8]| JoinToken::new(random, RootPin::of(root)).hash();
        assert_ne!(hash([7; 32], b"root"), hash([8; 32], b"root"));
        assert_ne!(hash([7; 32], b"root"), hash([7; 32], b"other"));
        assert_ne!(token().hash().octets(), &token().secret);
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_found(at in 0..ENCODED, to in "[A-Za-z0-9_-]") {
            let mut text = token().to_text().to_string();
            let at = PREFIX.len() + at;
            prop_assume!(text.get(at..=at) != Some(to.as_str()));
            text.replace_range(at..=at, &to);
            prop_assert_eq!(JoinToken::parse(&text), Err(JoinTokenError::Checksum));
        }

        #[test]
        fn reads_back_what_it_wrote(random: [u8; 32], root: [u8; 32]) {
            let text = JoinToken::new(random, RootPin(root)).to_text();
            let read = JoinToken::parse(&text).unwrap();
            prop_assert_eq!((read.secret, read.root), (random, root));
            prop_assert_eq!(read.to_text(), text);
        }
    }
}
