//! Envoy's own certificates, as its admin interface lists them under `/certs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    names::{OVERFLOW, labelled},
    ports::Meters,
    tally::Tally,
    time::Millis,
};

/// Bytes of `/certs` that are looked at.
pub const MAX_CERTS_BYTES: usize = 4 * 1024 * 1024;
/// Certificates with series of their own.
const MAX_OWN: usize = 64;

/// Series of Envoy's own certificates.
#[cfg(test)]
pub(crate) const NAMES: [&str; 4] = [EXPIRES, AGE, ROTATIONS, LATE];
const EXPIRES: &str = "own_certificate_expires_seconds";
const AGE: &str = "own_certificate_age_seconds";
const ROTATIONS: &str = "own_certificate_rotations_total";
const LATE: &str = "own_certificate_late_seconds";

/// Why `/certs` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CertsFault {
    /// Longer than [`MAX_CERTS_BYTES`].
    #[error("/certs has {0} bytes; at most {MAX_CERTS_BYTES} are read")]
    TooLong(usize),
    /// Not the JSON that Envoy 1.40 writes.
    #[error("/certs is not what Envoy's admin interface writes: {0}")]
    Json(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Certs {
    #[serde(default)]
    certificates: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    cert_chain: Vec<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    serial_number: String,
    #[serde(default)]
    subject_alt_names: Vec<Name>,
    valid_from: String,
    expiration_time: String,
}

#[derive(Deserialize)]
struct Name {
    uri: Option<String>,
    dns: Option<String>,
    ip_address: Option<String>,
}

/// One certificate of Envoy's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    serial: String,
    valid_from: i64,
    expires: i64,
}

/// The newest certificate of each of Envoy's identities.
#[derive(Debug, Default)]
pub struct OwnCertificates {
    newest: BTreeMap<String, Own>,
}

impl OwnCertificates {
    /// Takes in what `/certs` says; a certificate newer than the one before is a rotation.
    ///
    /// # Errors
    /// If it cannot be read: what was known stays.
    pub fn take(&mut self, json: &[u8], tally: &mut Tally) -> Result<(), CertsFault> {
        if json.len() > MAX_CERTS_BYTES {
            return Err(CertsFault::TooLong(json.len()));
        }
        let certs: Certs = serde_json::from_slice(json)?;
        let listed = newest_of_each(certs);
        for (name, own) in &listed {
            if self.newest.get(name).is_some_and(|old| own.replaces(old)) {
                tally.add(series(ROTATIONS, name), 1);
            }
        }
        self.newest = listed;
        Ok(())
    }

    /// Sets the gauges.
    pub fn show(&self, now: Millis, meters: &mut impl Meters) {
        let now = now.seconds();
        for (name, own) in &self.newest {
            meters.declare(&series(ROTATIONS, name));
            for (gauge, seconds) in [
                (EXPIRES, own.expires.saturating_sub(now)),
                (AGE, now.saturating_sub(own.valid_from)),
                (LATE, now.saturating_sub(own.half_life())),
            ] {
                let seconds = u64::try_from(seconds).unwrap_or(0);
                meters.set_gauge(&series(gauge, name), seconds);
            }
        }
    }
}

impl Own {
    fn replaces(&self, old: &Self) -> bool {
        self.serial != old.serial && self.valid_from >= old.valid_from
    }

    /// When it should have been replaced by, as Credence's agent does.
    fn half_life(&self) -> i64 {
        let life = self.expires.saturating_sub(self.valid_from);
        self.valid_from.saturating_add(life / 2)
    }
}

fn newest_of_each(certs: Certs) -> BTreeMap<String, Own> {
    let mut newest: BTreeMap<String, Own> = BTreeMap::new();
    for entry in certs.certificates {
        let Some((name, own)) = entry.cert_chain.into_iter().next().and_then(read) else {
            continue;
        };
        let has_room = newest.len() < MAX_OWN || newest.contains_key(&name);
        let name = if has_room { name } else { OVERFLOW.into() };
        let known = newest.entry(name).or_insert_with(|| own.clone());
        if own.replaces(known) {
            *known = own;
        }
    }
    newest
}

fn read(details: Details) -> Option<(String, Own)> {
    let seconds = |text: &str| {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(time.unix_timestamp())
    };
    let own = Own {
        valid_from: seconds(&details.valid_from)?,
        expires: seconds(&details.expiration_time)?,
        serial: details.serial_number,
    };
    let names = details.subject_alt_names;
    let first = |of: fn(&Name) -> Option<&String>| names.iter().find_map(of).cloned();
    let name = first(|name| name.uri.as_ref())
        .or_else(|| first(|name| name.dns.as_ref()))
        .or_else(|| first(|name| name.ip_address.as_ref()))
        .unwrap_or_else(|| format!("serial:{}", own.serial));
    // What ends a label's value must not be in it.
    Some((name.replace(';', "_"), own))
}

fn series(name: &str, certificate: &str) -> String {
    labelled(name, "certificate", certificate)
}

#[cfg(test)]
mod tests {
    use super::OwnCertificates;
    use crate::{tally::Tally, testing::Recorder, time::Millis};

    fn certs(serial: &str, from: &str, to: &str) -> String {
        format!(
            r#"{{"certificates": [
                {{"ca_cert": [{{"path": "x"}}], "cert_chain": [{{
                    "path": "<inline>", "serial_number": "{serial}",
                    "subject_alt_names": [{{"uri": "spiffe://example.org/a"}}],
                    "days_until_expiration": "0", "valid_from": "{from}", "expiration_time": "{to}"
                }}]}},
                {{"ca_cert": [], "cert_chain": []}}
            ]}}"#
        )
    }

    fn gauge(meters: &Recorder, name: &str) -> u64 {
        let label = "certificate=.=spiffe://example.org/a;.;";
        meters.gauges[&format!("credence.own_certificate_{name}.{label}")]
    }

    #[test]
    fn age_expiry_and_lateness_are_shown() {
        let mut own = OwnCertificates::default();
        let json = certs("1", "1970-01-01T00:01:40Z", "1970-01-01T00:05:00.000Z");
        own.take(json.as_bytes(), &mut Tally::default()).unwrap();
        let mut meters = Recorder::default();
        own.show(Millis::new(150_000), &mut meters);
        let shown =
            |m: &Recorder| ["age_seconds", "expires_seconds", "late_seconds"].map(|n| gauge(m, n));
        assert_eq!(shown(&meters), [50, 150, 0]);
        own.show(Millis::new(350_000), &mut meters);
        assert_eq!(shown(&meters), [250, 0, 150]);
    }

    #[test]
    fn a_newer_certificate_is_a_rotation_once() {
        let mut own = OwnCertificates::default();
        let mut tally = Tally::default();
        let mut meters = Recorder::default();
        for (serial, minute) in [("1", 1), ("1", 1), ("2", 2), ("2", 2), ("1", 1), ("3", 2)] {
            let json = certs(
                serial,
                &format!("1970-01-01T00:0{minute}:00Z"),
                "1970-01-01T01:00:00Z",
            );
            own.take(json.as_bytes(), &mut tally).unwrap();
        }
        tally.flush(&mut meters);
        let total: i64 = meters.counters.values().sum();
        assert_eq!(total, 2);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut own = OwnCertificates::default();
        let json = certs("1", "1970-01-01T00:01:40Z", "1970-01-01T00:05:00Z");
        own.take(json.as_bytes(), &mut Tally::default()).unwrap();
        for bad in ["", "{", "[1]", r#"{"certificates": 1}"#] {
            assert!(
                own.take(bad.as_bytes(), &mut Tally::default()).is_err(),
                "{bad}"
            );
        }
        assert_eq!(own.newest.len(), 1);
    }
}
