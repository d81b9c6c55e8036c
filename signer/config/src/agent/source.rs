//! `[ca]`: whom the agent asks, how it knows that CA, and what it shows it.

use super::{
    IdentityConfig, ProofConfig, World, duration,
    identities::proof,
    raw::{RawCa, RawProtocol, RawRenewals, RawValidator},
};
use crate::{Faults, keep};
use spiffe::{SpiffeId, TrustDomain};
use std::{path::PathBuf, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);
/// How often a bundle is fetched where there is no stream of it.
const POLL: Duration = Duration::from_secs(300);

/// Whom the agent asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// How.
    pub protocol: Protocol,
    /// Where.
    pub address: Address,
    /// What is trusted before the first bundle; none on a Unix socket.
    pub first_trust: Option<FirstTrust>,
    /// What identities begin with that have nothing of their own; none: what the kernel says on a Unix socket.
    pub proof: Option<ProofConfig>,
}

/// How a CA is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Our CA: Istio's API, and the bundle's stream.
    Credence {
        /// What it has in common with any other that speaks Istio's API.
        terms: Terms,
        /// What the CA calls this agent in its log; none: the host's name.
        node: Option<String>,
        /// How often the bundle is fetched where there is no stream of it.
        poll: Duration,
    },
    /// Any CA that speaks Istio's API.
    Istio(Terms),
    /// Dapr's sentry.
    Sentry(Validator),
}

/// How a CA that speaks Istio's API is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long certificates should live; none leaves it to the CA.
    pub life: Option<Duration>,
    /// The cluster that tokens are of.
    pub cluster: Option<String>,
    /// How certificates are renewed.
    pub renewals: Renewals,
    /// Whether what is shown is the agent's own, which asks for its identities as a node agent.
    pub node_agent: bool,
}

/// How certificates are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewals {
    /// By the certificate that is held.
    ByCertificate,
    /// By what the identity began with.
    ByProof,
}

/// How sentry is to look at tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    /// As it has it.
    Default,
    /// By a Kubernetes API server.
    Kubernetes,
    /// With the keys of a key set.
    Jwks,
}

/// Where a CA is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// On the network.
    Tcp {
        /// `host:port`
        host: String,
        /// Who has to be there.
        expected: Expected,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

/// Who a CA has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// By a DNS name or an address.
    Name(String),
    /// By its SPIFFE ID.
    Id(SpiffeId),
}

/// What is trusted before the first bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstTrust {
    /// Roots in a file.
    File(PathBuf),
    /// The root that the join token in this file names.
    JoinToken(PathBuf),
}

pub(super) fn parse(
    raw: RawCa,
    identities: &[IdentityConfig],
    world: &World<'_>,
) -> Result<SourceConfig, Faults> {
    let mut faults = Vec::new();
    check_of_protocol(&raw, &mut faults);
    let protocol = keep(&mut faults, protocol(&raw));
    let proof = proof(
        raw.token_file.clone(),
        raw.join_token_file.clone(),
        world,
        "ca",
    );
    let proof = keep(&mut faults, proof);
    let address = keep(&mut faults, address(&raw, world));
    let (Some(protocol), Some(proof), Some(address)) = (protocol, proof, address) else {
        return Err(Faults(faults));
    };
    check_proofs(&protocol, &address, proof.as_ref(), identities, &mut faults);
    let own = identities.iter().filter_map(|one| one.proof.as_ref());
    let all: Vec<_> = proof.iter().chain(own).collect();
    let first_trust = first_trust(raw.roots_file, &address, &all, world);
    let first_trust = keep(&mut faults, first_trust);
    match first_trust {
        Some(first_trust) if faults.is_empty() => Ok(SourceConfig {
            protocol,
            address,
            first_trust,
            proof,
        }),
        _ => Err(Faults(faults)),
    }
}

fn protocol(raw: &RawCa) -> Result<Protocol, String> {
    let within = |name: &str, text: &str, shortest| {
        duration(&format!("ca.{name}"), text, (shortest, 365 * DAY))
    };
    let life = raw
        .life
        .as_deref()
        .map(|text| within("life", text, 5 * SECOND))
        .transpose()?;
    let poll = raw
        .bundle_poll
        .as_deref()
        .map(|text| within("bundle_poll", text, SECOND))
        .transpose()?;
    let terms = |renewals| Terms {
        life,
        cluster: raw.cluster.clone(),
        renewals: match raw.renewals {
            None => renewals,
            Some(RawRenewals::ByCertificate) => Renewals::ByCertificate,
            Some(RawRenewals::ByProof) => Renewals::ByProof,
        },
        node_agent: raw.node_agent.unwrap_or(false),
    };
    Ok(match raw.protocol.unwrap_or(RawProtocol::Credence) {
        RawProtocol::Credence => Protocol::Credence {
            terms: terms(Renewals::ByCertificate),
            node: raw.node.clone(),
            poll: poll.unwrap_or(POLL),
        },
        RawProtocol::Istio => Protocol::Istio(terms(Renewals::ByProof)),
        RawProtocol::Sentry => Protocol::Sentry(match raw.validator {
            None | Some(RawValidator::Default) => Validator::Default,
            Some(RawValidator::Kubernetes) => Validator::Kubernetes,
            Some(RawValidator::Jwks) => Validator::Jwks,
        }),
    })
}

/// A field that means nothing there is a fault: whoever wrote it expects something of it.
fn check_of_protocol(raw: &RawCa, faults: &mut Vec<String>) {
    let protocol = raw.protocol.unwrap_or(RawProtocol::Credence);
    let istio = [RawProtocol::Credence, RawProtocol::Istio];
    let fields: [(&str, bool, &[RawProtocol]); 9] = [
        ("node", raw.node.is_some(), &[RawProtocol::Credence]),
        (
            "bundle_poll",
            raw.bundle_poll.is_some(),
            &[RawProtocol::Credence],
        ),
        ("life", raw.life.is_some(), &istio),
        ("renewals", raw.renewals.is_some(), &istio),
        ("cluster", raw.cluster.is_some(), &istio),
        ("node_agent", raw.node_agent.is_some(), &istio),
        ("validator", raw.validator.is_some(), &[RawProtocol::Sentry]),
        (
            "control_plane_namespace",
            raw.control_plane_namespace.is_some(),
            &[RawProtocol::Sentry],
        ),
        (
            "control_plane_trust_domain",
            raw.control_plane_trust_domain.is_some(),
            &[RawProtocol::Sentry],
        ),
    ];
    for (name, is_there, protocols) in fields {
        if is_there && !protocols.contains(&protocol) {
            faults.push(format!("ca.{name}: it means nothing to this ca.protocol"));
        }
    }
}

fn address(raw: &RawCa, world: &World<'_>) -> Result<Address, String> {
    match (&raw.address, &raw.socket) {
        (Some(_), Some(_)) => Err("ca: address and socket are two places: name one".into()),
        (None, None) => Err("ca: name its address (\"host:port\") or its socket".into()),
        (None, Some(path)) => unix(raw, world.folder.join(path)),
        (Some(host), None) => {
            let name = host_of(host)?;
            let expected = expected(raw, name, world)?;
            Ok(Address::Tcp {
                host: host.clone(),
                expected,
            })
        }
    }
}

fn unix(raw: &RawCa, path: PathBuf) -> Result<Address, String> {
    if raw.protocol == Some(RawProtocol::Sentry) {
        return Err("ca.socket: sentry is on the network only".into());
    }
    if raw.name.is_some() || raw.id.is_some() || raw.roots_file.is_some() {
        return Err(
            "ca: on a socket there is no TLS: name, id and roots_file mean nothing; its folder's owner says who serves there"
                .into(),
        );
    }
    Ok(Address::Unix(path))
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_of(text: &str) -> Result<&str, String> {
    let wrong = || format!("ca.address: {text:?} is not \"host:port\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let name = bare.unwrap_or(host);
    let port = port.parse::<u16>().ok().filter(|port| *port != 0);
    let address = bare.is_some() == name.contains(':');
    let plain = name.bytes().all(|octet| octet.is_ascii_graphic());
    match port {
        Some(_) if address && plain && !name.is_empty() => Ok(name),
        _ => Err(wrong()),
    }
}

fn expected(raw: &RawCa, host: &str, world: &World<'_>) -> Result<Expected, String> {
    match (&raw.name, &raw.id, raw.protocol) {
        (Some(_), Some(_), _) => Err("ca: name and id are two ways to know it: name one".into()),
        (Some(name), None, _) => Ok(Expected::Name(name.clone())),
        (None, Some(text), _) => SpiffeId::new(text)
            .map(Expected::Id)
            .map_err(|e| format!("ca.id: {text:?} is not a SPIFFE ID: {e}")),
        (None, None, Some(RawProtocol::Sentry)) => sentry(raw, world),
        (None, None, _) => Ok(Expected::Name(host.to_owned())),
    }
}

/// As Dapr's control plane is called.
fn sentry(raw: &RawCa, world: &World<'_>) -> Result<Expected, String> {
    let namespace = raw
        .control_plane_namespace
        .as_deref()
        .unwrap_or("dapr-system");
    let domain = match &raw.control_plane_trust_domain {
        Some(name) => TrustDomain::new(name).map_err(|e| {
            format!("ca.control_plane_trust_domain: {name:?} is not a trust domain's name: {e}")
        })?,
        None => match world.domain {
            Some(domain) => domain.clone(),
            None => return Err("ca: who sentry is cannot be told without a trust_domain".into()),
        },
    };
    SpiffeId::new(format!("spiffe://{domain}/ns/{namespace}/dapr-sentry"))
        .map(Expected::Id)
        .map_err(|e| format!("ca.control_plane_namespace: {namespace:?}: {e}"))
}

/// Everybody has something to begin with, and a join token is for one.
fn check_proofs(
    protocol: &Protocol,
    address: &Address,
    common: Option<&ProofConfig>,
    identities: &[IdentityConfig],
    faults: &mut Vec<String>,
) {
    let is_unix = matches!(address, Address::Unix(_));
    let by_common = identities.iter().filter(|one| one.proof.is_none()).count();
    if common.is_none() && !is_unix && by_common > 0 {
        faults.push(
            "ca: name a token_file or a join_token_file, here or for each of the [[identities]]: on the network nothing else says who asks"
                .into(),
        );
    }
    let node_agent = match protocol {
        Protocol::Credence { terms, .. } | Protocol::Istio(terms) => terms.node_agent,
        Protocol::Sentry(_) => false,
    };
    if matches!(common, Some(ProofConfig::JoinToken(_))) && (by_common > 1 || node_agent) {
        faults.push(
            "ca.join_token_file: a join token is good once, for one identity: give each of the [[identities]] one of its own"
                .into(),
        );
    }
    if matches!(protocol, Protocol::Sentry(_)) && takes_join_tokens(common, identities) {
        faults.push("join_token_file: sentry takes tokens that are JWTs: name a token_file".into());
    }
    if is_unix && !node_agent && common.is_none() && by_common > 1 {
        faults.push(
            "ca.socket: the kernel says of all of the [[identities]] that this agent asks: with node_agent = true it asks for them, as the CA's [[node_agents]] let it"
                .into(),
        );
    }
}

fn takes_join_tokens(common: Option<&ProofConfig>, identities: &[IdentityConfig]) -> bool {
    let own = identities.iter().filter_map(|one| one.proof.as_ref());
    common
        .into_iter()
        .chain(own)
        .any(|proof| matches!(proof, ProofConfig::JoinToken(_)))
}

fn first_trust(
    roots: Option<PathBuf>,
    address: &Address,
    proofs: &[&ProofConfig],
    world: &World<'_>,
) -> Result<Option<FirstTrust>, String> {
    if matches!(address, Address::Unix(_)) {
        return Ok(None);
    }
    if let Some(path) = roots {
        return Ok(Some(FirstTrust::File(world.folder.join(path))));
    }
    let pinned = proofs.iter().find_map(|proof| match proof {
        ProofConfig::JoinToken(path) => Some(FirstTrust::JoinToken(path.clone())),
        ProofConfig::Token(_) => None,
    });
    pinned.map(Some).ok_or_else(|| {
        "ca.roots_file: the CA's roots, PEM: without them anybody could be the CA (a join token names one)".into()
    })
}
