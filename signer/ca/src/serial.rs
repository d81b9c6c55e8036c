//! Serial numbers.

use crate::der;
use std::fmt;
use thiserror::Error;

/// The longest serial number, in octets (RFC 5280 §4.1.2.2).
const LONGEST: usize = 20;

/// Octets that are not a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a serial number is positive, has 1 to {LONGEST} octets with its sign, and no leading zeros"
)]
pub struct SerialError;

/// A positive serial number of at most 20 octets (RFC 5280 §4.1.2.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From 16 octets of a cryptographic random number generator. The top bits are set to 01, so
    /// that the number is positive and always 16 octets long; 126 random bits remain.
    #[must_use]
    pub fn from_random(mut octets: [u8; 16]) -> Self {
        octets[0] = octets[0] & 0x3f | 0x40;
        Self(octets.to_vec())
    }

    /// From a number that is known, big endian, without leading zeros.
    ///
    /// # Errors
    /// If it is zero, begins with a zero, or takes more than 20 octets as an INTEGER.
    pub fn from_octets(octets: &[u8]) -> Result<Self, SerialError> {
        let sign = octets.first().is_some_and(|first| first & 0x80 != 0);
        let good = octets.first().is_some_and(|first| *first != 0)
            && octets.len() + usize::from(sign) <= LONGEST;
        if good {
            Ok(Self(octets.to_vec()))
        } else {
            Err(SerialError)
        }
    }

    /// The number, big endian, without leading zeros.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The DER INTEGER.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        der::unsigned_integer(&self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_positive_and_16_octets_whatever_the_dice_say() {
        for dice in [[0; 16], [0xff; 16]] {
            let der = Serial::from_random(dice).to_der();
            assert_eq!(der.len(), 18);
            assert_eq!(der::unsigned(&der[2..]).unwrap().len(), 16);
        }
    }

    #[test]
    fn is_positive_and_at_most_20_octets_wherever_it_comes_from() {
        for (octets, der) in [
            (&[1][..], &[2, 1, 1][..]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[7; 20], &[&[2, 20][..], &[7; 20]].concat()),
        ] {
            assert_eq!(Serial::from_octets(octets).unwrap().to_der(), der);
        }
        for bad in [&[][..], &[0], &[0, 1], &[7; 21], &[0x80; 20]] {
            assert_eq!(Serial::from_octets(bad), Err(SerialError), "{bad:02x?}");
        }
    }
}
