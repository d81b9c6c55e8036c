//! What can happen, what is to be done, and what is refused.

use super::{
    authority::{IssuerCertificate, KeyPlace, Order, Phase, RootCertificate, Slot},
    clock::{Jump, Reading},
    hold::{Hold, QuietWhy},
    holders::Holders,
    id::{BundleId, CertificateId},
    settings::Settings,
};
use crate::validity::Time;
use serde::{Deserialize, Serialize};
use spiffe::SpiffeId;
use std::{fmt, time::Duration};
use thiserror::Error;

/// The world at the time of an event.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Both clocks.
    pub reading: Reading,
    /// Who holds live leaves; none while the ledger has not been read whole.
    pub holders: Option<&'a Holders>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time passed, or a holder said something. Gates are looked at with every event; this one is nothing else.
    Tick,
    /// An operator wants a new root.
    RotateRoot,
    /// An operator gives up the root that is to be.
    WithdrawRoot,
    /// An operator wants a new issuer.
    RotateIssuer,
    /// An operator gives up the issuer that is to be.
    WithdrawIssuer,
    /// A root that was ordered is there.
    RootMade {
        /// Which order.
        slot: Slot,
        /// The certificate.
        root: RootCertificate,
    },
    /// An issuer that was ordered is there.
    IssuerMade {
        /// Which order.
        slot: Slot,
        /// The certificate.
        issuer: IssuerCertificate,
    },
    /// A bundle is served to everybody who asks, from now on.
    Served {
        /// Which.
        bundle: BundleId,
    },
    /// A root from elsewhere is to be the next, with an issuer below it if there is one. The chain has been verified.
    ImportRoot {
        /// The root.
        root: RootCertificate,
        /// The issuer below it.
        issuer: Option<IssuerCertificate>,
    },
    /// An issuer from elsewhere, below the active root or the next one. The chain has been verified.
    ImportIssuer {
        /// The issuer.
        issuer: IssuerCertificate,
    },
    /// A root that signs nothing here, and that leaves out there chain to: it is trusted until none can any more. The next root may be
    /// one, where a backup knows nothing of its activation.
    ImportAnchor {
        /// The root.
        root: RootCertificate,
        /// The longest life of a leaf below it.
        longest_leaf_life: Duration,
    },
    /// The active root's key was removed, or brought back.
    RootKey(KeyPlace),
    /// Somebody who verifies, has no leaf of ours, and says which bundle it has.
    RegisterVerifier {
        /// Its name.
        name: String,
    },
    /// A registered verifier is no more.
    RemoveVerifier {
        /// Its name.
        name: String,
    },
    /// A registered verifier has a bundle.
    VerifierHas {
        /// Its name.
        name: String,
        /// Which it has now.
        bundle: BundleId,
    },
    /// Every process of an identity that reads roots when it starts was started anew, when this bundle was there to be read.
    Restarted {
        /// The identity.
        identity: SpiffeId,
        /// The bundle that they read.
        bundle: BundleId,
    },
    /// Other settings.
    Configured(Settings),
    /// The state is from a backup.
    Restored,
    /// The state, or the keys, are another CA's or daemon's. None of its leaves live longer than this.
    TakenOver {
        /// The longest life of a leaf there.
        longest_leaf_life: Duration,
    },
    /// An operator says that the wall clock is right.
    ClockConfirmed,
    /// An operator takes a step though gates are shut.
    Force(Forced),
    /// Steps are in the ledger, up to this number.
    Recorded {
        /// The last one.
        through: u64,
    },
}

/// A step that can be forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// The next root, from prepared or distributing to active.
    ActivateRoot,
    /// A retiring root, out of the bundle.
    RetireRoot(CertificateId),
}

/// What is to be done. Each may be done again, and is asked for again after a restart until it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a key and a root's certificate, unless this slot has them, and send [`Event::RootMade`].
    MakeRoot {
        /// The order.
        order: Order,
        /// The certificate's life, from the order on.
        life: Duration,
    },
    /// Make a key and an issuer's certificate, unless this slot has them, and send [`Event::IssuerMade`].
    MakeIssuer {
        /// The order.
        order: Order,
        /// The root that signs it.
        root: CertificateId,
        /// The certificate's life, from the order on; it ends with the root at the latest.
        life: Duration,
    },
    /// Serve this bundle wherever bundles are served, then send [`Event::Served`].
    Serve {
        /// Its name.
        bundle: BundleId,
        /// Its roots, in their order.
        roots: Vec<CertificateId>,
    },
    /// Sign leaves with this issuer, and with no other.
    SignWith {
        /// The issuer.
        issuer: CertificateId,
    },
    /// Write a step to the ledger, unless its number is there, then send [`Event::Recorded`].
    Record(Step),
    /// Nothing needs this CA's key any more.
    Release {
        /// The root or issuer.
        certificate: CertificateId,
    },
}

/// A step of the lifecycle, as the ledger records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Numbers grow by one; where a backup was restored, by more.
    pub number: u64,
    /// When, by the wall clock.
    pub at: Time,
    /// What changed.
    pub change: Change,
    /// Why.
    pub cause: Cause,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A root reached a phase.
    Root {
        /// Which; none while it is wanted.
        id: Option<CertificateId>,
        /// The phase.
        phase: Phase,
    },
    /// An issuer reached a phase.
    Issuer {
        /// Which; none while it is wanted.
        id: Option<CertificateId>,
        /// The phase.
        phase: Phase,
    },
    /// The active root's key is here, or no longer.
    RootKey(KeyPlace),
    /// The settings.
    Configured,
    /// Gates are shut for the longest life of a leaf.
    Quiet(QuietWhy),
    /// The clock is in doubt.
    ClockInDoubt(Jump),
    /// The clock is believed again.
    ClockBelieved,
    /// A verifier was registered.
    VerifierRegistered(String),
    /// A verifier was removed.
    VerifierRemoved(String),
    /// An identity's processes were reported restarted.
    Restarted(String),
}

/// Why a step was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// By schedule, or since its gates opened.
    Itself,
    /// On order.
    Ordered,
    /// On order, though these gates were shut: what it breaks.
    Forced(Vec<String>),
    /// The active chain had ended, and with it all that the gates protect.
    ActiveEnded,
}

/// Why an event is not taken. The state stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// One rotation at a time.
    #[error(
        "a root is on its way already ({phase}): wait until it is active, or withdraw it first"
    )]
    RootUnderWay {
        /// How far it is.
        phase: Phase,
    },
    /// One issuer at a time.
    #[error("an issuer is on its way already: wait until it is active, or withdraw it first")]
    IssuerUnderWay,
    /// There is nothing to withdraw or force.
    #[error("no root is on its way")]
    NoRoot,
    /// It may have been active in the time that is not known.
    #[error(
        "root {id} may have been active after what was restored or taken over, and leaves below it may be out there: it can be withdrawn in {} s", .left.as_secs()
    )]
    MayHaveSigned {
        /// The root.
        id: CertificateId,
        /// How long such leaves may live.
        left: Duration,
    },
    /// There is no certificate yet.
    #[error("the root's certificate has not been made yet")]
    NotMade,
    /// There is nothing to withdraw.
    #[error("no issuer is on its way")]
    NoIssuer,
    /// Certificates' times come from the clock.
    #[error("the clock is in doubt: see that it is right, then confirm it")]
    ClockInDoubt,
    /// What was made answers no open order: discard it.
    #[error("no order is open for slot {}: discard what was made for it", .0.number())]
    NotOrdered(Slot),
    /// An issuer below another root than the one that it has to be below.
    #[error(
        "the issuer's chain ends at root {found}; it has to end at {}",
        list(expected)
    )]
    OtherRoot {
        /// Its root.
        found: CertificateId,
        /// Those that it may be below.
        expected: Vec<CertificateId>,
    },
    /// It is one of ours already.
    #[error("certificate {0} is here already")]
    Known(CertificateId),
    /// Not valid now.
    #[error("certificate {id} is valid from {from} to {to}, not now")]
    NotValid {
        /// Which.
        id: CertificateId,
        /// From
        from: Time,
        /// To
        to: Time,
    },
    /// It would end before a successor could take its place.
    #[error("certificate {id} ends on {ends}; it has to live until {needed} at least")]
    TooShort {
        /// Which.
        id: CertificateId,
        /// Its end.
        ends: Time,
        /// The earliest end that would do.
        needed: Time,
    },
    /// The root cannot sign.
    #[error("the active root's key is not here: import an issuer instead")]
    NoKey,
    /// Nothing that is retiring has this name.
    #[error("no retiring root is named {0}")]
    NotRetiring(CertificateId),
    /// The bundle is not one that is remembered.
    #[error("bundle {0} is not one that this CA published, as far as it remembers")]
    UnknownBundle(BundleId),
    /// No verifier has this name.
    #[error("no verifier is registered as {0:?}")]
    UnknownVerifier(String),
    /// A name that cannot be one.
    #[error("a name has 1 to 512 octets and no control characters")]
    Name,
    /// A bound.
    #[error("there are {bound} {what} already; no more are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
    /// Force does not make it work.
    #[error("force does not help: {0}")]
    NotForceable(Box<Hold>),
    /// Steps are not written to the ledger.
    #[error("the ledger is behind: no step is taken until it has what was done before")]
    LedgerBehind,
    /// A life that no leaf can have.
    #[error("a leaf's life is 1 s to 366 days")]
    LeafLife,
}

fn list(ids: &[CertificateId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(" or ")
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wanted => "wanted",
            Self::Prepared => "prepared",
            Self::Distributing => "distributing",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        })
    }
}
