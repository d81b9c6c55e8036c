//! What an operator is shown: each root and issuer with its phase, its end, and who holds up the next phase; and what to worry
//! about.

use super::{
    authority::{Coming, IssuerCertificate, KeyPlace, NextIssuer, NextRoot, Phase, Retiring},
    clock::Jump,
    event::World,
    gate::{self, REFRESH_HINTS, View},
    hold::Hold,
    id::{BundleId, CertificateId},
    state::State,
};
use crate::validity::{Time, Validity};
use std::{fmt, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Warnings begin so long before an end, or with a third of the life left, whichever is shorter.
const WARN_BEFORE: Duration = Duration::from_secs(30 * DAY.as_secs());

/// A root or an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which; none while it is wanted.
    pub id: Option<CertificateId>,
    /// Its phase.
    pub phase: Phase,
    /// From when to when it is valid.
    pub validity: Option<Validity>,
    /// What holds up the next phase; empty where there is nothing to wait for.
    pub holds: Vec<Hold>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The bundle that is published.
    pub bundle: BundleId,
    /// Roots: the next one, the active one, those that retire, those that are over.
    pub roots: Vec<Standing>,
    /// Issuers: the next ones, the active one, those that are superseded, those that are over.
    pub issuers: Vec<Standing>,
    /// What to worry about.
    pub warnings: Vec<Warning>,
}

/// What to worry about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A root or issuer ends soon, or has ended.
    Ends {
        /// Which.
        id: CertificateId,
        /// When.
        ends: Time,
    },
    /// An issuer is due, and the root's key is not here to make one.
    ImportIssuer {
        /// The root.
        root: CertificateId,
        /// When the present issuer ends.
        ends: Time,
    },
    /// Leaves are cut short, since their issuer ends.
    LeavesCutShort {
        /// The longest life that is left.
        left: Duration,
    },
    /// The active root ends before another one can be active.
    EndsFirst {
        /// The active root.
        root: CertificateId,
        /// Its end.
        ends: Time,
        /// The earliest time at which the next one can be active.
        earliest: Time,
    },
    /// The wall clock jumped.
    Clock(Jump),
    /// Holders have bundles that this state never published.
    LostHistory,
    /// Steps are not written to the ledger.
    LedgerBehind,
}

impl State {
    /// Everything at one moment.
    #[must_use]
    pub fn status(&self, world: World<'_>) -> Status {
        let now = self.at(world);
        let view = now.view(world.holders);
        let ask = |gate: Gate<'_>| gate.holds(view);
        Status {
            bundle: now.bundle.id,
            roots: roots(&now, &ask),
            issuers: issuers(&now, &ask),
            warnings: warnings(view),
        }
    }

    pub(super) fn at(&self, world: World<'_>) -> Self {
        let mut now = self.clone();
        now.watch = now.watch.read(world.reading, now.patience());
        now
    }
}

/// What a next phase waits for.
pub(super) enum Gate<'a> {
    Distribution(&'a Coming),
    Activation(&'a NextRoot),
    Retirement(&'a Retiring),
    Succession(IssuerCertificate),
    IssuerRetirement(IssuerCertificate),
}

impl Gate<'_> {
    fn holds(&self, view: View<'_>) -> Vec<Hold> {
        match self {
            Self::Distribution(coming) => gate::distribution(view, coming),
            Self::Activation(next) => gate::activation(view, next),
            Self::Retirement(retiring) => gate::retirement(view, retiring),
            Self::Succession(issuer) => gate::succession(view, issuer.validity),
            Self::IssuerRetirement(issuer) => {
                gate::issuer_retirement(view, issuer.id, issuer.ends())
            }
        }
    }
}

/// Says who holds a gate up; or does not ask, since that means to look at every live leaf.
pub(super) type Ask<'a> = &'a dyn Fn(Gate<'_>) -> Vec<Hold>;

fn standing(id: CertificateId, phase: Phase, validity: Validity, holds: Vec<Hold>) -> Standing {
    Standing {
        id: Some(id),
        phase,
        validity: Some(validity),
        holds,
    }
}

const WANTED: Standing = Standing {
    id: None,
    phase: Phase::Wanted,
    validity: None,
    holds: Vec::new(),
};

pub(super) fn roots(state: &State, ask: Ask<'_>) -> Vec<Standing> {
    let next = state.next_root.as_ref().map(|next| {
        let (phase, holds) = match next {
            NextRoot::Wanted(_) => return WANTED,
            NextRoot::Prepared(coming) => (Phase::Prepared, ask(Gate::Distribution(coming))),
            NextRoot::Distributing(_) => (Phase::Distributing, ask(Gate::Activation(next))),
        };
        next.coming().map_or(WANTED, |Coming { root, .. }| {
            standing(root.id, phase, root.validity, holds)
        })
    });
    let active = state.active.root;
    let active = standing(active.id, Phase::Active, active.validity, Vec::new());
    let retiring = state.retiring.iter().map(|retiring| {
        let (root, holds) = (retiring.root, ask(Gate::Retirement(retiring)));
        standing(root.id, Phase::Retiring, root.validity, holds)
    });
    let over = state.retired_roots.iter();
    let over = over.map(|root| standing(root.id, Phase::Retired, root.validity, Vec::new()));
    next.into_iter()
        .chain([active])
        .chain(retiring)
        .chain(over)
        .collect()
}

pub(super) fn issuers(state: &State, ask: Ask<'_>) -> Vec<Standing> {
    let next = |next: NextIssuer| match next {
        NextIssuer::Wanted(_) => WANTED,
        NextIssuer::Prepared(issuer) => {
            let holds = ask(Gate::Succession(issuer));
            standing(issuer.id, Phase::Prepared, issuer.validity, holds)
        }
    };
    let coming = state.next_root.as_ref().and_then(NextRoot::coming);
    let coming = coming.and_then(|coming| coming.issuer).map(next);
    let active = state.active.issuer;
    let active = standing(active.id, Phase::Active, active.validity, Vec::new());
    let superseded = state.superseded.iter().map(|issuer| {
        let holds = ask(Gate::IssuerRetirement(*issuer));
        standing(issuer.id, Phase::Superseded, issuer.validity, holds)
    });
    let over = state.retired_issuers.iter();
    let over = over.map(|i| standing(i.id, Phase::Retired, i.validity, Vec::new()));
    let coming = coming.into_iter().chain(state.next_issuer.map(next));
    coming
        .chain([active])
        .chain(superseded)
        .chain(over)
        .collect()
}

/// Costs the same however many leaves live.
pub(super) fn warnings(view: View<'_>) -> Vec<Warning> {
    let state = view.state;
    let coming = state.next_root.as_ref().and_then(NextRoot::coming);
    let active = state.active;
    let watched = [
        (active.root.id, active.root.validity),
        (active.issuer.id, active.issuer.validity),
    ];
    let coming = coming.map(|coming| (coming.root.id, coming.root.validity));
    let ends = watched
        .into_iter()
        .chain(coming)
        .filter(|(_, validity)| ends_soon(*validity, state.watch.wall()))
        .map(|(id, validity)| Warning::Ends {
            id,
            ends: validity.not_after,
        });
    ends.chain(import_issuer(view))
        .chain(cut_short(state))
        .chain(ends_first(view))
        .chain(state.watch.doubted().map(Warning::Clock))
        .chain(gate::lost_history(view).map(|_| Warning::LostHistory))
        .chain(state.ledger_is_behind().then_some(Warning::LedgerBehind))
        .collect()
}

fn ends_soon(validity: Validity, wall: Time) -> bool {
    validity.not_after.since(wall) <= WARN_BEFORE.min(validity.life() / 3)
}

fn import_issuer(view: View<'_>) -> Option<Warning> {
    let state = view.state;
    let active = state.active;
    let ends = active.issuer.ends();
    let wanting = active.root.key == KeyPlace::Elsewhere
        && state.next_issuer.is_none()
        && state.due(active.issuer.validity, state.settings.issuer_lead());
    let root = active.root.id;
    wanting.then_some(Warning::ImportIssuer { root, ends })
}

fn cut_short(state: &State) -> Option<Warning> {
    let left = state.leaf_cap(state.watch.wall());
    (left < state.settings.terms().longest_leaf_life).then_some(Warning::LeavesCutShort { left })
}

/// The gates that only wait for time, at their earliest.
fn ends_first(view: View<'_>) -> Option<Warning> {
    let state = view.state;
    let next = state.next_root.as_ref()?;
    let hints = state.refresh_hint() * REFRESH_HINTS;
    let longest =
        gate::activation_in_time(view, next)
            .iter()
            .fold(hints, |so_far, hold| match hold {
                Hold::Quiet { left, .. } | Hold::Clock { left, .. } => so_far.max(*left),
                Hold::RefreshHints { left } if so_far == hints => *left,
                _ => so_far,
            });
    let earliest = state.watch.wall().plus(longest);
    let (root, ends) = (state.active.root.id, state.active.root.validity.not_after);
    (earliest > ends).then_some(Warning::EndsFirst {
        root,
        ends,
        earliest,
    })
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends { id, ends } => write!(f, "certificate {id} ends on {ends}"),
            Self::ImportIssuer { root, ends } => write!(
                f,
                "the issuer ends on {ends} and the key of root {root} is not here: import an issuer"
            ),
            Self::LeavesCutShort { left } => write!(
                f,
                "the issuer's chain ends: leaves live for {} s at most",
                left.as_secs()
            ),
            Self::EndsFirst {
                root,
                ends,
                earliest,
            } => write!(
                f,
                "root {root} ends on {ends}, and the next one cannot be active before {earliest}"
            ),
            Self::Clock(jump) => write!(
                f,
                "the wall clock jumped by {jump}: gates are shut until it is believed again"
            ),
            Self::LostHistory => write!(
                f,
                "holders have bundles that this state never published: it is older than theirs"
            ),
            Self::LedgerBehind => write!(f, "steps are not written to the ledger"),
        }
    }
}
