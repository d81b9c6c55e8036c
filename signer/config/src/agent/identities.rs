//! `[[identities]]`: who is kept supplied, and who may have it on a socket of its own.

use super::{World, raw::RawIdentity, workload_id};
use crate::{Faults, keep};
use credence_ca::dns::DnsName;
use spiffe::{SpiffeId, TrustDomain};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// One process keeps a key, a timer and a stream for each.
const MOST_IDENTITIES: usize = 10_000;
/// The longest hint, in octets.
const LONGEST_HINT: usize = 128;

/// An identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Its SPIFFE ID.
    pub id: SpiffeId,
    /// What it asks for beside its identity.
    pub dns_names: Vec<DnsName>,
    /// A socket of its own.
    pub socket: Option<SocketConfig>,
    /// What its callers know it by beside its ID.
    pub hint: String,
    /// Further identities that its callers have.
    pub also: Vec<SpiffeId>,
    /// Foreign trust domains that its callers may trust.
    pub federates_with: BTreeSet<TrustDomain>,
    /// What it begins with, if that is not what all begin with.
    pub proof: Option<ProofConfig>,
}

/// A socket of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Where it is.
    pub path: PathBuf,
    /// Who may connect besides root; none: whoever runs this.
    pub uid: Option<u32>,
}

/// What an identity begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofConfig {
    /// A token that others renew in its file.
    Token(PathBuf),
    /// A join token, good once.
    JoinToken(PathBuf),
}

pub(super) fn parse(
    raw: Vec<RawIdentity>,
    foreign: Option<&BTreeSet<TrustDomain>>,
    world: &World<'_>,
) -> Result<Vec<IdentityConfig>, Faults> {
    let mut faults = Vec::new();
    if !(1..=MOST_IDENTITIES).contains(&raw.len()) {
        faults.push(format!(
            "identities: there are {}; 1 to {MOST_IDENTITIES} can be served",
            raw.len()
        ));
    }
    let mut parsed = Vec::new();
    for (at, identity) in raw.into_iter().enumerate() {
        let place = format!("identities[{at}]");
        parsed.extend(one(identity, foreign, world, &place, &mut faults));
    }
    check_together(&parsed, &mut faults);
    match faults.is_empty() {
        true => Ok(parsed),
        false => Err(Faults(faults)),
    }
}

fn one(
    raw: RawIdentity,
    foreign: Option<&BTreeSet<TrustDomain>>,
    world: &World<'_>,
    place: &str,
    faults: &mut Vec<String>,
) -> Option<IdentityConfig> {
    let id = keep(faults, workload_id(&raw.id, world, &format!("{place}.id")));
    let mut dns_names = Vec::new();
    for text in &raw.dns_names {
        let name = DnsName::parse(text).map_err(|e| format!("{place}.dns_names: {text:?}: {e}"));
        dns_names.extend(keep(faults, name));
    }
    let mut also = Vec::new();
    for text in &raw.also {
        also.extend(keep(
            faults,
            workload_id(text, world, &format!("{place}.also")),
        ));
    }
    let federates_with = federates_with(raw.federates_with, foreign, place, faults);
    let hint = raw.hint.unwrap_or_default();
    if hint.len() > LONGEST_HINT || hint.chars().any(char::is_control) {
        faults.push(format!(
            "{place}.hint: at most {LONGEST_HINT} octets, without control characters"
        ));
    }
    let proof = keep(
        faults,
        proof(raw.token_file, raw.join_token_file, world, place),
    );
    let socket = raw.socket.map(|path| SocketConfig {
        path: world.folder.join(path),
        uid: raw.uid,
    });
    if socket.is_none() && raw.uid.is_some() {
        faults.push(format!(
            "{place}.uid: it is of the identity's own socket, and there is none"
        ));
    }
    Some(IdentityConfig {
        id: id?,
        dns_names,
        socket,
        hint,
        also,
        federates_with,
        proof: proof?,
    })
}

/// All that there are, unless it is said otherwise.
fn federates_with(
    named: Option<Vec<String>>,
    foreign: Option<&BTreeSet<TrustDomain>>,
    place: &str,
    faults: &mut Vec<String>,
) -> BTreeSet<TrustDomain> {
    let Some(named) = named else {
        return foreign.cloned().unwrap_or_default();
    };
    let mut domains = BTreeSet::new();
    for name in named {
        match TrustDomain::new(&name) {
            Ok(domain) if foreign.is_none_or(|known| known.contains(&domain)) => {
                domains.insert(domain);
            }
            Ok(_) => faults.push(format!(
                "{place}.federates_with: there is no [[federation]] of {name:?}"
            )),
            Err(error) => faults.push(format!(
                "{place}.federates_with: {name:?} is not a trust domain's name: {error}"
            )),
        }
    }
    domains
}

/// At most one of the two.
pub(super) fn proof(
    token: Option<PathBuf>,
    join_token: Option<PathBuf>,
    world: &World<'_>,
    place: &str,
) -> Result<Option<ProofConfig>, String> {
    match (token, join_token) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some(ProofConfig::Token(world.folder.join(path)))),
        (None, Some(path)) => Ok(Some(ProofConfig::JoinToken(world.folder.join(path)))),
        (Some(_), Some(_)) => Err(format!(
            "{place}: token_file and join_token_file are two proofs: name one"
        )),
    }
}

/// None is there twice, and whoever has several can tell them apart.
fn check_together(all: &[IdentityConfig], faults: &mut Vec<String>) {
    let mut by_id = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        if let Some((earlier, _)) = by_id.insert(&one.id, (at, one)) {
            faults.push(format!(
                "identities[{at}].id: {} is identities[{earlier}]'s already",
                one.id
            ));
        }
    }
    for (at, one) in all.iter().enumerate() {
        let mut hints = BTreeSet::from([&one.hint]);
        let mut ids = BTreeSet::from([&one.id]);
        for id in &one.also {
            let Some((_, other)) = by_id.get(id) else {
                faults.push(format!(
                    "identities[{at}].also: there is no identity {id} here"
                ));
                continue;
            };
            if !ids.insert(id) {
                faults.push(format!("identities[{at}].also: {id} is there twice"));
            }
            if !other.hint.is_empty() && !hints.insert(&other.hint) {
                faults.push(format!(
                    "identities[{at}].also: {id} has the same hint as another one, {:?}: a client could not tell them apart",
                    other.hint
                ));
            }
        }
    }
}
