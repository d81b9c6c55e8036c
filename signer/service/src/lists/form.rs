//! How long lists are good for, and what the deny list says.

use crate::revocations::Content;
use credence_ca::{
    guard::LONGEST_CRL_LIFE,
    hex,
    lifecycle::{CertificateId, Settings},
    validity::Time,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a list is good for: twice the longest life of a leaf, so that with half of it left no leaf outlives it. A CA that is down
/// costs no handshake then that its leaves would not cost.
#[must_use]
pub fn life(settings: &Settings) -> Duration {
    let terms = settings.terms();
    let longest = (terms.longest_leaf_life * 2).max(terms.refresh_hint * 4);
    longest.max(HOUR).min(LONGEST_CRL_LIFE / 2) + terms.clock_skew
}

/// thisUpdate and nextUpdate. `past` is over for everybody: a wall clock that is ahead makes no list that nobody takes yet. None if the
/// clock has gone too far ahead of it to say; for the first list of a run the clock is believed, since there may have been
/// a long downtime.
pub(super) fn times(now: Time, past: Time, life: Duration, first: bool) -> Option<(Time, Time)> {
    let next = now.max(past).plus(life);
    let earliest = next.minus(LONGEST_CRL_LIFE);
    match (past >= earliest, first) {
        (true, _) => Some((past, next)),
        (false, true) => Some((earliest, next)),
        (false, false) => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    number: u64,
    ids: &'a [String],
    serials: Vec<ListedSerial>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedSerial {
    issuer_key_id: String,
    serial: String,
}

/// The filter's deny list, JSON. What is revoked by its identity need not be there by its number.
pub(super) fn document(
    number: u64,
    content: &Content,
    key_ids: &BTreeMap<CertificateId, Vec<u8>>,
) -> String {
    let ids: BTreeSet<_> = content.identities.iter().collect();
    let serials = content.leaves.iter().filter_map(|(serial, leaf)| {
        let key_id = key_ids.get(&leaf.issuer)?;
        let listed = ListedSerial {
            issuer_key_id: hex(key_id),
            serial: hex(serial.octets()),
        };
        (!ids.contains(&leaf.identity)).then_some(listed)
    });
    let document = Document {
        number,
        ids: &content.identities,
        serials: serials.collect(),
    };
    // text, numbers and arrays: encoding them does not fail
    serde_json::to_string(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocations::RevokedLeaf;
    use credence_ca::{lifecycle::Terms, serial::Serial};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    #[test]
    fn half_of_a_list_s_life_is_no_less_than_a_leaf_s() {
        for seconds in [1, 3600, 24 * 3600, 7 * 24 * 3600] {
            let terms = Terms {
                longest_leaf_life: Duration::from_secs(seconds),
                ..Terms::default()
            };
            let life = life(&terms.try_into().unwrap());
            assert!(life / 2 >= terms.longest_leaf_life, "{seconds}");
            assert!(life >= HOUR && life <= LONGEST_CRL_LIFE);
        }
    }

    #[test]
    fn a_list_begins_where_everybody_s_clock_has_been() {
        let past = now().minus(Duration::from_secs(300));
        let expected = Some((past, now().plus(DAY)));
        assert_eq!(times(now(), past, DAY, false), expected);
        // after a wall clock was set back, `past` may be ahead of it
        let behind = past.minus(DAY);
        assert_eq!(
            times(behind, past, DAY, false),
            Some((past, past.plus(DAY)))
        );
    }

    #[test]
    fn a_clock_that_jumps_far_ahead_makes_no_list_and_a_long_downtime_does() {
        let past = now().minus(40 * DAY);
        assert_eq!(times(now(), past, 2 * DAY, false), None);
        let first = times(now(), past, 2 * DAY, true).unwrap();
        assert!(first.0 < now() && first.1 == now().plus(2 * DAY));
    }

    #[test]
    fn the_deny_list_names_an_identity_once_and_what_was_reinstated_by_number() {
        let issuer = CertificateId::of(b"issuer");
        let leaf = |identity: &str, issuer| RevokedLeaf {
            identity: identity.into(),
            issuer,
            since: now(),
            not_after: now(),
        };
        let serial = |octet| Serial::from_octets(&[octet]).unwrap();
        let content = Content {
            identities: vec!["spiffe://example.org/a".into()],
            leaves: vec![
                (serial(1), leaf("spiffe://example.org/a", issuer)),
                (serial(2), leaf("spiffe://example.org/b", issuer)),
                (
                    serial(3),
                    leaf("spiffe://example.org/b", CertificateId::of(b"gone")),
                ),
            ],
        };
        let key_ids = BTreeMap::from([(issuer, vec![0xab, 0xcd])]);
        assert_eq!(
            document(7, &content, &key_ids),
            r#"{"number":7,"ids":["spiffe://example.org/a"],"serials":[{"issuerKeyId":"abcd","serial":"02"}]}"#
        );
    }
}
