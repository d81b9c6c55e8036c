//! The gates. Each is one check, that says nothing when it is open and why when it is shut.
//!
//! Activating a root is safe if whoever verifies has it: holders of leaves, since they verify each other, registered
//! verifiers, and those who come back for the bundle by themselves. Retiring one is safe if no live leaf chains to it.

use super::{
    authority::{Coming, Distributing, NextIssuer, NextRoot, Retiring},
    hold::{Crowd, Hold, Lack, Waiting},
    holders::{Held, HolderId, Holders, Knows},
    id::{BundleId, CertificateId},
    state::State,
};
use crate::validity::{Time, Validity};

/// So many refresh hints have to pass.
pub const REFRESH_HINTS: u32 = 3;

/// What gates look at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    /// None while the ledger's live leaves have not been read.
    pub(super) holders: Option<&'a Holders>,
}

/// What holds up the distribution of a prepared root.
pub(super) fn distribution(view: View<'_>, coming: &Coming) -> Vec<Hold> {
    gathered([
        clock(view),
        ledger(view),
        lost_history(view),
        valid(view, coming.root.validity),
        life_left(view, coming.root.validity),
    ])
}

/// What holds up the activation of a root.
pub(super) fn activation(view: View<'_>, next: &NextRoot) -> Vec<Hold> {
    let Some(coming) = next.coming() else {
        return vec![Hold::NotServed];
    };
    gathered([
        clock(view),
        ledger(view),
        quiet(view),
        leaves_known(view),
        lost_history(view),
        served(next),
        refresh_hints(view, next),
        holders_have(view, coming.root.id),
        verifiers_have(view, coming.root.id),
        valid(view, coming.root.validity),
        life_left(view, coming.root.validity),
        issuer_there(view, coming),
    ])
}

/// What of that is only time.
pub(super) fn activation_in_time(view: View<'_>, next: &NextRoot) -> Vec<Hold> {
    if next.coming().is_none() {
        return Vec::new();
    }
    gathered([clock(view), quiet(view), refresh_hints(view, next)])
}

/// What holds up the next issuer below the active root. Those who verify need to learn nothing: an issuer comes with its leaves.
pub(super) fn succession(view: View<'_>, validity: Validity) -> Vec<Hold> {
    gathered([
        clock(view),
        ledger(view),
        valid(view, validity),
        ended(view, validity),
    ])
}

/// Whether the active chain has ended and no leaf lives: then the root that comes can break nothing, and is the only one that
/// can mend something.
pub(super) fn nothing_to_lose(view: View<'_>, next: &NextRoot) -> bool {
    let surely = view.state.watch.surely();
    let nothing_lives = |holders: &Holders| holders.live(surely).next().is_none();
    clock(view).is_none()
        && ledger(view).is_none()
        && surely > view.state.active.issuer.ends()
        && view.holders.is_some_and(nothing_lives)
        && next
            .coming()
            .is_some_and(|coming| issuer_usable(view, coming).is_none())
}

/// What holds up taking a root out of the bundle.
pub(super) fn retirement(view: View<'_>, retiring: &Retiring) -> Vec<Hold> {
    let root = retiring.root.id;
    let ended = view.state.past() > retiring.root.validity.not_after;
    if ended {
        return gathered([clock(view), ledger(view)]);
    }
    gathered([
        clock(view),
        ledger(view),
        quiet(view),
        leaves_known(view),
        lost_history(view),
        issuers_retired(view, root),
        no_leaves(view, |issuer| view.state.may_chain(issuer, root)),
        unused(view, retiring),
    ])
}

/// What holds up giving up an issuer's key, which signs the revocation lists for its leaves.
pub(super) fn issuer_retirement(view: View<'_>, issuer: CertificateId, ends: Time) -> Vec<Hold> {
    if view.state.past() > ends {
        return gathered([clock(view), ledger(view)]);
    }
    gathered([
        clock(view),
        ledger(view),
        quiet(view),
        leaves_known(view),
        lost_history(view),
        no_leaves(view, |of| of == issuer),
    ])
}

fn gathered<const N: usize>(holds: [Option<Hold>; N]) -> Vec<Hold> {
    holds.into_iter().flatten().collect()
}

/// The clock is not in doubt.
fn clock(view: View<'_>) -> Option<Hold> {
    let state = view.state;
    state.watch.doubted().map(|jump| Hold::Clock {
        jump,
        left: state.watch.settles_in(state.patience()),
    })
}

/// Steps reach the ledger.
fn ledger(view: View<'_>) -> Option<Hold> {
    let unrecorded = view.state.unrecorded.len();
    view.state
        .ledger_is_behind()
        .then_some(Hold::Ledger { unrecorded })
}

/// After a takeover or a restore, a leaf's longest life has passed.
fn quiet(view: View<'_>) -> Option<Hold> {
    let quiet = view.state.quiet?;
    let left = view.state.quiet_left();
    (!left.is_zero()).then_some(Hold::Quiet {
        why: quiet.why,
        left,
    })
}

/// It is known which leaves live.
fn leaves_known(view: View<'_>) -> Option<Hold> {
    view.holders.is_none().then_some(Hold::LeavesUnknown)
}

/// Nobody has a bundle of a history that this state knows nothing of. Leaves are only looked at if somebody may.
pub(super) fn lost_history(view: View<'_>) -> Option<Hold> {
    let newest = view.state.bundle().id.sequence();
    if view.holders?.newest_at_most() <= newest {
        return None;
    }
    let waiting = live(view).filter_map(|(holder, leaf, knows)| match knows {
        Knows::Bundle(bundle) if bundle.sequence() > newest => {
            Some(waiting(holder, leaf, Lack::Unknown(bundle)))
        }
        Knows::Bundle(_) | Knows::Nothing | Knows::WhatItStartedWith => None,
    });
    Crowd::of(waiting).map(Hold::LostHistory)
}

/// The bundle with the root is being served.
fn served(next: &NextRoot) -> Option<Hold> {
    match next {
        NextRoot::Distributing(Distributing {
            served_since: Some(_),
            ..
        }) => None,
        NextRoot::Distributing(_) | NextRoot::Wanted(_) | NextRoot::Prepared(_) => {
            Some(Hold::NotServed)
        }
    }
}

/// Three refresh hints have passed since.
fn refresh_hints(view: View<'_>, next: &NextRoot) -> Option<Hold> {
    let NextRoot::Distributing(Distributing {
        served_since: Some(since),
        ..
    }) = next
    else {
        return None;
    };
    let needed = view.state.refresh_hint() * REFRESH_HINTS;
    let left = needed.saturating_sub(view.state.watch.observed().since(*since));
    (!left.is_zero()).then_some(Hold::RefreshHints { left })
}

/// Every holder of a live leaf has the root.
fn holders_have(view: View<'_>, root: CertificateId) -> Option<Hold> {
    let lacking = live(view).filter_map(|(holder, leaf, knows)| {
        let lack = match knows {
            Knows::Bundle(bundle) => lack_of(view, bundle, root)?,
            Knows::Nothing => Lack::Silent,
            Knows::WhatItStartedWith => {
                let started = view.state.restarted.get(&leaf.identity.to_string());
                let lack = started.map_or(Some(()), |b| lack_of(view, *b, root).map(|_| ()));
                lack.map(|()| Lack::NeedsRestart)?
            }
        };
        Some(waiting(holder, leaf, lack))
    });
    Crowd::of(lacking).map(Hold::Holders)
}

/// Every registered verifier has the root.
fn verifiers_have(view: View<'_>, root: CertificateId) -> Option<Hold> {
    let lacking: Vec<String> = view
        .state
        .verifiers
        .iter()
        .filter(|(_, has)| !has.is_some_and(|bundle| lack_of(view, bundle, root).is_none()))
        .map(|(name, _)| name.clone())
        .collect();
    (!lacking.is_empty()).then_some(Hold::Verifiers(lacking))
}

/// It is valid by now, and not only by a clock that was wrong when the process started: then nobody could verify it once
/// that is set right, for as long as it had been wrong.
fn valid(view: View<'_>, validity: Validity) -> Option<Hold> {
    begun(validity, view.state.watch.surely())
}

fn begun(validity: Validity, now: Time) -> Option<Hold> {
    let from = validity.not_before;
    (from > now).then_some(Hold::NotYetValid { from })
}

/// It lives long enough to be worth beginning with.
fn life_left(view: View<'_>, validity: Validity) -> Option<Hold> {
    let ends = validity.not_after;
    let needed = view
        .state
        .watch
        .wall()
        .plus(view.state.settings.issuer_lead());
    (ends <= needed).then_some(Hold::TooLittleLeft { ends })
}

/// It has not ended.
fn ended(view: View<'_>, validity: Validity) -> Option<Hold> {
    let ends = validity.not_after;
    (ends < view.state.watch.wall()).then_some(Hold::TooLittleLeft { ends })
}

/// It can sign, however short it may live. Not even force does without.
pub(super) fn issuer_usable(view: View<'_>, coming: &Coming) -> Option<Hold> {
    match coming.issuer {
        Some(NextIssuer::Prepared(issuer)) => {
            let begun = begun(issuer.validity, view.state.watch.wall());
            begun.or_else(|| ended(view, issuer.validity))
        }
        Some(NextIssuer::Wanted(_)) | None => Some(Hold::NoIssuer {
            root: coming.root.id,
        }),
    }
}

/// It can sign at once, and for long enough.
fn issuer_there(view: View<'_>, coming: &Coming) -> Option<Hold> {
    issuer_usable(view, coming).or_else(|| match coming.issuer {
        Some(NextIssuer::Prepared(issuer)) => {
            valid(view, issuer.validity).or_else(|| life_left(view, issuer.validity))
        }
        Some(NextIssuer::Wanted(_)) | None => None,
    })
}

/// No issuer of it is needed any more.
fn issuers_retired(view: View<'_>, root: CertificateId) -> Option<Hold> {
    let below = view.state.superseded.iter().filter(|i| i.root == root);
    let count = below.count();
    (count > 0).then_some(Hold::Issuers { count })
}

/// No live leaf was signed by one of these issuers.
pub(super) fn no_leaves(view: View<'_>, concerned: impl Fn(CertificateId) -> bool) -> Option<Hold> {
    let using = live(view)
        .filter(|(_, leaf, _)| concerned(leaf.issuer))
        .map(|(holder, leaf, _)| waiting(holder, leaf, Lack::OldChain));
    Crowd::of(using).map(Hold::Leaves)
}

/// Nothing was found to need it for three refresh hints.
fn unused(view: View<'_>, retiring: &Retiring) -> Option<Hold> {
    let needed = view.state.refresh_hint() * REFRESH_HINTS;
    let observed = view.state.watch.observed();
    let passed = retiring.unused_since.map(|since| observed.since(since));
    let left = needed.saturating_sub(passed.unwrap_or_default());
    (!left.is_zero()).then_some(Hold::RefreshHints { left })
}

fn live(view: View<'_>) -> impl Iterator<Item = (&HolderId, &Held, Knows)> {
    let past = view.state.past();
    view.holders.into_iter().flat_map(move |h| h.live(past))
}

fn lack_of(view: View<'_>, bundle: BundleId, root: CertificateId) -> Option<Lack> {
    match view.state.published(bundle) {
        Some(published) if published.roots.contains(&root) => None,
        Some(_) => Some(Lack::Behind(bundle)),
        None => Some(Lack::Unknown(bundle)),
    }
}

fn waiting(holder: &HolderId, leaf: &Held, lack: Lack) -> Waiting {
    Waiting {
        holder: holder.to_string(),
        identity: leaf.identity.to_string(),
        lack,
        until: leaf.not_after,
    }
}
