//! `[istio]`, `[dapr]`, `[bundle]`: what is served, to which trust domains, and who is believed there.

use super::{
    Faults, keep_all,
    raw::{RawBundle, RawDapr, RawIstio, RawValidator},
};
use credence_daemon::ports::Validator;
use spiffe::{SpiffeId, TrustDomain};
use std::collections::{BTreeMap, BTreeSet};

/// A frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrontendConfig {
    /// Its allow-list; never empty.
    pub(crate) domains: BTreeSet<TrustDomain>,
    /// Its attestors, in the order in which they look.
    pub(crate) attestors: Vec<String>,
}

/// Dapr's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DaprConfig {
    /// Its allow-list; never empty.
    pub(crate) domains: BTreeSet<TrustDomain>,
    /// The attestors of each validator.
    pub(crate) validators: BTreeMap<Validator, Vec<String>>,
    /// Whom a request that names none gets.
    pub(crate) default: Option<Validator>,
}

pub(super) struct Frontends {
    pub(super) istio: Option<FrontendConfig>,
    pub(super) dapr: Option<DaprConfig>,
    pub(super) bundle: FrontendConfig,
}

pub(super) fn parse(
    istio: Option<RawIstio>,
    dapr: Option<RawDapr>,
    bundle: RawBundle,
    own: &SpiffeId,
    (known, readers): (&[String], Vec<String>),
) -> Result<Frontends, Faults> {
    let mut faults = Vec::new();
    if istio.is_none() && dapr.is_none() {
        faults
            .push("there is neither [istio] nor [dapr]: nobody could ask for a certificate".into());
    }
    let check = Check { own, known };
    let istio = istio.map(|raw| {
        keep_all(
            &mut faults,
            check.frontend("istio", raw.trust_domains, raw.attestors),
        )
    });
    let dapr = dapr.map(|raw| keep_all(&mut faults, check.dapr(raw)));
    // whoever may have a certificate may read the bundle, unless it is said otherwise
    let named = bundle.attestors.unwrap_or(readers);
    let bundle = check.frontend("bundle", bundle.trust_domains, named);
    let bundle = keep_all(&mut faults, bundle);
    match bundle {
        Some(bundle) if faults.is_empty() => Ok(Frontends {
            istio: istio.flatten(),
            dapr: dapr.flatten(),
            bundle,
        }),
        _ => Err(Faults(faults)),
    }
}

struct Check<'a> {
    own: &'a SpiffeId,
    known: &'a [String],
}

impl Check<'_> {
    fn frontend(
        &self,
        place: &str,
        domains: Option<Vec<String>>,
        attestors: Vec<String>,
    ) -> Result<FrontendConfig, Faults> {
        let mut faults = Vec::new();
        let domains = self.domains(place, domains, &mut faults);
        self.attestors(&format!("{place}.attestors"), &attestors, &mut faults);
        if faults.is_empty() {
            Ok(FrontendConfig { domains, attestors })
        } else {
            Err(Faults(faults))
        }
    }

    fn dapr(&self, raw: RawDapr) -> Result<DaprConfig, Faults> {
        let mut faults = Vec::new();
        let domains = self.domains("dapr", raw.trust_domains, &mut faults);
        let mut validators = BTreeMap::new();
        for (name, validator, attestors) in [
            ("dapr.kubernetes", Validator::Kubernetes, raw.kubernetes),
            ("dapr.jwks", Validator::Jwks, raw.jwks),
        ] {
            if !attestors.is_empty() {
                self.attestors(name, &attestors, &mut faults);
                validators.insert(validator, attestors);
            }
        }
        if validators.is_empty() {
            faults.push("dapr: name attestors for kubernetes, or for jwks".into());
        }
        let default = raw.default.map(|default| match default {
            RawValidator::Kubernetes => Validator::Kubernetes,
            RawValidator::Jwks => Validator::Jwks,
        });
        if let Some(default) = default
            && !validators.contains_key(&default)
        {
            faults.push("dapr.default: that validator has no attestors here".into());
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        Ok(DaprConfig {
            domains,
            validators,
            default,
        })
    }

    fn attestors(&self, place: &str, named: &[String], faults: &mut Vec<String>) {
        if named.is_empty() {
            faults.push(format!("{place}: name at least one attestor"));
        }
        for name in named.iter().filter(|name| !self.known.contains(name)) {
            faults.push(format!("{place}: there is no good [attestors.{name}]"));
        }
    }

    fn domains(
        &self,
        place: &str,
        named: Option<Vec<String>>,
        faults: &mut Vec<String>,
    ) -> BTreeSet<TrustDomain> {
        let Some(named) = named else {
            return BTreeSet::from([self.own.trust_domain().clone()]);
        };
        if named.is_empty() {
            faults.push(format!("{place}.trust_domains: name at least one"));
        }
        let mut domains = BTreeSet::new();
        for name in named {
            match TrustDomain::new(&name) {
                Ok(domain) => {
                    domains.insert(domain);
                }
                Err(error) => faults.push(format!(
                    "{place}.trust_domains: {name:?} is not a trust domain's name: {error}"
                )),
            }
        }
        domains
    }
}
