//! Who holds live leaves, and which bundle each of them last said to have.
//!
//! Kept in memory, and built anew from the ledger when the CA starts. What holders said is not stored: it is asked for again, and
//! until then it counts as unknown. So no restart and no restored backup brings back a word that no longer holds.

use super::id::{BundleId, CertificateId};
use crate::{serial::Serial, validity::Time};
use spiffe::SpiffeId;
use std::{collections::BTreeMap, fmt};
use thiserror::Error;

/// The longest name of a holder or verifier, in octets.
pub const LONGEST_NAME: usize = 512;

/// A name that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a holder's name has 1 to {LONGEST_NAME} octets and no control characters")]
pub struct HolderError;

/// One place where trust is kept: one agent, one pod, one process.
///
/// Two that can have different bundles must not share a name: ten replicas of one identity are ten holders. Where they
/// cannot be told apart, the leaf's serial number is the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(String);

impl HolderId {
    /// A holder's name.
    ///
    /// # Errors
    /// If it is empty, too long, or has control characters.
    pub fn new(name: &str) -> Result<Self, HolderError> {
        if (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err(HolderError)
        }
    }
}

impl HolderId {
    /// Of where a leaf is used, if all that tells it apart is the leaf.
    #[must_use]
    pub fn of_leaf(serial: &Serial) -> Self {
        Self(serial.to_string())
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a holder learns of roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learns {
    /// It says which bundle it has (SDS). Only its word counts.
    OnStream,
    /// It takes the bundle that comes with each leaf (istio-agent); this one came with it. Whoever uses *this* leaf has it; a
    /// leaf that it had before proves nothing, since the answer may have been lost. Its word counts too, if it gives one later.
    InAnswers(BundleId),
    /// Once, when it starts (daprd). No leaf proves anything, since a renewal is no restart: its leaves count as not
    /// knowing a root until it is reported restarted, or they have ended.
    AtStart,
}

/// A leaf that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its serial number.
    pub serial: Serial,
    /// Who got it.
    pub holder: HolderId,
    /// For which identity.
    pub identity: SpiffeId,
    /// How its holder learns of roots.
    pub learns: Learns,
    /// The issuer's certificate.
    pub issuer: CertificateId,
    /// Its end.
    pub not_after: Time,
}

/// A live leaf, as far as gates ask.
#[derive(Debug, Clone)]
pub(super) struct Held {
    serial: Serial,
    pub(super) identity: SpiffeId,
    pub(super) learns: Learns,
    pub(super) issuer: CertificateId,
    pub(super) not_after: Time,
    /// When it was issued, among all that happened.
    order: u64,
}

/// A holder's last word.
#[derive(Debug, Clone, Copy)]
struct Word {
    bundle: Option<BundleId>,
    order: u64,
}

#[derive(Debug, Clone, Default)]
struct Holder {
    leaves: Vec<Held>,
    word: Option<Word>,
    connected: bool,
}

/// What is known of where a leaf is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    /// This bundle.
    Bundle(BundleId),
    /// Nothing: it has not said.
    Nothing,
    /// What it read when it started.
    WhatItStartedWith,
}

/// All holders of live leaves.
///
/// A leaf is told to it before it leaves the CA. It is complete, or not to be handed to the state machine at all: after a start
/// only once the ledger's live leaves have been read.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    holders: BTreeMap<HolderId, Holder>,
    order: u64,
    /// How many leaves they have.
    leaves: usize,
    /// No word is of a bundle with a higher sequence number than this.
    newest: u64,
}

impl Holders {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A leaf is about to be handed out, or was found in the ledger. One that is known stays as it is: the ledger is read while
    /// others are handed out.
    pub fn issued(&mut self, leaf: Leaf) {
        let order = self.next();
        let holder = self.holders.entry(leaf.holder).or_default();
        if holder.leaves.iter().any(|held| held.serial == leaf.serial) {
            return;
        }
        self.leaves += 1;
        if let Learns::InAnswers(bundle) = leaf.learns {
            self.newest = self.newest.max(bundle.sequence());
        }
        holder.leaves.push(Held {
            serial: leaf.serial,
            identity: leaf.identity,
            learns: leaf.learns,
            issuer: leaf.issuer,
            not_after: leaf.not_after,
            order,
        });
    }

    /// A holder says what it has, on its newest connection: a bundle, or none. Its last word counts, though it be of an older
    /// bundle than one before: a machine that was set back to an old image says so by this.
    pub fn has(&mut self, holder: &HolderId, bundle: Option<BundleId>) {
        let order = self.next();
        self.newest = self
            .newest
            .max(bundle.map_or(0, |bundle| bundle.sequence()));
        let holder = self.holders.entry(holder.clone()).or_default();
        holder.word = Some(Word { bundle, order });
        holder.connected = true;
    }

    /// A holder's newest connection has ended. Its word stands; it is forgotten once no leaf of it lives.
    pub fn left(&mut self, holder: &HolderId) {
        if let Some(holder) = self.holders.get_mut(holder) {
            holder.connected = false;
        }
    }

    /// A leaf was revoked: whoever uses it is refused, so that nothing has to wait for it.
    pub fn revoked(&mut self, serial: &Serial) {
        for holder in self.holders.values_mut() {
            self.leaves -= holder.drop_leaf(serial);
        }
    }

    /// A leaf of this holder never left the CA after all. Costs the same however many leaves there are: where the ledger cannot be written
    /// this happens to each.
    pub fn kept_back(&mut self, holder: &HolderId, serial: &Serial) {
        if let Some(holder) = self.holders.get_mut(holder) {
            self.leaves -= holder.drop_leaf(serial);
        }
    }

    /// Identities were revoked: nothing waits for any leaf of them. Gives those leaves.
    pub fn revoke_all_of(&mut self, is_revoked: impl Fn(&SpiffeId) -> bool) -> Vec<Leaf> {
        let mut revoked = Vec::new();
        for (id, holder) in &mut self.holders {
            let of = holder
                .leaves
                .extract_if(.., |leaf| is_revoked(&leaf.identity));
            revoked.extend(of.map(|leaf| Leaf {
                serial: leaf.serial,
                holder: id.clone(),
                identity: leaf.identity,
                learns: leaf.learns,
                issuer: leaf.issuer,
                not_after: leaf.not_after,
            }));
        }
        self.leaves -= revoked.len();
        revoked
    }

    /// Forgets leaves that ended before `time`, which has surely come for everybody ([`super::State::past`]), and holders
    /// that are not connected and have none.
    pub fn forget(&mut self, time: Time) {
        let (mut leaves, mut newest) = (0, 0);
        self.holders.retain(|_, holder| {
            holder.leaves.retain(|leaf| leaf.not_after >= time);
            let kept = holder.connected || !holder.leaves.is_empty();
            if kept {
                leaves += holder.leaves.len();
                newest = newest.max(holder.newest());
            }
            kept
        });
        (self.leaves, self.newest) = (leaves, newest);
    }

    /// How many leaves are remembered.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// No holder has a bundle with a higher sequence number; perhaps none has one as high any more.
    pub(super) fn newest_at_most(&self) -> u64 {
        self.newest
    }

    fn next(&mut self) -> u64 {
        self.order = self.order.saturating_add(1);
        self.order
    }

    /// Each leaf that has not ended before `time`, with its holder and what is known there.
    pub(super) fn live(&self, time: Time) -> impl Iterator<Item = (&HolderId, &Held, Knows)> {
        #[cfg(test)]
        walks::another();
        self.holders.iter().flat_map(move |(id, holder)| {
            let live = holder.leaves.iter().filter(move |l| l.not_after >= time);
            live.map(move |leaf| (id, leaf, holder.knows(leaf)))
        })
    }
}

impl Holder {
    /// Gives how many it was.
    fn drop_leaf(&mut self, serial: &Serial) -> usize {
        let before = self.leaves.len();
        self.leaves.retain(|leaf| leaf.serial != *serial);
        before - self.leaves.len()
    }

    fn newest(&self) -> u64 {
        let answered = self.leaves.iter().filter_map(|leaf| match leaf.learns {
            Learns::InAnswers(bundle) => Some(bundle),
            Learns::OnStream | Learns::AtStart => None,
        });
        let said = self.word.and_then(|word| word.bundle);
        let all = answered.chain(said).map(|bundle| bundle.sequence());
        all.max().unwrap_or_default()
    }

    fn knows(&self, leaf: &Held) -> Knows {
        let said = |word: &Word| word.bundle.map_or(Knows::Nothing, Knows::Bundle);
        match (leaf.learns, &self.word) {
            (Learns::AtStart, _) => Knows::WhatItStartedWith,
            (Learns::InAnswers(_), Some(word)) if word.order > leaf.order => said(word),
            (Learns::InAnswers(bundle), _) => Knows::Bundle(bundle),
            (Learns::OnStream, Some(word)) => said(word),
            (Learns::OnStream, None) => Knows::Nothing,
        }
    }
}

/// How often every live leaf was looked at.
#[cfg(test)]
pub(super) mod walks {
    use std::cell::Cell;

    thread_local!(static WALKS: Cell<usize> = const { Cell::new(0) });

    pub(super) fn another() {
        WALKS.set(WALKS.get() + 1);
    }

    pub(in super::super) fn during<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = WALKS.get();
        let done = work();
        (done, WALKS.get() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u64 = 7;
    const NEW: u64 = 8;

    fn bundle(sequence: u64) -> BundleId {
        BundleId::of(sequence, &[])
    }

    fn holder() -> HolderId {
        HolderId::new("pod-1").unwrap()
    }

    fn leaf(serial: u8, learns: Learns) -> Leaf {
        Leaf {
            serial: Serial::from_octets(&[serial]).unwrap(),
            holder: holder(),
            identity: SpiffeId::new("spiffe://example.org/a").unwrap(),
            learns,
            issuer: CertificateId::of(b"issuer"),
            not_after: Time::from_unix(100),
        }
    }

    fn known(holders: &Holders) -> Vec<Knows> {
        holders
            .live(Time::from_unix(100))
            .map(|(_, _, knows)| knows)
            .collect()
    }

    #[test]
    fn on_a_stream_the_last_word_counts_even_if_it_is_of_an_older_bundle() {
        let mut holders = Holders::new();
        holders.issued(leaf(1, Learns::OnStream));
        assert_eq!(known(&holders), [Knows::Nothing]);
        for said in [Some(bundle(NEW)), Some(bundle(OLD)), None] {
            holders.has(&holder(), said);
            let expected = said.map_or(Knows::Nothing, Knows::Bundle);
            assert_eq!(known(&holders), [expected]);
        }
    }

    #[test]
    fn a_bundle_in_an_answer_counts_for_that_leaf_alone() {
        let mut holders = Holders::new();
        holders.issued(leaf(1, Learns::InAnswers(bundle(OLD))));
        holders.issued(leaf(2, Learns::InAnswers(bundle(NEW))));
        let both = [Knows::Bundle(bundle(OLD)), Knows::Bundle(bundle(NEW))];
        assert_eq!(known(&holders), both);
        // A word given later counts for both.
        holders.has(&holder(), Some(bundle(OLD)));
        assert_eq!(known(&holders), [Knows::Bundle(bundle(OLD)); 2]);
        // One given before a leaf does not count for that one.
        holders.issued(leaf(3, Learns::InAnswers(bundle(NEW))));
        assert_eq!(known(&holders)[2], Knows::Bundle(bundle(NEW)));
    }

    #[test]
    fn a_leaf_that_is_found_in_the_ledger_too_is_one() {
        let mut holders = Holders::new();
        holders.issued(leaf(1, Learns::InAnswers(bundle(OLD))));
        holders.has(&holder(), Some(bundle(NEW)));
        holders.issued(leaf(1, Learns::InAnswers(bundle(OLD))));
        assert_eq!(known(&holders), [Knows::Bundle(bundle(NEW))]);
    }

    #[test]
    fn who_reads_roots_at_its_start_is_not_believed_to_know_more() {
        let mut holders = Holders::new();
        holders.issued(leaf(1, Learns::AtStart));
        holders.has(&holder(), Some(bundle(NEW)));
        assert_eq!(known(&holders), [Knows::WhatItStartedWith]);
    }

    #[test]
    fn a_revoked_leaf_and_an_ended_one_are_forgotten_and_a_connected_holder_is_not() {
        let mut holders = Holders::new();
        holders.has(&holder(), Some(bundle(NEW)));
        holders.issued(leaf(1, Learns::OnStream));
        holders.issued(leaf(2, Learns::OnStream));
        holders.revoked(&Serial::from_octets(&[1]).unwrap());
        assert_eq!(holders.leaves(), 1);
        holders.forget(Time::from_unix(100));
        assert_eq!(holders.leaves(), 1);
        holders.forget(Time::from_unix(101));
        assert_eq!((holders.leaves(), holders.holders.len()), (0, 1));
        holders.left(&holder());
        holders.forget(Time::from_unix(101));
        assert_eq!(holders.holders.len(), 0);
    }

    #[test]
    fn a_leaf_that_never_left_is_forgotten_and_the_holder_s_others_are_not() {
        let mut holders = Holders::new();
        holders.issued(leaf(1, Learns::OnStream));
        holders.issued(leaf(2, Learns::InAnswers(bundle(NEW))));
        let first = Serial::from_octets(&[1]).unwrap();
        holders.kept_back(&HolderId::new("pod-2").unwrap(), &first);
        assert_eq!(holders.leaves(), 2);
        holders.kept_back(&holder(), &first);
        assert_eq!(known(&holders), [Knows::Bundle(bundle(NEW))]);
    }

    #[test]
    fn of_a_revoked_identity_every_leaf_is_given_and_forgotten_and_no_other() {
        let mut holders = Holders::new();
        let other = Leaf {
            identity: SpiffeId::new("spiffe://example.org/b").unwrap(),
            holder: HolderId::new("pod-2").unwrap(),
            ..leaf(3, Learns::OnStream)
        };
        for leaf in [leaf(1, Learns::OnStream), leaf(2, Learns::AtStart), other] {
            holders.issued(leaf);
        }
        let identity = SpiffeId::new("spiffe://example.org/a").unwrap();
        let revoked = holders.revoke_all_of(|id| *id == identity);
        let expected = [leaf(1, Learns::OnStream), leaf(2, Learns::AtStart)];
        assert_eq!(revoked, expected);
        assert_eq!(holders.leaves(), 1);
        assert_eq!(holders.revoke_all_of(|id| *id == identity), []);
    }

    #[test]
    fn a_name_is_short_and_printable() {
        for bad in ["", "a\nb", &"x".repeat(LONGEST_NAME + 1)] {
            assert_eq!(HolderId::new(bad), Err(HolderError));
        }
    }
}
