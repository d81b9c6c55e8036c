//! What a view is answered: every message is the whole state.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::proto::{X509BundlesResponse, X509svid, X509svidResponse};
use crate::board::Make;
use crate::shelf::{Bundle, Holdings};
use crate::svid::Svid;
use crate::view::{Entitled, View};

/// The answers for one view. A part that is the same as before is the same `Arc`.
#[derive(Clone, Default)]
pub(crate) struct Package {
    /// Nothing as long as no identity has both certificate and bundle.
    pub(super) svids: Option<Arc<X509svidResponse>>,
    /// Nothing as long as the bundle of the caller's own trust domain is not there.
    pub(super) bundles: Option<Arc<X509BundlesResponse>>,
    sources: Sources,
}

/// What a package was made of. What is held is never changed, only replaced.
#[derive(Clone, Default)]
struct Sources {
    svids: Vec<Option<Arc<Svid>>>,
    bundles: Vec<Option<Arc<Bundle>>>,
}

impl Sources {
    fn of(view: &View, held: &Holdings) -> Self {
        let svids = view.entitled().map(|entitled| held.svid(&entitled.id));
        let domains = view.trust_domains().into_iter();
        let bundles = domains.map(|domain| held.bundle(domain));
        Self {
            svids: svids.map(Option::<&_>::cloned).collect(),
            bundles: bundles.map(Option::<&_>::cloned).collect(),
        }
    }

    fn are(&self, other: &Self) -> bool {
        same(&self.svids, &other.svids) && same(&self.bundles, &other.bundles)
    }
}

fn same<T>(some: &[Option<Arc<T>>], others: &[Option<Arc<T>>]) -> bool {
    let one = |(one, other): (&Option<Arc<T>>, &Option<Arc<T>>)| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    some.len() == others.len() && some.iter().zip(others).all(one)
}

/// Makes packages.
pub(crate) struct Packages;

impl Make for Packages {
    type Kind = ();
    type Made = Package;

    fn make(
        &self,
        view: &Arc<View>,
        (): (),
        held: &Holdings,
        before: Option<&Package>,
    ) -> Option<Package> {
        let sources = Sources::of(view, held);
        if before.is_some_and(|before| before.sources.are(&sources)) {
            return None;
        }
        let (svids, bundles) = match before {
            Some(before) => (before.svids.as_ref(), before.bundles.as_ref()),
            None => (None, None),
        };
        Some(Package {
            svids: keep(svids, svids_of(view, held)),
            bundles: keep(bundles, bundles_of(view, held)),
            sources,
        })
    }

    fn refresh(&self, _before: &Package) -> Option<Package> {
        None
    }
}

/// The one from before, where the new one is equal.
fn keep<T: PartialEq>(before: Option<&Arc<T>>, made: Option<T>) -> Option<Arc<T>> {
    let made = made?;
    match before {
        Some(before) if **before == made => Some(Arc::clone(before)),
        _ => Some(Arc::new(made)),
    }
}

fn svids_of(view: &View, held: &Holdings) -> Option<X509svidResponse> {
    let svids = view.entitled().filter_map(|entitled| svid(entitled, held));
    let svids: Vec<_> = svids.collect();
    if svids.is_empty() {
        return None;
    }
    let foreign = bundles(view, held).filter(|(domain, _)| view.is_foreign(domain));
    Some(X509svidResponse {
        svids,
        crl: lists(view, held),
        federated_bundles: by_id(foreign),
    })
}

fn svid(Entitled { id, hint }: &Entitled, held: &Holdings) -> Option<X509svid> {
    let (svid, bundle) = (held.svid(id)?, held.bundle(id.trust_domain())?);
    Some(X509svid {
        spiffe_id: id.to_string(),
        x509_svid: svid.chain.concat().into(),
        x509_svid_key: Bytes::from_owner(svid.key.to_der()),
        bundle: bundle.roots.concat().into(),
        hint: hint.clone(),
    })
}

fn bundles_of(view: &View, held: &Holdings) -> Option<X509BundlesResponse> {
    held.bundle(view.trust_domain())?;
    Some(X509BundlesResponse {
        crl: lists(view, held),
        bundles: by_id(bundles(view, held)),
    })
}

type Named<'a> = (&'a spiffe::TrustDomain, &'a Bundle);

fn bundles<'a>(view: &'a View, held: &'a Holdings) -> impl Iterator<Item = Named<'a>> {
    let domains = view.trust_domains().into_iter();
    domains.filter_map(|domain| Some((domain, &**held.bundle(domain)?)))
}

fn by_id<'a>(bundles: impl Iterator<Item = Named<'a>>) -> HashMap<String, Bytes> {
    bundles
        .map(|(domain, bundle)| (domain.id_string(), bundle.roots.concat().into()))
        .collect()
}

fn lists(view: &View, held: &Holdings) -> Vec<Bytes> {
    let lists = bundles(view, held).flat_map(|(_, bundle)| bundle.lists.clone());
    lists.map(Bytes::from).collect()
}

#[cfg(test)]
mod tests;
