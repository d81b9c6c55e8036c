//! `[[federation]]`: the bundles of foreign trust domains, and where they come from.

use super::{World, raw::RawFederation};
use crate::{Faults, keep};
use credence_attest::HttpsUrl;
use spiffe::{SpiffeId, TrustDomain};
use std::{collections::BTreeMap, path::PathBuf};

/// How many foreign trust domains there are at most.
const MOST: usize = 1_000;

/// A foreign trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// Which.
    pub trust_domain: TrustDomain,
    /// Where its bundle comes from.
    pub profile: Profile,
}

/// Where a bundle comes from (SPIFFE Federation §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// A file that somebody else keeps: PEM, or a SPIFFE bundle.
    File(PathBuf),
    /// A bundle endpoint that the web's certificates vouch for.
    HttpsWeb {
        /// Where.
        url: HttpsUrl,
        /// Roots that vouch for it; none: the system's.
        roots: Option<PathBuf>,
    },
    /// A bundle endpoint that shows an SVID.
    HttpsSpiffe {
        /// Where.
        url: HttpsUrl,
        /// Who is there.
        endpoint: SpiffeId,
        /// The first bundle: PEM, or a SPIFFE bundle.
        first: PathBuf,
    },
}

pub(super) fn parse(raw: Vec<RawFederation>, world: &World<'_>) -> Result<Vec<Federation>, Faults> {
    let mut faults = Vec::new();
    if raw.len() > MOST {
        faults.push(format!(
            "federation: there are {}; {MOST} at most",
            raw.len()
        ));
    }
    let mut by_domain = BTreeMap::new();
    let mut parsed: Vec<Federation> = Vec::new();
    for (at, one) in raw.into_iter().enumerate() {
        let place = format!("federation[{at}]");
        let Some(one) = self::one(one, world, &place, &mut faults) else {
            continue;
        };
        if let Some(earlier) = by_domain.insert(one.trust_domain.clone(), at) {
            faults.push(format!(
                "{place}.trust_domain: {} is federation[{earlier}]'s already",
                one.trust_domain
            ));
        }
        parsed.push(one);
    }
    match faults.is_empty() {
        true => Ok(parsed),
        false => Err(Faults(faults)),
    }
}

fn one(
    raw: RawFederation,
    world: &World<'_>,
    place: &str,
    faults: &mut Vec<String>,
) -> Option<Federation> {
    let url = |faults: &mut Vec<String>, text: &str| {
        keep(
            faults,
            HttpsUrl::parse(text).map_err(|e| format!("{place}.url: {e}")),
        )
    };
    let (name, profile) = match raw {
        RawFederation::File { trust_domain, file } => {
            (trust_domain, Some(Profile::File(world.folder.join(file))))
        }
        RawFederation::HttpsWeb {
            trust_domain,
            url: text,
            roots_file,
        } => {
            let roots = roots_file.map(|path| world.folder.join(path));
            let profile = url(faults, &text).map(|url| Profile::HttpsWeb { url, roots });
            (trust_domain, profile)
        }
        RawFederation::HttpsSpiffe {
            trust_domain,
            url: text,
            endpoint_id,
            bundle_file,
        } => {
            let endpoint = SpiffeId::new(&endpoint_id).map_err(|e| {
                format!("{place}.endpoint_id: {endpoint_id:?} is not a SPIFFE ID: {e}")
            });
            let (url, endpoint) = (url(faults, &text), keep(faults, endpoint));
            let first = world.folder.join(bundle_file);
            let profile = url
                .zip(endpoint)
                .map(|(url, endpoint)| Profile::HttpsSpiffe {
                    url,
                    endpoint,
                    first,
                });
            (trust_domain, profile)
        }
    };
    let domain = TrustDomain::new(&name)
        .map_err(|e| format!("{place}.trust_domain: {name:?} is not a trust domain's name: {e}"));
    let domain = keep(faults, domain)?;
    if world.domain == Some(&domain) {
        faults.push(format!(
            "{place}.trust_domain: {name:?} is the agent's own, whose bundle comes from its CA"
        ));
    }
    let profile = profile?;
    if let Profile::HttpsSpiffe { endpoint, .. } = &profile
        && *endpoint.trust_domain() != domain
    {
        faults.push(format!(
            "{place}.endpoint_id: {endpoint} is not of {domain}, whose bundle vouches for it"
        ));
    }
    Some(Federation {
        trust_domain: domain,
        profile,
    })
}
