//! The configuration of `credence dev`: parsed whole or not at all, every fault told at once.

pub(crate) mod ca;
mod custody;
mod dns;
mod raw;
mod sandbox;

pub(crate) use custody::{CustodyConfig, VaultConfig};

use credence_ca::dns::{DnsName, DnsTemplates};
use credence_host::signer::Settings;
use raw::{RawConfig, RawIdentity};
use spiffe::{SpiffeId, TrustDomain};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A good configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevConfig {
    /// The trust domain's own ID, without a path.
    pub(crate) trust_domain: SpiffeId,
    pub(crate) state_dir: PathBuf,
    pub(crate) leaf_life: Duration,
    pub(crate) identities: Vec<Identity>,
    pub(crate) dns_templates: DnsTemplates,
    pub(crate) signer: Settings,
    pub(crate) custody: CustodyConfig,
}

/// An identity to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: SpiffeId,
    pub(crate) socket: PathBuf,
    pub(crate) uid: Option<u32>,
    /// What it asks for beside its identity; the templates grant them all.
    pub(crate) dns_names: Vec<DnsName>,
}

/// All that is wrong with a file, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => {
                write!(f, "{} faults", many.len())?;
                many.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// Shorter, and a renewal that fails leaves no time to try again.
const SHORTEST_LEAF: Duration = Duration::from_secs(5);
/// As the guard has it: profile `x509-svid`.
const LONGEST_LEAF: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// One process holds a socket and a key for each.
const MOST_IDENTITIES: usize = 1000;

impl DevConfig {
    /// Reads a configuration's text. Relative paths are taken to be relative to `folder`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let raw: RawConfig =
            toml::from_str(text).map_err(|e| Faults(vec![e.to_string().trim_end().to_owned()]))?;
        let mut faults = Vec::new();
        let trust_domain = keep(&mut faults, trust_domain(&raw.trust_domain));
        let leaf_life = keep(&mut faults, leaf_life(&raw.leaf_life));
        let dns_templates = keep_all(&mut faults, dns::parse(&raw.dns_templates));
        let world = World {
            trust_domain: trust_domain.as_ref(),
            dns_templates: dns_templates.as_ref(),
            folder,
        };
        let identities = identities(&raw.identities, &world, &mut faults);
        let signer = keep_all(&mut faults, sandbox::parse(raw.sandbox, folder));
        let custody = keep_all(&mut faults, custody::parse(raw.custody, folder));
        let whole = (trust_domain, leaf_life, dns_templates, signer, custody);
        let (Some(trust_domain), Some(leaf_life), Some(dns_templates), Some(signer), Some(custody)) =
            whole
        else {
            return Err(Faults(faults));
        };
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        Ok(Self {
            trust_domain,
            state_dir: folder.join(raw.state_dir),
            leaf_life,
            identities,
            dns_templates,
            signer,
            custody,
        })
    }
}

fn keep<T>(faults: &mut Vec<String>, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(|fault| faults.push(fault)).ok()
}

fn keep_all<T>(faults: &mut Vec<String>, parsed: Result<T, Faults>) -> Option<T> {
    parsed.map_err(|more| faults.extend(more.0)).ok()
}

fn trust_domain(name: &str) -> Result<SpiffeId, String> {
    TrustDomain::new(name)
        .and_then(|domain| SpiffeId::new(domain.id_string()))
        .map_err(|e| format!("trust_domain: {name:?} is not a trust domain's name: {e}"))
}

fn leaf_life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|e| {
        format!("leaf_life: {text:?} is not a duration such as \"1h\" or \"90s\": {e}")
    })?;
    if (SHORTEST_LEAF..=LONGEST_LEAF).contains(&life) {
        Ok(life)
    } else {
        Err(format!("leaf_life: {text:?} is not between 5s and 7d"))
    }
}

/// What an identity's entry is read by; none where that has faults of its own.
struct World<'a> {
    trust_domain: Option<&'a SpiffeId>,
    dns_templates: Option<&'a DnsTemplates>,
    folder: &'a Path,
}

fn identities(raw: &[RawIdentity], world: &World<'_>, faults: &mut Vec<String>) -> Vec<Identity> {
    if !(1..=MOST_IDENTITIES).contains(&raw.len()) {
        faults.push(format!(
            "identities: there are {}; 1 to {MOST_IDENTITIES} can be served",
            raw.len()
        ));
    }
    let mut sockets = BTreeMap::new();
    let mut parsed = Vec::new();
    for (index, identity) in raw.iter().enumerate() {
        let place = format!("identities[{index}]");
        let socket = world.folder.join(&identity.socket);
        if let Some(earlier) = sockets.insert(socket.clone(), index) {
            faults.push(format!(
                "{place}.socket: {} is identities[{earlier}]'s already",
                socket.display()
            ));
        }
        let id = workload_id(&identity.id, world.trust_domain, &place);
        if let Some(id) = keep(faults, id) {
            let granted = world.dns_templates.map(|templates| templates.grant(&id));
            let asked = dns::asked(&identity.dns_names, granted.as_deref(), &place);
            parsed.push(Identity {
                id,
                socket,
                uid: identity.uid,
                dns_names: keep_all(faults, asked).unwrap_or_default(),
            });
        }
    }
    parsed
}

fn workload_id(
    text: &str,
    trust_domain: Option<&SpiffeId>,
    place: &str,
) -> Result<SpiffeId, String> {
    let id =
        SpiffeId::new(text).map_err(|e| format!("{place}.id: {text:?} is not a SPIFFE ID: {e}"))?;
    if id.path().is_empty() {
        return Err(format!(
            "{place}.id: {text:?} has no path; a workload's SPIFFE ID has one, such as {text}/frontend"
        ));
    }
    match trust_domain {
        Some(domain) if domain.trust_domain() != id.trust_domain() => Err(format!(
            "{place}.id: {text:?} is not of the trust domain {}",
            domain.trust_domain_name()
        )),
        _ => Ok(id),
    }
}

#[cfg(test)]
mod tests;
