//! The secrets of a view, made of what is held: each change makes anew only what it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spiffe::TrustDomain;
use tokio::sync::watch;

use super::elsewhere::Elsewhere;
use super::names::{ALL, DEFAULT, ROOT_CA};
use super::secrets::Secret;
use super::snapshot::Snapshot;
use crate::board::Make;
use crate::shelf::{Bundle, Holdings};
use crate::svid::Svid;
use crate::view::View;

/// How Envoy is told whom to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validation {
    /// One trust domain's roots as `trusted_ca`, with its revocation lists.
    #[default]
    TrustedCa,
    /// `envoy.tls.cert_validator.spiffe`, with a bundle for each trust domain. It takes no revocation lists: where a trust domain has some,
    /// nothing is served that would leave them out.
    Spiffe,
}

/// What a caller is served, and what it was made of.
#[derive(Clone, Default)]
pub(crate) struct Catalogue {
    pub(crate) snapshot: Snapshot,
    sources: BTreeMap<String, Source>,
    withheld: BTreeSet<String>,
}

/// Where a secret's contents come from.
#[derive(Clone)]
enum Source {
    Svid(Arc<Svid>),
    Roots(Arc<Bundle>),
    Validator(Vec<(TrustDomain, Arc<Bundle>)>),
}

impl Source {
    /// Whether it is the very same: what is held is never changed, only replaced.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Svid(one), Self::Svid(other)) => Arc::ptr_eq(one, other),
            (Self::Roots(one), Self::Roots(other)) => Arc::ptr_eq(one, other),
            (Self::Validator(one), Self::Validator(other)) => {
                let same = |((domain, one), (named, other)): (&(_, _), &(_, _))| {
                    domain == named && Arc::ptr_eq(one, other)
                };
                one.len() == other.len() && one.iter().zip(other).all(same)
            }
            _ => false,
        }
    }
}

/// Makes catalogues.
pub(crate) struct Catalogues {
    pub(crate) elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl Make for Catalogues {
    type Kind = Validation;
    type Made = Catalogue;

    fn make(
        &self,
        view: &Arc<View>,
        validation: Validation,
        held: &Holdings,
        before: Option<&Catalogue>,
    ) -> Option<Catalogue> {
        let plan = Plan::of(view, validation, held);
        if before.is_some_and(|before| plan.is_carried_out_in(before)) {
            return None;
        }
        let mut made = plan.carry_out(view, before.unwrap_or(&Catalogue::default()));
        if let Some(elsewhere) = &self.elsewhere {
            made.snapshot = made.snapshot.and_elsewhere(view, elsewhere);
        }
        Some(made)
    }

    fn others(&self) -> Option<watch::Receiver<()>> {
        self.elsewhere.as_ref().map(|elsewhere| elsewhere.changes())
    }

    fn refresh(&self, before: &Catalogue) -> Option<Catalogue> {
        self.elsewhere.is_some().then(|| before.clone())
    }
}

/// What there is to be under each name.
#[derive(Default)]
struct Plan {
    sources: BTreeMap<String, Source>,
    listed: Vec<String>,
    late: BTreeSet<String>,
    withheld: BTreeSet<String>,
}

impl Plan {
    fn of(view: &View, validation: Validation, held: &Holdings) -> Self {
        let mut plan = Self::default();
        for (position, entitled) in view.entitled().enumerate() {
            let svid = held.svid(&entitled.id).cloned().map(Source::Svid);
            let alias = (position == 0).then_some(DEFAULT);
            plan.put(alias, &entitled.id.to_string(), svid);
        }
        for (position, domain) in view.trust_domains().into_iter().enumerate() {
            let alias = (position == 0).then_some(ROOT_CA);
            let names = alias.into_iter().map(str::to_owned);
            let names = names.chain([domain.id_string()]).collect::<Vec<_>>();
            let bundle = held.bundle(domain);
            match (validation, bundle) {
                (Validation::Spiffe, Some(bundle)) if !bundle.lists.is_empty() => {
                    plan.withheld.extend(names);
                }
                (Validation::Spiffe, Some(bundle)) => {
                    let one = vec![(domain.clone(), Arc::clone(bundle))];
                    plan.put(alias, &domain.id_string(), Some(Source::Validator(one)));
                }
                (Validation::TrustedCa, bundle) => {
                    let roots = bundle.cloned().map(Source::Roots);
                    plan.put(alias, &domain.id_string(), roots);
                }
                (Validation::Spiffe, None) => plan.put(alias, &domain.id_string(), None),
            }
        }
        plan.put_all(view, held);
        plan
    }

    /// Under its alias, if it has one, and its own name.
    fn put(&mut self, alias: Option<&str>, name: &str, source: Option<Source>) {
        let listed = alias.unwrap_or(name);
        let names = alias.into_iter().chain([name]).map(str::to_owned);
        match source {
            Some(source) => {
                self.listed.push(listed.to_owned());
                self.sources
                    .extend(names.map(|name| (name, source.clone())));
            }
            None => self.late.extend(names),
        }
    }

    /// The bundles of all trust domains that are there: only the SPIFFE validator can tell them apart.
    fn put_all(&mut self, view: &View, held: &Holdings) {
        let domains = view.trust_domains().into_iter();
        let there: Vec<(TrustDomain, Arc<Bundle>)> = domains
            .filter_map(|domain| Some((domain.clone(), Arc::clone(held.bundle(domain)?))))
            .collect();
        if there.is_empty() {
            self.late.insert(ALL.to_owned());
        } else if there.iter().any(|(_, bundle)| !bundle.lists.is_empty()) {
            self.withheld.insert(ALL.to_owned());
        } else {
            self.sources
                .insert(ALL.to_owned(), Source::Validator(there));
        }
    }

    fn is_carried_out_in(&self, made: &Catalogue) -> bool {
        let has = |(name, source): (&String, &Source)| {
            made.sources.get(name).is_some_and(|made| made.is(source))
        };
        self.sources.len() == made.sources.len()
            && self.sources.iter().all(has)
            && self.withheld == made.withheld
    }

    fn carry_out(self, view: &View, before: &Catalogue) -> Catalogue {
        let mut late = self.late;
        let mut secrets = BTreeMap::new();
        for (name, source) in &self.sources {
            match secret(name, source, before) {
                Some(secret) => drop(secrets.insert(name.clone(), secret)),
                None => drop(late.insert(name.clone())),
            }
        }
        let names: Vec<_> = self.withheld.difference(&before.withheld).collect();
        if !names.is_empty() {
            tracing::error!(
                identity = %view.default_id(),
                ?names,
                "withheld: there are revocation lists, and Envoy's SPIFFE validator takes none; use trusted_ca",
            );
        }
        let mut listed = self.listed;
        listed.retain(|name| secrets.contains_key(name));
        Catalogue {
            snapshot: Snapshot::new(secrets, listed, late),
            sources: self.sources,
            withheld: self.withheld,
        }
    }
}

/// The one from before, where nothing changed.
fn secret(name: &str, source: &Source, before: &Catalogue) -> Option<Arc<Secret>> {
    if before.sources.get(name).is_some_and(|one| one.is(source)) {
        return before.snapshot.made(name).cloned();
    }
    let secret = match source {
        Source::Svid(svid) => Secret::of_svid(name, svid)
            .map_err(|error| tracing::error!(name, %error, "a certificate could not be encoded"))
            .ok()?,
        Source::Roots(bundle) => Secret::roots(name, bundle),
        Source::Validator(bundles) => {
            let bundles: Vec<_> = bundles
                .iter()
                .map(|(domain, bundle)| (domain, &**bundle))
                .collect();
            Secret::validator(name, &bundles)
        }
    };
    Some(Arc::new(secret))
}

#[cfg(test)]
mod tests;
