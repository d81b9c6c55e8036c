//! Entries for servers and deny lists against a plain reading of them: the first entry that applies, any
//! entry that matches.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_policy::{
    Leaf, Policy, Revocations, RevokedBy, ServerDecision, ServerQuery, SpiffeId,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// An authority, and the host that it is; none if it is spelled in a way that could be another.
type Authority = (&'static str, Option<&'static str>);

const AUTHORITIES: [Authority; 6] = [
    ("a.test", Some("a.test")),
    ("A.Test:443", Some("a.test")),
    ("b.test:1", Some("b.test")),
    ("c.test", Some("c.test")),
    ("a.test.", None),
    ("x@a.test", None),
];

type Entry = [Option<Vec<&'static str>>; 3];

fn entry() -> impl Strategy<Value = Entry> {
    let some = |values: Vec<&'static str>| option::weighted(0.5, vec(select(values), 1..3));
    [
        some(vec!["a.test", "b.test"]),
        some(vec!["r1", "r2"]),
        some(vec!["c1", "c2"]),
    ]
    .prop_filter("an entry is of something", |lists| {
        lists.iter().any(Option::is_some)
    })
}

fn written(entries: &[Entry], allow: bool) -> Value {
    let servers: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(at, lists)| {
            let mut fields = Map::new();
            fields.insert("name".into(), json!(format!("s{at}")));
            fields.insert(
                "principals".into(),
                json!([format!("spiffe://own.test/s{at}")]),
            );
            for (field, list) in ["hosts", "routes", "clusters"].iter().zip(lists) {
                if let Some(list) = list {
                    fields.insert((*field).into(), json!(list));
                }
            }
            Value::Object(fields)
        })
        .collect();
    json!({
        "trustDomains": ["own.test"],
        "servers": servers,
        "defaultServerAction": if allow { "ALLOW" } else { "DENY" },
    })
}

fn authority() -> impl Strategy<Value = Option<Authority>> {
    option::weighted(0.9, select(&AUTHORITIES[..]))
}

const IDS: [&str; 4] = [
    "spiffe://own.test/a",
    "spiffe://own.test/team/b",
    "spiffe://own.test/teams",
    "spiffe://old.test/a",
];
const LISTED_IDS: [&str; 5] = [
    "spiffe://own.test/a",
    "spiffe://own.test/team/*",
    "*/b",
    "spiffe://old.test/*",
    "spiffe://own.test/other",
];

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A number, whatever zeros stand in front.
fn number(serial: &[u8]) -> u64 {
    serial
        .iter()
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_first_entry_that_applies_names_the_server(
        entries in vec(entry(), 0..6),
        allow in any::<bool>(),
        authority in authority(),
        route in option::of(select(vec!["r1", "r2", "r3"])),
        cluster in option::of(select(vec!["c1", "c2", "c3"])),
    ) {
        let policy = Policy::from_json(written(&entries, allow).to_string().as_bytes()).unwrap();
        let asked = [authority.and_then(|(_, host)| host), route, cluster];
        let applies = |lists: &Entry| {
            lists.iter().zip(asked).all(|(list, value)| match (list, value) {
                (None, _) => true,
                (Some(list), Some(value)) => list.contains(&value),
                (Some(_), None) => false,
            })
        };
        let query = ServerQuery { host: authority.map(|(text, _)| text), route, cluster };
        match (policy.server(&query), entries.iter().position(applies)) {
            (ServerDecision::Pin(server), Some(at)) => {
                prop_assert_eq!(server.index(), at);
                let id = format!("spiffe://own.test/s{at}");
                prop_assert!(server.allows(&id) && server.san_list() == id);
            }
            (ServerDecision::Unpinned, None) => prop_assert!(allow),
            (ServerDecision::Refused, None) => prop_assert!(!allow),
            (decided, expected) => prop_assert!(false, "{:?} is not {:?}", decided, expected),
        }
    }

    #[test]
    fn a_deny_list_revokes_what_it_names(
        ids in vec(select(&LISTED_IDS[..]), 0..3),
        serials in vec((select(vec![1_u8, 2]), vec(0_u8..3, 1..4)), 0..4),
        digests in vec(0_u8..4, 0..3),
        id in select(&IDS[..]),
        issuer in option::weighted(0.9, select(vec![1_u8, 2, 3])),
        serial in vec(0_u8..3, 1..4),
        digest in 0_u8..8,
    ) {
        let document = json!({
            "number": 1,
            "ids": ids,
            "serials": serials.iter().map(|(issuer, serial)| json!({"issuerKeyId": hex(&[*issuer]), "serial": hex(serial)})).collect::<Vec<_>>(),
            "sha256": digests.iter().map(|octet| hex(&[*octet; 32])).collect::<Vec<_>>(),
        });
        let list = Revocations::from_json(document.to_string().as_bytes()).unwrap();
        let by_id = ids.iter().any(|listed| match (listed.strip_prefix('*'), listed.strip_suffix('*')) {
            (Some(end), _) => id.ends_with(end),
            (None, Some(start)) => id.starts_with(start),
            (None, None) => *listed == id,
        });
        let by_serial = serials.iter().any(|(of, listed)| issuer == Some(*of) && number(listed) == number(&serial));
        let expected = if digests.contains(&digest) {
            Some(RevokedBy::Sha256)
        } else if by_serial {
            Some(RevokedBy::Serial)
        } else {
            by_id.then_some(RevokedBy::Id)
        };
        let spiffe_id = SpiffeId::new(id).unwrap();
        let issuer = issuer.map(|octet| [octet]);
        let leaf = Leaf {
            id: &spiffe_id,
            serial: &serial,
            issuer_key_id: issuer.as_ref().map(<[u8; 1]>::as_slice),
            sha256: &[digest; 32],
        };
        prop_assert_eq!(list.revokes(&leaf), expected);
    }
}
