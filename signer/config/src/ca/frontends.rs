//! `[istio]`, `[dapr]`, `[bundle]`, `[unix]`: what is served, to which trust domains, and who is believed there.

use super::{
    AttestorConfig,
    raw::{RawBundle, RawDapr, RawIstio, RawUnix, RawValidator},
};
use crate::{Faults, keep, keep_all};
use spiffe::{SpiffeId, TrustDomain};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendConfig {
    /// Its allow-list; never empty.
    pub domains: BTreeSet<TrustDomain>,
    /// Its attestors, in the order in which they look.
    pub attestors: Vec<String>,
}

/// Dapr's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaprConfig {
    /// Its allow-list; never empty.
    pub domains: BTreeSet<TrustDomain>,
    /// The attestors of each validator.
    pub validators: BTreeMap<Validator, Vec<String>>,
    /// Whom a request that names none gets.
    pub default: Option<Validator>,
}

/// Dapr's ways to look at a token that can be configured: to believe everybody is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validator {
    /// By a Kubernetes API server.
    Kubernetes,
    /// With the keys of a key set.
    Jwks,
}

/// Who may connect to a socket at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Its user; none: the daemon's own.
    pub owner: Option<u32>,
    /// Its group; none: the daemon's own.
    pub group: Option<u32>,
    /// Its mode: 0600, 0660 or 0666.
    pub mode: u32,
}

/// The Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixConfig {
    /// Its path.
    pub socket: PathBuf,
    /// Who may connect at all.
    pub access: Access,
    /// Who is served there.
    pub frontend: FrontendConfig,
}

pub(super) struct Written {
    pub(super) istio: Option<RawIstio>,
    pub(super) dapr: Option<RawDapr>,
    pub(super) bundle: RawBundle,
    pub(super) unix: Option<RawUnix>,
}

pub(super) struct Frontends {
    pub(super) istio: Option<FrontendConfig>,
    pub(super) dapr: Option<DaprConfig>,
    pub(super) bundle: FrontendConfig,
    pub(super) unix: Option<UnixConfig>,
}

pub(super) fn parse(
    raw: Written,
    own: &SpiffeId,
    attestors: &BTreeMap<String, AttestorConfig>,
    folder: &Path,
) -> Result<Frontends, Faults> {
    let mut faults = Vec::new();
    let on_the_network = raw.istio.is_some() || raw.dapr.is_some();
    if !on_the_network && raw.unix.is_none() {
        faults.push(
            "there is neither [istio] nor [dapr] nor [unix]: nobody could ask for a certificate"
                .into(),
        );
    }
    let check = Check { own, attestors };
    let istio = raw.istio.map(|raw| {
        keep_all(
            &mut faults,
            check.frontend("istio", raw.trust_domains, raw.attestors),
        )
    });
    let dapr = raw.dapr.map(|raw| keep_all(&mut faults, check.dapr(raw)));
    let unix = raw
        .unix
        .map(|raw| keep_all(&mut faults, check.unix(raw, folder)));
    // whoever may have a certificate may read the bundle, unless it is said otherwise
    let bundle = match raw.bundle.attestors {
        None if !on_the_network => check.nobody("bundle", raw.bundle.trust_domains),
        named => {
            let named = named.unwrap_or_else(|| check.readers());
            check.frontend("bundle", raw.bundle.trust_domains, named)
        }
    };
    let bundle = keep_all(&mut faults, bundle);
    match bundle {
        Some(bundle) if faults.is_empty() => Ok(Frontends {
            istio: istio.flatten(),
            dapr: dapr.flatten(),
            bundle,
            unix: unix.flatten(),
        }),
        _ => Err(Faults(faults)),
    }
}

struct Check<'a> {
    own: &'a SpiffeId,
    attestors: &'a BTreeMap<String, AttestorConfig>,
}

/// From where evidence comes: not every attestor can look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Network,
    Unix,
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
        let named = format!("{place}.attestors");
        self.attestors(Place::Network, &named, &attestors, &mut faults);
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
                self.attestors(Place::Network, name, &attestors, &mut faults);
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

    fn unix(&self, raw: RawUnix, folder: &Path) -> Result<UnixConfig, Faults> {
        let mut faults = Vec::new();
        let domains = self.domains("unix", raw.trust_domains, &mut faults);
        self.attestors(Place::Unix, "unix.attestors", &raw.attestors, &mut faults);
        let mode = keep(&mut faults, mode(raw.mode.as_deref()));
        match mode {
            Some(mode) if faults.is_empty() => Ok(UnixConfig {
                socket: folder.join(raw.socket),
                access: Access {
                    owner: raw.owner,
                    group: raw.group,
                    mode,
                },
                frontend: FrontendConfig {
                    domains,
                    attestors: raw.attestors,
                },
            }),
            _ => Err(Faults(faults)),
        }
    }

    /// A frontend that lets nobody in.
    fn nobody(&self, place: &str, domains: Option<Vec<String>>) -> Result<FrontendConfig, Faults> {
        let mut faults = Vec::new();
        let domains = self.domains(place, domains, &mut faults);
        match faults.is_empty() {
            true => Ok(FrontendConfig {
                domains,
                attestors: Vec::new(),
            }),
            false => Err(Faults(faults)),
        }
    }

    /// Who may read the bundle on the network: a join token would be used up by reading.
    fn readers(&self) -> Vec<String> {
        let reads = |kind: &AttestorConfig| {
            !matches!(kind, AttestorConfig::JoinToken | AttestorConfig::Peer(_))
        };
        let readers = self.attestors.iter().filter(|(_, kind)| reads(kind));
        readers.map(|(name, _)| name.clone()).collect()
    }

    fn attestors(&self, from: Place, place: &str, named: &[String], faults: &mut Vec<String>) {
        if named.is_empty() {
            faults.push(format!("{place}: name at least one attestor"));
        }
        for name in named {
            match (self.attestors.get(name), from) {
                (None, _) => faults.push(format!("{place}: there is no good [attestors.{name}]")),
                (Some(AttestorConfig::Peer(_)), Place::Network) => faults.push(format!(
                    "{place}: [attestors.{name}] looks at processes on this host: name it in [unix]"
                )),
                (Some(AttestorConfig::Svid { .. }), Place::Unix) => faults.push(format!(
                    "{place}: [attestors.{name}] looks at certificates that TLS has verified, and there is no TLS"
                )),
                (Some(_), _) => {}
            }
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

/// Write is what connecting asks for, and nothing else means anything.
fn mode(text: Option<&str>) -> Result<u32, String> {
    match text {
        None | Some("0600") => Ok(0o600),
        Some("0660") => Ok(0o660),
        Some("0666") => Ok(0o666),
        Some(other) => Err(format!(
            "unix.mode: {other:?} is none of \"0600\" (its owner), \"0660\" (and its group), \"0666\" (everybody)"
        )),
    }
}
