//! What the agent holds: certificates with their keys, and trust bundles.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use spiffe::{SpiffeId, TrustDomain};
use tokio::sync::watch;

use crate::svid::Svid;

/// A trust domain's bundle (SPIFFE Trust Domain and Bundle §4), as somebody brought it who has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Root certificates, DER. Without any, nothing is served of the trust domain.
    pub roots: Vec<Vec<u8>>,
    /// Revocation lists of the trust domain's issuers, DER.
    pub lists: Vec<Vec<u8>>,
    /// The bundle's number, where its source counts. One with a lower number does not replace it.
    pub sequence: Option<u64>,
    /// How often its source wants to be asked.
    pub refresh_hint: Option<Duration>,
}

/// What is held at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    svids: BTreeMap<SpiffeId, Arc<Svid>>,
    bundles: BTreeMap<TrustDomain, Arc<Bundle>>,
}

impl Holdings {
    /// The identity's certificate, unless there is none yet or it has ended.
    pub(crate) fn svid(&self, id: &SpiffeId) -> Option<&Arc<Svid>> {
        self.svids.get(id)
    }

    /// The trust domain's bundle, if it has a root.
    pub(crate) fn bundle(&self, domain: &TrustDomain) -> Option<&Arc<Bundle>> {
        let bundle = self.bundles.get(domain);
        bundle.filter(|bundle| !bundle.roots.is_empty())
    }
}

/// Where what the agent holds is put, and seen by all that serve it. Clones are the same shelf.
#[derive(Clone)]
pub struct Shelf(Arc<watch::Sender<Arc<Holdings>>>);

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf(..)")
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Shelf {
    /// What there is, and each change of it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Holdings>> {
        self.0.subscribe()
    }

    /// Puts a certificate in the place of the identity's last one. The roots that came with it count as the trust domain's bundle until
    /// somebody brings one that says more: revocation lists or a number.
    pub(crate) fn put_svid(&self, id: &SpiffeId, svid: Svid) {
        let came = Bundle {
            roots: svid.bundle.clone(),
            ..Bundle::default()
        };
        self.change(|held| {
            let before = held.bundles.get(id.trust_domain());
            if before.is_none_or(|before| before.is_replaced_by_roots(&came)) {
                held.bundles
                    .insert(id.trust_domain().clone(), Arc::new(came));
            }
            held.svids.insert(id.clone(), Arc::new(svid));
            true
        });
    }

    /// Takes the identity's certificate away, because it has ended.
    pub(crate) fn withdraw(&self, id: &SpiffeId) {
        self.change(|held| held.svids.remove(id).is_some());
    }

    /// Puts a trust domain's bundle, ours or a federated one's. Whether it was taken: one with a lower number than the last is not, nor is
    /// one without a number in the place of one that has it.
    pub fn put_bundle(&self, domain: &TrustDomain, bundle: Bundle) -> bool {
        let mut taken = true;
        self.change(|held| match held.bundles.get(domain) {
            Some(before) if **before == bundle => false,
            Some(before) if before.sequence > bundle.sequence => {
                taken = false;
                false
            }
            _ => {
                held.bundles.insert(domain.clone(), Arc::new(bundle));
                true
            }
        });
        taken
    }

    /// Takes a trust domain's bundle away: it is federated with no longer.
    pub fn remove_bundle(&self, domain: &TrustDomain) {
        self.change(|held| held.bundles.remove(domain).is_some());
    }

    /// The bundles that are served now.
    #[must_use]
    pub fn bundles(&self) -> BTreeMap<TrustDomain, Arc<Bundle>> {
        self.0.borrow().bundles.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Holdings) -> bool) {
        self.0.send_if_modified(|held| change(Arc::make_mut(held)));
    }
}

impl Bundle {
    fn is_replaced_by_roots(&self, came: &Self) -> bool {
        self.sequence.is_none() && self.lists.is_empty() && self.roots != came.roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testsvid;

    fn id() -> SpiffeId {
        SpiffeId::new("spiffe://example.org/frontend").unwrap()
    }

    fn numbered(root: u8, sequence: Option<u64>) -> Bundle {
        Bundle {
            roots: vec![vec![root]],
            sequence,
            ..Bundle::default()
        }
    }

    fn held(shelf: &Shelf) -> Arc<Bundle> {
        let holdings = shelf.watch().borrow().clone();
        Arc::clone(holdings.bundle(id().trust_domain()).unwrap())
    }

    #[test]
    fn a_bundle_does_not_go_back() {
        let shelf = Shelf::default();
        let domain = id().trust_domain().clone();
        for (bundle, taken) in [
            (numbered(1, None), true),
            (numbered(2, Some(5)), true),
            (numbered(3, Some(4)), false),
            (numbered(4, None), false),
            (numbered(5, Some(5)), true),
            (numbered(6, Some(6)), true),
        ] {
            assert_eq!(
                shelf.put_bundle(&domain, bundle.clone()),
                taken,
                "{bundle:?}"
            );
            assert_eq!(*held(&shelf) == bundle, taken);
        }
        shelf.remove_bundle(&domain);
        assert!(shelf.watch().borrow().bundle(&domain).is_none());
    }

    #[test]
    fn roots_that_came_with_a_certificate_give_way_to_a_bundle_and_do_not_replace_it() {
        let shelf = Shelf::default();
        let (first, second) = (testsvid::svid(&id(), 1), testsvid::svid(&id(), 2));
        shelf.put_svid(&id(), first);
        let domain = id().trust_domain().clone();
        let listed = Bundle {
            lists: vec![vec![9]],
            ..numbered(1, None)
        };
        assert!(shelf.put_bundle(&domain, listed.clone()));
        shelf.put_svid(&id(), second);
        assert_eq!(
            *held(&shelf),
            listed,
            "a certificate took the revocation lists away"
        );
        assert!(shelf.watch().borrow().svid(&id()).is_some());
        shelf.withdraw(&id());
        assert!(shelf.watch().borrow().svid(&id()).is_none());
    }

    #[test]
    fn a_bundle_without_a_root_is_none() {
        let shelf = Shelf::default();
        assert!(shelf.put_bundle(id().trust_domain(), Bundle::default()));
        assert!(shelf.watch().borrow().bundle(id().trust_domain()).is_none());
    }

    #[test]
    fn what_is_the_same_is_no_change() {
        let shelf = Shelf::default();
        shelf.put_bundle(id().trust_domain(), numbered(1, None));
        let mut watch = shelf.watch();
        watch.mark_unchanged();
        shelf.put_bundle(id().trust_domain(), numbered(1, None));
        shelf.withdraw(&id());
        assert!(!watch.has_changed().unwrap());
    }
}
