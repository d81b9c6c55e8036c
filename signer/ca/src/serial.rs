//! Serial numbers.

use crate::der::{self, tag};
use std::fmt;

/// A positive serial number of at most 20 octets (RFC 5280 §4.1.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From 16 octets of a cryptographic random number generator. The top bits are set to 01, so
    /// that the number is positive and always 16 octets long; 126 random bits remain.
    #[must_use]
    pub fn from_random(mut octets: [u8; 16]) -> Self {
        octets[0] = octets[0] & 0x3f | 0x40;
        Self(octets.to_vec())
    }

    /// The number, big endian, without leading zeros.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The DER INTEGER. The top bit is never set, so no zero octet is needed.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        der::encode(tag::INTEGER, &self.0)
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
}
