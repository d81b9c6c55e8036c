//! A strict reader and a small writer of DER (X.690 §10 and §11).
//!
//! It reads what certificates and certification requests need: single-octet tags, definite
//! lengths in their shortest form, at most 2^24 - 1 octets. Anything else is an error.

use thiserror::Error;

/// The universal and context tags used here.
pub mod tag {
    /// BOOLEAN
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING
    pub const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER
    pub const OID: u8 = 0x06;
    /// ENUMERATED
    pub const ENUMERATED: u8 = 0x0a;
    /// UTF8String
    pub const UTF8_STRING: u8 = 0x0c;
    /// UTCTime
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// SEQUENCE, SEQUENCE OF
    pub const SEQUENCE: u8 = 0x30;
    /// SET, SET OF
    pub const SET: u8 = 0x31;
    /// `[n]`, constructed
    #[must_use]
    pub const fn context_constructed(n: u8) -> u8 {
        0xa0 | n
    }
    /// `[n]`, primitive
    #[must_use]
    pub const fn context(n: u8) -> u8 {
        0x80 | n
    }
}

/// Why bytes are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DerError {
    /// The bytes end inside an element.
    #[error("the bytes end inside an element")]
    Truncated,
    /// Bytes follow where the element has to end.
    #[error("{0} bytes follow where the encoding has to end")]
    Trailing(usize),
    /// Another element stands there.
    #[error("expected tag 0x{expected:02x}, found 0x{found:02x}")]
    Tag {
        /// The tag that has to stand there.
        expected: u8,
        /// The tag that stands there.
        found: u8,
    },
    /// A length that is indefinite, over-long or not in its shortest form.
    #[error("a length is not in DER's shortest definite form")]
    Length,
    /// A value whose octets are not DER's one way of writing it.
    #[error("a {0} is not in its canonical form")]
    Value(&'static str),
}

/// An element: its tag, its value, and all of it as it stood in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The contents octets.
    pub value: &'a [u8],
    /// Identifier, length and contents octets.
    pub raw: &'a [u8],
}

/// Reads elements one after another.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first octet.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element's tag, without reading it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads the next element, whatever it is.
    ///
    /// # Errors
    /// If there is none, or its header is not DER.
    pub fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let tag = *self.rest.first().ok_or(DerError::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::Value("tag"));
        }
        let (header, length) = header(self.rest)?;
        let end = header.checked_add(length).ok_or(DerError::Length)?;
        let raw = self.rest.get(..end).ok_or(DerError::Truncated)?;
        let value = raw.get(header..).ok_or(DerError::Truncated)?;
        self.rest = self.rest.get(end..).ok_or(DerError::Truncated)?;
        Ok(Tlv { tag, value, raw })
    }

    /// Reads the next element, which has to bear `tag`.
    ///
    /// # Errors
    /// If another element, or none, stands there.
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, DerError> {
        match self.peek() {
            Some(found) if found == tag => self.any(),
            Some(found) => Err(DerError::Tag {
                expected: tag,
                found,
            }),
            None => Err(DerError::Truncated),
        }
    }

    /// Reads the next element if it bears `tag`.
    ///
    /// # Errors
    /// If it does, but is not DER.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.peek() == Some(tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Says that nothing may follow.
    ///
    /// # Errors
    /// If something does.
    pub fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DerError::Trailing(self.rest.len()))
        }
    }
}

/// Reads one element that is all of `bytes`.
///
/// # Errors
/// If it is not, or does not bear `tag`.
pub fn single(bytes: &[u8], tag: u8) -> Result<Tlv<'_>, DerError> {
    let mut reader = Reader::new(bytes);
    let tlv = reader.expect(tag)?;
    reader.finish()?;
    Ok(tlv)
}

/// Length of the header and of the contents.
fn header(bytes: &[u8]) -> Result<(usize, usize), DerError> {
    let first = usize::from(*bytes.get(1).ok_or(DerError::Truncated)?);
    if first < 0x80 {
        return Ok((2, first));
    }
    let octets = first & 0x7f;
    if !(1..=3).contains(&octets) {
        return Err(DerError::Length);
    }
    let digits = bytes.get(2..2 + octets).ok_or(DerError::Truncated)?;
    let length = digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d));
    let shortest = length >= 0x80 && digits.first() != Some(&0);
    if shortest {
        Ok((2 + octets, length))
    } else {
        Err(DerError::Length)
    }
}

/// A BOOLEAN's value: DER knows 0x00 and 0xff only (X.690 §11.1).
///
/// # Errors
/// If it is neither.
pub fn boolean(value: &[u8]) -> Result<bool, DerError> {
    match value {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(DerError::Value("BOOLEAN")),
    }
}

/// The octets of an INTEGER that is not negative, without a leading zero octet; zero is `[0]`.
///
/// # Errors
/// If it is negative or not in its shortest form (X.690 §8.3.2).
pub fn unsigned(value: &[u8]) -> Result<&[u8], DerError> {
    match value {
        [] => Err(DerError::Value("INTEGER")),
        [0] => Ok(value),
        [0, second, ..] if *second < 0x80 => Err(DerError::Value("INTEGER")),
        [0, magnitude @ ..] => Ok(magnitude),
        [first, ..] if *first >= 0x80 => Err(DerError::Value("INTEGER")),
        _ => Ok(value),
    }
}

/// The octets of a BIT STRING that has a whole number of them.
///
/// # Errors
/// If bits are unused.
pub fn bit_string_octets(value: &[u8]) -> Result<&[u8], DerError> {
    match value {
        [0, octets @ ..] => Ok(octets),
        _ => Err(DerError::Value("BIT STRING")),
    }
}

/// Writes one element.
#[must_use]
pub fn encode(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = value.len();
    if length < 0x80 {
        out.push(length.to_le_bytes()[0]);
    } else {
        let digits: Vec<u8> = length
            .to_be_bytes()
            .into_iter()
            .skip_while(|d| *d == 0)
            .collect();
        out.push(0x80 | digits.len().to_le_bytes()[0]);
        out.extend_from_slice(&digits);
    }
    out.extend_from_slice(value);
    out
}

/// Writes a SEQUENCE of elements that are encoded already.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

/// A positive INTEGER, or zero, from its big endian octets.
#[must_use]
pub fn unsigned_integer(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let digits = octets.get(zeros..).unwrap_or_default();
    match digits.first() {
        Some(first) if first & 0x80 == 0 => encode(tag::INTEGER, digits),
        _ => encode(tag::INTEGER, &[&[0], digits].concat()),
    }
}

/// Writes a BIT STRING of whole octets.
#[must_use]
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    encode(tag::BIT_STRING, &[&[0], octets].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_wrote() {
        let long = vec![7; 70_000];
        for value in [
            &[][..],
            &[1, 2],
            &long[..127],
            &long[..128],
            &long[..256],
            &long,
        ] {
            let bytes = encode(tag::OCTET_STRING, value);
            assert_eq!(single(&bytes, tag::OCTET_STRING).unwrap().value, value);
        }
    }

    #[test]
    fn refuses_every_other_way_to_write_a_length() {
        for (bytes, why) in [
            (&[0x04, 0x80, 0, 0][..], DerError::Length), // indefinite
            (&[0x04, 0x81, 0x01, 0xaa], DerError::Length), // should be one octet
            (&[0x04, 0x82, 0x00, 0x80], DerError::Length), // leading zero
            (&[0x04, 0x84, 0, 0, 0, 1], DerError::Length), // over-long
            (&[0x04, 0x02, 0xaa], DerError::Truncated),
            (&[0x04], DerError::Truncated),
            (&[], DerError::Truncated),
            (&[0x1f, 0x01, 0x00], DerError::Value("tag")),
        ] {
            assert_eq!(Reader::new(bytes).any().unwrap_err(), why, "{bytes:02x?}");
        }
    }

    #[test]
    fn says_what_trails() {
        assert_eq!(
            single(&[0x04, 0, 1, 2], 0x04).unwrap_err(),
            DerError::Trailing(2)
        );
    }

    #[test]
    fn takes_only_the_shortest_positive_integer() {
        assert_eq!(unsigned(&[0]).unwrap(), [0]);
        assert_eq!(unsigned(&[0x7f]).unwrap(), [0x7f]);
        assert_eq!(unsigned(&[0, 0x80]).unwrap(), [0x80]);
        for bad in [&[][..], &[0x80], &[0, 0x7f], &[0, 0]] {
            assert!(unsigned(bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn writes_integers_in_their_shortest_form() {
        for (octets, der) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[0, 0x7f], &[2, 1, 0x7f]),
            (&[0, 0x80], &[2, 2, 0, 0x80]),
            (&[1, 0], &[2, 2, 1, 0]),
        ] {
            assert_eq!(unsigned_integer(octets), der);
            assert!(unsigned(&der[2..]).is_ok());
        }
    }

    #[test]
    fn takes_only_der_booleans() {
        assert!(boolean(&[0xff]).unwrap());
        assert!(!boolean(&[0]).unwrap());
        for bad in [&[][..], &[1], &[0xff, 0xff]] {
            assert!(boolean(bad).is_err(), "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn an_element_is_written_in_one_way(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(tlv) = Reader::new(&bytes).any() {
                prop_assert_eq!(encode(tlv.tag, tlv.value), tlv.raw);
            }
        }
    }
}
