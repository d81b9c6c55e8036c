//! The bundles of the agent's own trust domains, put on the shelf in order, whoever brings them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spiffe::TrustDomain;
use tokio::sync::watch;

use super::{Heard, Mark, Order, Place, Source, check};
use crate::shelf::{Bundle, Shelf};
use crate::upstream::{Telling, Upstream, Verdict};

/// What all keepers share. Clones are the same.
#[derive(Clone)]
pub(crate) struct Anchors(Arc<Shared>);

struct Shared {
    shelf: Shelf,
    upstream: Arc<dyn Upstream>,
    orders: Mutex<BTreeMap<TrustDomain, Order>>,
    changes: watch::Sender<()>,
}

impl Anchors {
    pub(crate) fn new(shelf: Shelf, upstream: Arc<dyn Upstream>) -> Self {
        Self(Arc::new(Shared {
            shelf,
            upstream,
            orders: Mutex::default(),
            changes: watch::Sender::new(()),
        }))
    }

    /// Where certificates are put.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    /// Whom certificates are had from.
    pub(crate) fn upstream(&self) -> &Arc<dyn Upstream> {
        &self.0.upstream
    }

    /// Tells of each change of a bundle.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// What is known now.
    pub(crate) fn mark(&self, domain: &TrustDomain) -> Mark {
        self.lock().get(domain).map(Order::mark).unwrap_or_default()
    }

    /// The present roots, DER; none before the first.
    pub(crate) fn roots(&self, domain: &TrustDomain) -> Vec<Vec<u8>> {
        let orders = self.lock();
        orders
            .get(domain)
            .map(|order| order.roots().to_vec())
            .unwrap_or_default()
    }

    /// Checks it, finds its place, serves it if it is the newest, and only then says so.
    pub(crate) fn take(&self, domain: &TrustDomain, heard: Heard) -> Verdict {
        if let Err(error) = check(&heard.bundle) {
            tracing::error!(%domain, %error, "a trust bundle that cannot be used; the one before goes on");
            return Verdict::Refused(error.to_string());
        }
        let mut orders = self.lock();
        let order = orders.entry(domain.clone()).or_default();
        let verdict = match order.place(heard) {
            Place::Present => Verdict::Served(order.mark()),
            Place::Older => Verdict::Superseded,
            Place::Newer(bundle) => self.serve(domain, order, &bundle),
        };
        drop(orders);
        verdict
    }

    fn serve(&self, domain: &TrustDomain, order: &mut Order, bundle: &Bundle) -> Verdict {
        let (roots, lists) = (bundle.roots.len(), bundle.lists.len());
        if !self.0.shelf.put_bundle(domain, bundle.clone()) {
            tracing::error!(%domain, "a trust bundle could not be served: one with a higher number is there");
            return Verdict::Refused("a bundle with a higher number is served".to_owned());
        }
        order.served(bundle);
        self.0.upstream.trusted(&bundle.roots);
        self.0.changes.send_replace(());
        tracing::info!(%domain, number = order.mark().number(), roots, lists, "trust bundle served");
        Verdict::Served(order.mark())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TrustDomain, Order>> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stream of a trust domain's bundles tells them to.
pub(crate) struct Hearer {
    pub(crate) anchors: Anchors,
    pub(crate) domain: TrustDomain,
}

impl crate::upstream::Hear for Hearer {
    fn mark(&self) -> Mark {
        self.anchors.mark(&self.domain)
    }

    fn hear(&self, bundle: Bundle, since: Mark) -> Telling<'_> {
        let source = Source::Whole;
        let heard = Heard {
            bundle,
            source,
            since,
        };
        let verdict = self.anchors.take(&self.domain, heard);
        Box::pin(std::future::ready(verdict))
    }
}
