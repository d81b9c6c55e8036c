//! Whose revocation lists there are.

use super::work::Worker;
use crate::lists::{self, Terms};
use credence_ca::lifecycle::{CertificateId, State};
use credence_host::{authorities::Authorized, custody::Role};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

impl Worker {
    /// Has lists made for every issuer whose key is here: of those that are to come, too, so that their lists are known before their
    /// leaves are met.
    pub(super) fn list(&self, state: &State) {
        let parts = self.parts();
        let now = parts.clock.time();
        let needed = needed(state);
        let of_issuers = || {
            let all = parts.authorities.all();
            all.filter(|one| one.role == Role::Issuer)
        };
        let lists_of = |one: &&Arc<Authorized>| {
            let ended = one.certificate.validity().not_after < now;
            one.key.is_some()
                && one.certificate.signs_crls()
                && (!ended || needed.contains(&one.id()))
        };
        let mut issuers: Vec<_> = of_issuers().filter(lists_of).cloned().collect();
        issuers.sort_by_key(|one| one.id());
        let listed: BTreeSet<_> = issuers.iter().map(|one| one.id()).collect();
        parts.lists.follow(Terms {
            without: without(state, &needed, &listed),
            key_ids: of_issuers()
                .map(|one| (one.id(), one.certificate.key_id().to_vec()))
                .collect(),
            issuers,
            past: state.past(),
            life: lists::life(state.settings()),
        });
    }

    /// Whether everybody who reads the stream has had the time to learn the list of an issuer that is about to sign.
    pub(super) fn is_listed_for_long_enough(&self, state: &State, issuer: CertificateId) -> bool {
        let patience = state.settings().terms().refresh_hint * 3;
        let left = state.active().issuer.ends().since(self.clock().time());
        let known = self.parts().lists.known_for(issuer);
        // where the old issuer is at its end, or cannot sign, there is no time to lose
        let urgent =
            left <= patience + Duration::from_secs(60) || !self.has_key(state.active().issuer.id);
        urgent || known.is_none_or(|known| known >= patience)
    }
}

/// Issuers whose leaves may live: of one that retired, all have ended or are revoked. An end that has just passed here has not for
/// clocks that are behind.
fn needed(state: &State) -> BTreeSet<CertificateId> {
    let all = std::iter::once(&state.active().issuer).chain(state.superseded());
    all.map(|issuer| issuer.id).collect()
}

/// Why there can be no lists.
fn without(
    state: &State,
    needed: &BTreeSet<CertificateId>,
    listed: &BTreeSet<CertificateId>,
) -> Option<String> {
    if let Some(issuer) = needed.difference(listed).next() {
        return Some(format!(
            "issuer {issuer} may not sign one (its keyUsage has no cRLSign, or its key is not here), and with the others' lists all its leaves would be refused"
        ));
    }
    let known = state.superseded().iter().chain(state.retired_issuers());
    let below: BTreeSet<_> = known.map(|issuer| issuer.root).collect();
    let mut foreign = state
        .retiring()
        .iter()
        .filter(|root| !below.contains(&root.root.id));
    foreign.next().map(|root| {
        format!(
            "root {} is another CA's, whose issuers have no list here, and with ours all their leaves would be refused",
            root.root.id
        )
    })
}
