//! The configuration of `credence dev`: parsed whole or not at all, every fault told at once.

use crate::{
    Faults,
    custody::{self, CustodyConfig},
    dns,
    faults::written,
    keep, keep_all,
    raw::{RawConfig, RawIdentity},
    sandbox::{self, Settings},
    trust_domain,
};
use credence_ca::dns::{DnsName, DnsTemplates};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// A good configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevConfig {
    /// The trust domain's own ID, without a path.
    pub trust_domain: SpiffeId,
    /// The state folder.
    pub state_dir: PathBuf,
    /// How long a leaf lives.
    pub leaf_life: Duration,
    /// What is served.
    pub identities: Vec<Identity>,
    /// Which DNS names are granted.
    pub dns_templates: DnsTemplates,
    /// The signing module, and what it may use.
    pub signer: Settings,
    /// Where the CA's keys are.
    pub custody: CustodyConfig,
}

/// An identity to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its SPIFFE ID.
    pub id: SpiffeId,
    /// Where it is fetched.
    pub socket: PathBuf,
    /// Who may fetch it besides root; none: whoever runs this.
    pub uid: Option<u32>,
    /// What it asks for beside its identity; the templates grant them all.
    pub dns_names: Vec<DnsName>,
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
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let raw: RawConfig = written(text)?;
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
