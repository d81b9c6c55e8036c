//! The gauges, as a function of what all workers hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{CERTIFICATES, LAST_ROTATION, LOWEST_REMAINING, held::Held};
use crate::{
    names::{OVERFLOW, Side, by_issuer, of_identity},
    time::Millis,
};

/// The root's name where the configuration gives none.
const UNNAMED: &str = "(unnamed)";
/// Issuer of certificates that name none.
const NO_ISSUER: &str = "(none)";

/// Gauges by name.
pub(super) type Gauges = BTreeMap<String, u64>;

/// What is known of one side.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) side: Side,
    pub(super) identities: &'a [Rc<str>],
    /// When each rotated last, by place; those beyond the end are not known.
    pub(super) rotated: &'a [Option<Millis>],
    /// Every certificate in use, once for each worker that has it in use.
    pub(super) held: &'a [Held],
    /// Identities with series of their own.
    pub(super) cap: usize,
}

/// An identity's certificates, or those of all beyond the cap.
#[derive(Debug, Default)]
struct Group {
    digests: BTreeSet<u64>,
    ends: Option<i64>,
    rotated: Option<Millis>,
}

impl Known<'_> {
    fn label(&self, place: usize) -> &str {
        match self.identities.get(place) {
            Some(id) if place < self.cap => id,
            _ => OVERFLOW,
        }
    }

    /// Its gauges. An identity without a certificate in use has 0 of them, and 0 seconds left.
    pub(super) fn gauges(&self, now: Millis) -> Gauges {
        let mut gauges = Gauges::new();
        for (id, group) in self.groups() {
            let name = |what| of_identity(self.side, what, id);
            let left = group
                .ends
                .map_or(0, |ends| ends.saturating_sub(now.seconds()));
            gauges.insert(name(CERTIFICATES), group.digests.len() as u64);
            gauges.insert(name(LOWEST_REMAINING), u64::try_from(left).unwrap_or(0));
            if let Some(rotated) = group.rotated {
                gauges.insert(name(LAST_ROTATION), now.since(rotated).unwrap_or(0) / 1000);
            }
        }
        gauges
    }

    fn groups(&self) -> BTreeMap<&str, Group> {
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for place in 0..self.identities.len() {
            let group = groups.entry(self.label(place)).or_default();
            let rotated = self.rotated.get(place).copied().flatten();
            group.rotated = group.rotated.max(rotated);
        }
        for held in self.held {
            let group = groups.entry(self.label(held.place.into())).or_default();
            group.digests.insert(held.digest);
            let ends = group.ends.get_or_insert(held.not_after);
            *ends = held.not_after.min(*ends);
        }
        groups
    }

    /// How many identities have their newest certificate from which issuer, in hexadecimal.
    pub(super) fn issuers(&self) -> BTreeMap<String, u64> {
        let mut newest: BTreeMap<u16, &Held> = BTreeMap::new();
        for held in self.held {
            let known = newest.entry(held.place).or_insert(held);
            if (held.not_before, held.digest) > (known.not_before, known.digest) {
                *known = held;
            }
        }
        let mut issuers = BTreeMap::new();
        for held in newest.values() {
            *issuers.entry(hex(&held.issuer)).or_default() += 1;
        }
        issuers
    }
}

/// The gauges of issuers; `known` are those that ever had one, so that a count falls to 0. One without a place
/// among them is counted with the rest.
pub(super) fn of_issuers(
    side: Side,
    counts: &BTreeMap<String, u64>,
    known: &[Rc<str>],
    roots: &BTreeMap<String, String>,
) -> Gauges {
    let mut gauges = Gauges::new();
    let name = |issuer: &str| {
        let root = roots.get(issuer).map_or(UNNAMED, String::as_str);
        by_issuer(side, issuer, root)
    };
    for issuer in known {
        gauges.insert(name(issuer), 0);
    }
    for (issuer, count) in counts {
        let has_place = known.iter().any(|other| **other == **issuer);
        let issuer = if has_place { issuer } else { OVERFLOW };
        *gauges.entry(name(issuer)).or_default() += count;
    }
    gauges
}

/// Small letters, as OpenSSL's keyid without its colons.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return NO_ISSUER.to_owned();
    }
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Held, Known, Rc, Side, of_issuers};
    use crate::time::Millis;

    const NOW: Millis = Millis::new(100_000);
    static ROTATED: [Option<Millis>; 3] =
        [Some(Millis::new(40_000)), None, Some(Millis::new(90_000))];

    fn held(place: u16, digest: u64, not_before: i64, not_after: i64) -> Held {
        Held {
            side: 0,
            place,
            digest,
            not_before,
            not_after,
            issuer: vec![0xab, u8::try_from(place).unwrap()].into(),
        }
    }

    fn known<'a>(identities: &'a [Rc<str>], held: &'a [Held]) -> Known<'a> {
        Known {
            side: Side::Peer,
            identities,
            rotated: &ROTATED,
            held,
            cap: 2,
        }
    }

    #[test]
    fn a_certificate_that_two_workers_use_counts_once() {
        let ids = ["a", "b", "c", "d"].map(Rc::from);
        let list = [
            held(0, 1, 0, 150),
            held(0, 1, 0, 150),
            held(0, 2, 10, 180),
            held(2, 3, 0, 90),
            held(3, 4, 0, 120),
        ];
        let gauges = known(&ids, &list).gauges(NOW);
        let gauges: Vec<_> = gauges.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            gauges,
            [
                ("credence.peer_certificates.peer=.=(overflow);.;", 2),
                ("credence.peer_certificates.peer=.=a;.;", 2),
                ("credence.peer_certificates.peer=.=b;.;", 0),
                (
                    "credence.peer_last_rotation_seconds.peer=.=(overflow);.;",
                    10
                ),
                ("credence.peer_last_rotation_seconds.peer=.=a;.;", 60),
                (
                    "credence.peer_lowest_remaining_seconds.peer=.=(overflow);.;",
                    0
                ),
                ("credence.peer_lowest_remaining_seconds.peer=.=a;.;", 50),
                ("credence.peer_lowest_remaining_seconds.peer=.=b;.;", 0),
            ]
        );
    }

    #[test]
    fn an_identity_counts_for_the_issuer_of_its_newest_certificate() {
        let ids = ["a", "b"].map(Rc::from);
        let mut list = vec![held(0, 1, 0, 150), held(1, 2, 5, 150), held(1, 3, 4, 150)];
        list[2].issuer = vec![0xff].into();
        let counts = known(&ids, &list).issuers();
        let roots = [("ab00".to_owned(), "old".to_owned())].into();
        let gauges = of_issuers(Side::Peer, &counts, &["ab00".into(), "99".into()], &roots);
        let gauges: Vec<_> = gauges.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            gauges,
            [
                (
                    "credence.peers_by_issuer.issuer=.=(overflow);.;root=.=(unnamed);.;",
                    1
                ),
                (
                    "credence.peers_by_issuer.issuer=.=99;.;root=.=(unnamed);.;",
                    0
                ),
                ("credence.peers_by_issuer.issuer=.=ab00;.;root=.=old;.;", 1),
            ]
        );
    }
}
