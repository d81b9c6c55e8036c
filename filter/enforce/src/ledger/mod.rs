//! Rotations, and who has which certificates in use, over all workers of one Envoy.
//!
//! A certificate that a worker sees for the first time is an arrival. Whether it is one to all workers is asked
//! of the shared data, so that a rotation counts once. Once a second each worker says what it holds, and
//! the leader sets the gauges.

mod gauges;
mod held;
mod index;
mod record;
mod roster;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

pub use self::index::MAX_IDENTITIES;
use self::{
    gauges::{Gauges, Known, of_issuers},
    held::{Held, MAX_HELD},
    index::{ATTEMPTS, Index},
    record::{Record, Sighting},
    roster::{Roster, WorkerId},
};
use crate::{
    certificate::Certificate,
    names::{OVERFLOW, Side, of_identity},
    ports::{ABSENT, Answer, Meters, Set, Shared, Unreadable},
    tally::Tally,
    time::Millis,
};

/// Series of an identity, without `peer_` or `server_` in front.
#[cfg(test)]
pub(crate) const NAMES: [&str; 5] = [
    ROTATIONS,
    LAST_ROTATION,
    FIRST_USE,
    LOWEST_REMAINING,
    CERTIFICATES,
];
const ROTATIONS: &str = "rotations_total";
const LAST_ROTATION: &str = "last_rotation_seconds";
const FIRST_USE: &str = "first_use_remaining_seconds";
const LOWEST_REMAINING: &str = "lowest_remaining_seconds";
const CERTIFICATES: &str = "certificates";

const ROSTER: &str = "credence/roster";
/// Certificates that wait to be looked up; more go uncounted.
const MAX_ARRIVALS: usize = 4096;
/// Certificates that are looked up at one tick.
const ARRIVALS_PER_TICK: usize = 256;
/// Issuers with series of their own, of each side.
const MAX_ISSUERS: usize = 64;

/// A certificate that this worker saw for the first time.
#[derive(Debug)]
struct Arrival {
    side: Side,
    certificate: Rc<Certificate>,
    at: Millis,
}

/// What is known of one side.
#[derive(Debug)]
struct Book {
    side: Side,
    identities: Index,
    issuers: Index,
}

/// One worker's part in it.
#[derive(Debug)]
pub(crate) struct Ledger {
    arrivals: VecDeque<Arrival>,
    books: [Book; 2],
    me: Option<WorkerId>,
    published: Vec<u8>,
    /// What this worker, as the leader, has set.
    shown: Gauges,
    cap: usize,
    roots: BTreeMap<String, String>,
}

impl Default for Ledger {
    fn default() -> Self {
        let book = |side: Side| Book {
            side,
            identities: Index::of_identities(side),
            issuers: Index::new(format!("credence/{}-issuers", side.label()), MAX_ISSUERS),
        };
        Self {
            arrivals: VecDeque::new(),
            books: Side::ALL.map(book),
            me: None,
            published: Vec::new(),
            shown: Gauges::new(),
            cap: 0,
            roots: BTreeMap::new(),
        }
    }
}

impl Ledger {
    /// So many identities get series of their own, and issuers these roots' names. What a worker's
    /// configurations say is put together.
    pub(crate) fn configure(&mut self, cap: usize, roots: &BTreeMap<String, String>) {
        self.cap = self.cap.max(cap);
        self.roots.extend(roots.clone());
    }

    /// A certificate that is good came by; false if it is not taken note of.
    pub(crate) fn arrive(&mut self, side: Side, certificate: &Rc<Certificate>, at: Millis) {
        if self.arrivals.len() < MAX_ARRIVALS && certificate.introduce() {
            let certificate = Rc::clone(certificate);
            self.arrivals.push_back(Arrival {
                side,
                certificate,
                at,
            });
        }
    }

    /// Looks arrivals up. What the host fails at is tried again at the next tick.
    pub(crate) fn look_up(
        &mut self,
        shared: &mut impl Shared,
        tally: &mut Tally,
        meters: &mut impl Meters,
    ) -> Answer<()> {
        for _ in 0..ARRIVALS_PER_TICK {
            let Some(arrival) = self.arrivals.front() else {
                return Ok(());
            };
            let Ok(peer) = arrival.certificate.peer() else {
                self.arrivals.pop_front();
                continue;
            };
            let (side, id) = (arrival.side, Rc::clone(peer.text()));
            let place = book(&mut self.books, side).place_or_add(&id, shared)?;
            let sighting = match place {
                Some(_) => see(shared, arrival)?,
                None => Sighting::Older,
            };
            let label = match place {
                Some(place) if place < self.cap => &*id,
                _ => OVERFLOW,
            };
            let rotations = of_identity(side, ROTATIONS, label);
            if sighting != Sighting::Known {
                let left = peer.not_after().saturating_sub(arrival.at.seconds());
                let left = u64::try_from(left).unwrap_or(0);
                meters.observe(&of_identity(side, FIRST_USE, label), left);
                meters.declare(&rotations);
            }
            if sighting == Sighting::Rotation {
                tally.add(rotations, 1);
            }
            self.arrivals.pop_front();
        }
        Ok(())
    }

    /// Once a second: says what this worker holds and, as the leader, sets the gauges.
    pub(crate) fn report<'a>(
        &mut self,
        in_use: impl Iterator<Item = (Side, &'a Rc<Certificate>)>,
        now: Millis,
        shared: &mut impl Shared,
        meters: &mut impl Meters,
    ) -> Answer<()> {
        let Some(roster) = self.beat(now, shared)? else {
            return Ok(());
        };
        self.publish(in_use, shared)?;
        if roster.leader(now) != self.me {
            self.shown.clear();
            return Ok(());
        }
        let gauges = self.gauges(&roster, now, shared)?;
        self.show(gauges, meters);
        Ok(())
    }

    fn beat(&mut self, now: Millis, shared: &mut impl Shared) -> Answer<Option<Roster>> {
        for _ in 0..ATTEMPTS {
            let stored = shared.get(ROSTER)?;
            let known = stored.as_ref().and_then(|s| Roster::decode(&s.value));
            let mut roster = known.unwrap_or_default();
            let gone = roster.strike_off(now);
            let Some(me) = roster.beat(self.me, now) else {
                return Ok(None);
            };
            let cas = stored.map_or(ABSENT, |s| s.cas);
            if shared.set(ROSTER, &roster.encode(), cas)? == Set::Done {
                self.me = Some(me);
                for worker in gone {
                    shared.put(&held_by(worker), &[])?;
                }
                return Ok(Some(roster));
            }
        }
        Err(Unreadable)
    }

    fn publish<'a>(
        &mut self,
        in_use: impl Iterator<Item = (Side, &'a Rc<Certificate>)>,
        shared: &mut impl Shared,
    ) -> Answer<()> {
        let Some(me) = self.me else {
            return Ok(());
        };
        let mut digests = BTreeSet::new();
        let mut list: Vec<Held> = in_use
            .filter(|(side, certificate)| digests.insert((*side, certificate.digest())))
            .filter_map(|(side, certificate)| self.held(side, certificate))
            .take(MAX_HELD)
            .collect();
        list.sort_unstable();
        let value = held::encode(&list);
        if value != self.published {
            shared.put(&held_by(me), &value)?;
            self.published = value;
        }
        Ok(())
    }

    fn held(&self, side: Side, certificate: &Certificate) -> Option<Held> {
        let peer = certificate.peer().ok()?;
        let at = Side::ALL.iter().position(|other| *other == side)?;
        let place = self.books.get(at)?.identities.place(peer.text())?;
        Some(Held {
            side: u16::try_from(at).ok()?,
            place: u16::try_from(place).ok()?,
            digest: certificate.digest().prefix(),
            not_before: peer.not_before(),
            not_after: peer.not_after(),
            issuer: peer.issuer_key_id().unwrap_or_default().into(),
        })
    }

    fn gauges(&mut self, roster: &Roster, now: Millis, shared: &mut impl Shared) -> Answer<Gauges> {
        let mut all = Vec::new();
        for worker in roster.alive(now) {
            let stored = shared.get(&held_by(worker))?;
            all.extend(
                stored
                    .and_then(|s| held::decode(&s.value))
                    .into_iter()
                    .flatten(),
            );
        }
        let mut gauges = Gauges::new();
        for (at, book) in self.books.iter_mut().enumerate() {
            let held: Vec<Held> = all
                .iter()
                .filter(|held| usize::from(held.side) == at)
                .cloned()
                .collect();
            gauges.append(&mut book.gauges(&held, self.cap, &self.roots, now, shared)?);
        }
        Ok(gauges)
    }

    /// Only what changed is set, and what is no longer there falls to 0.
    fn show(&mut self, gauges: Gauges, meters: &mut impl Meters) {
        let gone = |name: &&String| !gauges.contains_key(*name);
        let gone: Vec<String> = self.shown.keys().filter(gone).cloned().collect();
        for name in gone {
            if meters.set_gauge(&name, 0) {
                self.shown.remove(&name);
            }
        }
        for (name, value) in gauges {
            if self.shown.get(&name) != Some(&value) && meters.set_gauge(&name, value) {
                self.shown.insert(name, value);
            }
        }
    }
}

impl Book {
    fn gauges(
        &mut self,
        held: &[Held],
        cap: usize,
        roots: &BTreeMap<String, String>,
        now: Millis,
        shared: &mut impl Shared,
    ) -> Answer<Gauges> {
        self.identities.refresh(shared)?;
        let mut rotated = Vec::new();
        // A read each: those that share a series go without.
        for id in self.identities.list().iter().take(cap) {
            let stored = shared.get(&record_of(self.side, id))?;
            let record = stored.and_then(|s| Record::decode(&s.value));
            rotated.push(record.and_then(|record| record.last_rotation()));
        }
        let known = Known {
            side: self.side,
            identities: self.identities.list(),
            rotated: &rotated,
            held,
            cap,
        };
        let mut gauges = known.gauges(now);
        let counts = known.issuers();
        self.issuers.refresh(shared)?;
        for issuer in counts.keys() {
            self.issuers.place_or_add(&issuer.as_str().into(), shared)?;
        }
        gauges.append(&mut of_issuers(
            self.side,
            &counts,
            self.issuers.list(),
            roots,
        ));
        Ok(gauges)
    }
}

fn book(books: &mut [Book; 2], side: Side) -> &mut Index {
    let [peers, servers] = books;
    match side {
        Side::Peer => &mut peers.identities,
        Side::Server => &mut servers.identities,
    }
}

/// Takes a certificate into the record that all workers share of its identity.
fn see(shared: &mut impl Shared, arrival: &Arrival) -> Answer<Sighting> {
    let peer = arrival.certificate.peer().map_err(|_| Unreadable)?;
    let key = record_of(arrival.side, peer.text());
    let digest = arrival.certificate.digest().prefix();
    for _ in 0..ATTEMPTS {
        let stored = shared.get(&key)?;
        let known = stored.as_ref().and_then(|s| Record::decode(&s.value));
        let mut record = known.unwrap_or_default();
        let sighting = record.see(digest, peer.not_before(), arrival.at);
        let cas = stored.map_or(ABSENT, |s| s.cas);
        if sighting == Sighting::Known || shared.set(&key, &record.encode(), cas)? == Set::Done {
            return Ok(sighting);
        }
    }
    Err(Unreadable)
}

fn record_of(side: Side, id: &str) -> String {
    format!("credence/{}/{id}", side.label())
}

fn held_by(worker: WorkerId) -> String {
    format!("credence/held/{}", worker.0)
}

/// How an issuer's key identifier is written in `metrics.issuers`, whatever colons and capitals it has.
pub(crate) fn issuer_key(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !is_hex {
        return None;
    }
    String::from_utf8(digits)
        .ok()
        .map(|text| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
