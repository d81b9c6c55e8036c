//! Distinguished names that the host chooses.

use crate::{
    der::{self, tag},
    oid,
};
use std::fmt;

/// The subject of a CA certificate: organization and common name, in this order, both
/// UTF8String, each in an RDN of its own. Leaves have the empty name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName {
    /// organizationName
    pub organization: String,
    /// commonName
    pub common_name: String,
}

/// The DER of the empty name.
pub const EMPTY: &[u8] = &[0x30, 0x00];

impl DistinguishedName {
    /// The DER Name (RFC 5280 §4.1.2.4).
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        der::sequence(&[
            &attribute(oid::value::ORGANIZATION, &self.organization),
            &attribute(oid::value::COMMON_NAME, &self.common_name),
        ])
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "O={}, CN={}", self.organization, self.common_name)
    }
}

fn attribute(kind: &[u8], text: &str) -> Vec<u8> {
    let pair = der::sequence(&[
        &der::encode(tag::OID, kind),
        &der::encode(tag::UTF8_STRING, text.as_bytes()),
    ]);
    der::encode(tag::SET, &pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_both_attributes() {
        let name = DistinguishedName {
            organization: "ab".into(),
            common_name: "c".into(),
        };
        let expected = [
            0x30, 0x19, 0x31, 0x0b, 0x30, 0x09, 6, 3, 0x55, 4, 0x0a, 0x0c, 2, b'a', b'b', 0x31,
            0x0a, 0x30, 0x08, 6, 3, 0x55, 4, 3, 0x0c, 1, b'c',
        ];
        assert_eq!(name.to_der(), expected);
    }
}
