//! Certificates and identities that are no longer good, though their time has not come.

use std::collections::HashSet;

use serde::Deserialize;
use spiffe::SpiffeId;

use crate::{
    fault::{Collector, FaultKind, Faults, quote, read_json},
    limits,
    pattern::{Pattern, PatternSet},
    principal::Principal,
};

/// A deny list: `{"number": 7, "ids": […], "serials": [{"issuerKeyId": …, "serial": …}], "sha256": […]}`.
///
/// A list replaces one with a lower number and no other, so that an older one that arrives late takes
/// nothing back.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    number: u64,
    ids: PatternSet,
    serials: HashSet<(Vec<u8>, Vec<u8>)>,
    sha256: HashSet<[u8; 32]>,
    entries: usize,
}

/// What of a leaf certificate a deny list looks at.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// Its SPIFFE ID.
    pub id: &'a SpiffeId,
    /// Its serial number, big-endian; zeros in front do not count.
    pub serial: &'a [u8],
    /// The key identifier of its issuer (RFC 5280 §4.2.1.1), if it names one.
    pub issuer_key_id: Option<&'a [u8]>,
    /// SHA-256 of its DER.
    pub sha256: &'a [u8; 32],
}

/// The entry that revokes a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedBy {
    /// Its identity.
    Id,
    /// Its serial number and issuer.
    Serial,
    /// Its digest.
    Sha256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    number: u64,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    serials: Vec<RawSerial>,
    #[serde(default)]
    sha256: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSerial {
    issuer_key_id: String,
    serial: String,
}

impl Revocations {
    /// Reads a deny list.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn from_json(json: &[u8]) -> Result<Self, Faults> {
        if json.len() > limits::MAX_DOCUMENT_BYTES {
            return Err(Faults::one(FaultKind::DocumentTooLong(json.len())));
        }
        let raw: Raw = read_json(json)?;
        let mut faults = Collector::default();
        let entries = raw.ids.len() + raw.serials.len() + raw.sha256.len();
        if !faults.at_most(&"", "entries", entries, limits::MAX_REVOCATIONS) {
            return Err(faults.into_faults());
        }
        let ids: Vec<Pattern> = all("/ids", &raw.ids, |text| id(text), &mut faults);
        let serials = all("/serials", &raw.serials, serial, &mut faults);
        let sha256 = all("/sha256", &raw.sha256, |text| digest(text), &mut faults);
        faults.finish(Self {
            number: raw.number,
            ids: PatternSet::new(ids),
            serials: serials.into_iter().collect(),
            sha256: sha256.into_iter().collect(),
            entries,
        })
    }

    /// Which list of several this is: the highest counts.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it revokes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// What revokes a leaf, if anything does. Identities are compared as certificates write them: an alias
    /// of a trust domain is an entry of its own.
    #[must_use]
    pub fn revokes(&self, leaf: &Leaf<'_>) -> Option<RevokedBy> {
        if self.entries == 0 {
            return None;
        }
        if self.sha256.contains(leaf.sha256) {
            return Some(RevokedBy::Sha256);
        }
        let by_serial = leaf.issuer_key_id.is_some_and(|issuer| {
            let key = (issuer.to_vec(), without_zeros(leaf.serial).to_vec());
            self.serials.contains(&key)
        });
        if by_serial {
            return Some(RevokedBy::Serial);
        }
        self.ids
            .matches(&leaf.id.to_string())
            .then_some(RevokedBy::Id)
    }
}

fn all<R, T>(
    at: &str,
    raw: &[R],
    read: impl Fn(&R) -> Result<T, FaultKind>,
    faults: &mut Collector,
) -> Vec<T> {
    let read = |(index, raw)| faults.keep_at(&at, index, read(raw));
    raw.iter().enumerate().filter_map(read).collect()
}

fn id(text: &str) -> Result<Pattern, FaultKind> {
    let principal = Principal::new(text).map_err(|why| FaultKind::Principal {
        quoted: quote(text),
        why,
    })?;
    Ok(principal.into_pattern())
}

fn serial(raw: &RawSerial) -> Result<(Vec<u8>, Vec<u8>), FaultKind> {
    let issuer = bytes(
        &raw.issuer_key_id,
        "an issuer's key identifier in hexadecimal",
    )?;
    let serial = bytes(&raw.serial, "a serial number in hexadecimal")?;
    Ok((issuer, without_zeros(&serial).to_vec()))
}

fn digest(text: &str) -> Result<[u8; 32], FaultKind> {
    let what = "a SHA-256 digest of 64 hexadecimal digits";
    let wrong = |_| FaultKind::Hex {
        quoted: quote(text),
        what,
    };
    bytes(text, what)?.try_into().map_err(wrong)
}

/// Hexadecimal digits, with or without colons between the octets.
fn bytes(text: &str, what: &'static str) -> Result<Vec<u8>, FaultKind> {
    let wrong = || FaultKind::Hex {
        quoted: quote(text),
        what,
    };
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let (pairs, odd) = digits.as_chunks::<2>();
    if digits.is_empty() || digits.len() > 128 || !odd.is_empty() {
        return Err(wrong());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn without_zeros(serial: &[u8]) -> &[u8] {
    let start = serial.iter().position(|byte| *byte != 0);
    start.map_or(&[], |start| serial.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use spiffe::SpiffeId;

    use super::{Leaf, Revocations, RevokedBy};
    use crate::Fault;

    fn revoked(list: &str, id: &str, serial: &[u8], issuer: Option<&[u8]>) -> Option<RevokedBy> {
        let list = Revocations::from_json(list.as_bytes()).unwrap();
        list.revokes(&Leaf {
            id: &SpiffeId::new(id).unwrap(),
            serial,
            issuer_key_id: issuer,
            sha256: &[7; 32],
        })
    }

    #[test]
    fn each_kind_of_entry_revokes_what_it_names_and_no_more() {
        let id = "spiffe://example.org/team/a";
        let by_id = r#"{"number": 1, "ids": ["spiffe://example.org/team/*"]}"#;
        assert_eq!(revoked(by_id, id, &[1], None), Some(RevokedBy::Id));
        assert_eq!(
            revoked(by_id, "spiffe://example.org/teams", &[1], None),
            None
        );
        let by_serial =
            r#"{"number": 1, "serials": [{"issuerKeyId": "AB:cd", "serial": "00:01"}]}"#;
        for (serial, issuer, expected) in [
            (&[1][..], Some(&[0xab, 0xcd][..]), Some(RevokedBy::Serial)),
            (&[0, 1], Some(&[0xab, 0xcd]), Some(RevokedBy::Serial)),
            (&[1, 0], Some(&[0xab, 0xcd]), None),
            (&[1], Some(&[0xab]), None),
            (&[1], None, None),
        ] {
            assert_eq!(revoked(by_serial, id, serial, issuer), expected);
        }
        let digest = |byte: &str| format!(r#"{{"number": 1, "sha256": ["{}"]}}"#, byte.repeat(32));
        assert_eq!(
            revoked(&digest("07"), id, &[1], None),
            Some(RevokedBy::Sha256)
        );
        assert_eq!(revoked(&digest("08"), id, &[1], None), None);
    }

    #[test]
    fn every_fault_is_named() {
        let json = r#"{"number": 1, "ids": ["x"], "serials": [{"issuerKeyId": "zz", "serial": "1"},
            {"issuerKeyId": "00", "serial": ""}], "sha256": ["00"]}"#;
        let faults = Revocations::from_json(json.as_bytes()).unwrap_err();
        let at: Vec<_> = faults.iter().map(Fault::pointer).collect();
        assert_eq!(at, ["/ids/0", "/serials/0", "/serials/1", "/sha256/0"]);
        assert!(Revocations::from_json(b"{}").is_err());
    }
}
