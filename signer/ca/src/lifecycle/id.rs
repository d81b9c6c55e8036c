//! Names of certificates and bundles, made of their content: two histories of one CA, of which one
//! was lost and a backup restored, never give one name to two things.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A text that is none of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// Another length, or anything but lower-case hexadecimal digits.
    #[error("not {0} octets in lower-case hexadecimal digits")]
    Hex(usize),
    /// Not a number, a hyphen and a digest.
    #[error("a bundle is named SEQUENCE-DIGEST, such as 7- and 32 hexadecimal digits")]
    Bundle,
}

/// Octets that are written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex(&self.0))
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut octets = [0; N];
        let mut digits = text.bytes().map(digit);
        for octet in &mut octets {
            let (high, low) = (digits.next().flatten(), digits.next().flatten());
            *octet = high.ok_or(IdError::Hex(N))? << 4 | low.ok_or(IdError::Hex(N))?;
        }
        match digits.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(IdError::Hex(N)),
        }
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(hex: Hex<N>) -> Self {
        hex.to_string()
    }
}

/// A certificate, by the SHA-256 of its DER. Its text form is lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertificateId(Hex<32>);

impl CertificateId {
    /// Of this certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(der).into())
    }

    /// From the SHA-256 of a certificate's DER.
    #[must_use]
    pub fn from_sha256(digest: [u8; 32]) -> Self {
        Self(Hex(digest))
    }

    /// The SHA-256 of the certificate's DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.0.0
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for CertificateId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// One bundle as it was published: its sequence number and a digest of what is in it.
///
/// The number is what consumers compare (`spiffe_sequence`), and grows with each change. The digest
/// tells bundles apart that got the same number in two histories, before and after a restore: a holder's
/// word on a bundle of a lost history is never taken for one of ours. The text form, `7-` and 32
/// hexadecimal digits, serves as the version on SDS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleId {
    sequence: u64,
    digest: Hex<16>,
}

impl BundleId {
    /// The name of these roots, in this order, under this number.
    #[must_use]
    pub fn of(sequence: u64, roots: &[CertificateId]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"credence bundle 1");
        for root in roots {
            hash.update(root.sha256());
        }
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self {
            sequence,
            digest: Hex(digest),
        }
    }

    /// The sequence number; grows with each change.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sequence, self.digest)
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BundleId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (number, digest) = text.split_once('-').ok_or(IdError::Bundle)?;
        let sequence: u64 = number.parse().map_err(|_| IdError::Bundle)?;
        let id = Self {
            sequence,
            digest: digest.parse().map_err(|_| IdError::Bundle)?,
        };
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(IdError::Bundle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: CertificateId = CertificateId(Hex([7; 32]));
    const OTHER: CertificateId = CertificateId(Hex([8; 32]));

    #[test]
    fn a_bundle_is_its_number_its_roots_and_their_order() {
        let bundle = BundleId::of(7, &[ROOT, OTHER]);
        assert_eq!(bundle, BundleId::of(7, &[ROOT, OTHER]));
        for other in [
            BundleId::of(8, &[ROOT, OTHER]),
            BundleId::of(7, &[OTHER, ROOT]),
            BundleId::of(7, &[ROOT]),
        ] {
            assert_ne!(bundle, other);
        }
        assert_eq!(
            BundleId::of(1, &[ROOT]).to_string(),
            "1-4d31c3935c3f6534029f6fa11d27ceb3"
        );
    }

    #[test]
    fn only_the_one_form_is_read() {
        let digits = "0123456789abcdef0123456789abcdef";
        assert!(format!("7-{digits}").parse::<BundleId>().is_ok());
        for bad in [
            String::new(),
            "7".to_owned(),
            digits.to_owned(),
            format!("07-{digits}"),
            format!("+7-{digits}"),
            format!("-7-{digits}"),
            format!("7-{digits}0"),
            format!("7-{}", digits.trim_start_matches('0')),
            format!("7-{}", digits.to_uppercase()),
            format!("18446744073709551616-{digits}"),
        ] {
            assert_eq!(bad.parse::<BundleId>(), Err(IdError::Bundle), "{bad}");
        }
        assert_eq!("ab".parse::<CertificateId>(), Err(IdError::Hex(32)));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(sequence: u64, octets: [u8; 32]) {
            let id = CertificateId::from_sha256(octets);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let bundle = BundleId::of(sequence, &[id]);
            prop_assert_eq!(bundle.to_string().parse(), Ok(bundle));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[0-9a-fA-F-]{0,40}") {
            if let Ok(bundle) = text.parse::<BundleId>() {
                prop_assert_eq!(bundle.to_string(), text);
            }
        }
    }
}
