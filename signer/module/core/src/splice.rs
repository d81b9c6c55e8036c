//! Puts the issuer's name, octet by octet, into what rcgen wrote.
//!
//! rcgen writes names from attributes, one of each kind, and cannot write every name that a
//! corporate CA bears. So it is given an empty one, and the issuer's own is put in its place.

use crate::der::{SEQUENCE, contents, element};

/// A TBSCertificate with another issuer: the fourth of its fields (RFC 5280 §4.1). None if the
/// octets are not a TBSCertificate.
pub(crate) fn with_issuer(tbs: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let (fields, rest) = contents(tbs)?;
    let (version, after) = element(fields)?;
    let (serial, after) = element(after)?;
    let (algorithm, after) = element(after)?;
    let (_issuer, after) = element(after)?;
    rest.is_empty()
        .then(|| sequence(&[version, serial, algorithm, name, after].concat()))
}

fn sequence(contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    let digits = length.get(zeros..).unwrap_or_default();
    let head = match digits {
        [] => vec![SEQUENCE, 0],
        [short] if *short < 0x80 => vec![SEQUENCE, *short],
        long => [
            &[SEQUENCE, 0x80 | u8::try_from(long.len()).unwrap_or(0)],
            long,
        ]
        .concat(),
    };
    [head.as_slice(), contents].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_fourth_field() {
        let tbs = [0x30, 10, 0xa0, 0, 2, 0, 0x30, 0, 0x30, 0, 5, 0];
        let name = [0x30, 2, 0x31, 0];
        let spliced = with_issuer(&tbs, &name).unwrap();
        assert_eq!(
            spliced,
            [0x30, 12, 0xa0, 0, 2, 0, 0x30, 0, 0x30, 2, 0x31, 0, 5, 0]
        );
    }

    #[test]
    fn writes_lengths_of_every_size() {
        for size in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let whole = sequence(&vec![7; size]);
            let (inside, rest) = contents(&whole).unwrap();
            assert_eq!((inside.len(), rest.len()), (size, 0));
        }
        assert_eq!(sequence(&[7; 128])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(sequence(&[7; 256])[..4], [0x30, 0x82, 1, 0]);
    }

    #[test]
    fn takes_nothing_else() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 4, 5, 0],
            &[0x30, 0, 1],
            &[0x30, 0x84, 1],
        ] {
            assert_eq!(with_issuer(bad, &[0x30, 0]), None, "{bad:02x?}");
        }
    }
}
