//! `[attestors.NAME]` and `[[node_agents]]`: who is believed, and by which proof.

use super::{
    duration,
    raw::{RawAttestor, RawNodeAgent},
};
use crate::{Faults, keep, keep_all};
use credence_attest::{
    HttpsUrl, NodeAgent,
    identity::{pattern::PathPattern, template::Template},
    jwt::{Algorithm, LONGEST_SKEW},
    kubernetes::ControlPlane,
    peer::{EntryText, Registry},
};
use spiffe::{SpiffeId, TrustDomain};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a token may be signed with, where the configuration does not say.
const ALGORITHMS: &[&str] = &["RS256", "ES256", "ES384", "EdDSA"];
const DAY: Duration = Duration::from_secs(86_400);

/// An attestor to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttestorConfig {
    /// Tokens that are verified here.
    Jwt {
        /// Who signs them; none: whoever has the keys.
        issuer: Option<String>,
        /// For whom they have to be; never empty.
        audiences: Vec<String>,
        /// The issuer's keys.
        keys: KeysConfig,
        /// What they may be signed with.
        algorithms: Vec<Algorithm>,
        /// How far clocks may be apart.
        skew: Duration,
        /// The longest life of a token.
        longest_life: Option<Duration>,
        /// Whose it is.
        identity: IdentityFrom,
    },
    /// Tokens that a Kubernetes API server vouches for.
    TokenReview {
        /// The API server.
        server: HttpsUrl,
        /// Who vouches for the server.
        ca_file: Option<PathBuf>,
        /// As whom it is asked.
        token_file: PathBuf,
        /// The cluster's name.
        cluster: Option<String>,
        /// For whom they have to be; never empty.
        audiences: Vec<String>,
        /// How long it may take.
        timeout: Duration,
        /// From a service account to an identity.
        template: Template,
        /// Dapr's control plane.
        control_plane: Option<ControlPlane>,
    },
    /// Renewal.
    Svid {
        /// How long one may renew itself.
        longest_lineage: Duration,
    },
    /// Join tokens.
    JoinToken,
    /// Processes on this host.
    Peer(RegistryConfig),
}

/// Where it stands which process is whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryConfig {
    /// In a file of its own.
    File(PathBuf),
    /// In the configuration.
    Entries(Registry),
}

/// Where the keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysConfig {
    /// In a file.
    File(PathBuf),
    /// At a URL, and who vouches for its server.
    Url(HttpsUrl, Option<PathBuf>),
}

/// From claims to an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityFrom {
    /// The subject is one.
    Subject,
    /// By a template.
    Template(Template),
}

pub(super) fn parse(
    raw: BTreeMap<String, RawAttestor>,
    own: Option<&SpiffeId>,
    folder: &Path,
) -> Result<BTreeMap<String, AttestorConfig>, Faults> {
    let mut faults = Vec::new();
    let mut read = BTreeMap::new();
    let Some(own) = own else {
        // without a trust domain no template can be read, and that fault is told already
        return Ok(read);
    };
    for (name, raw) in raw {
        let place = format!("attestors.{name}");
        if let Some(attestor) = keep_all(&mut faults, attestor(raw, &place, own, folder)) {
            read.insert(name, attestor);
        }
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(Faults(faults))
    }
}

fn attestor(
    raw: RawAttestor,
    place: &str,
    own: &SpiffeId,
    folder: &Path,
) -> Result<AttestorConfig, Faults> {
    match raw {
        RawAttestor::Svid { longest_lineage } => {
            let name = format!("{place}.longest_lineage");
            let longest_lineage = some_time(&name, longest_lineage.as_deref(), DAY * 30);
            let longest_lineage = longest_lineage.map_err(|fault| Faults(vec![fault]))?;
            Ok(AttestorConfig::Svid { longest_lineage })
        }
        RawAttestor::JoinToken {} => Ok(AttestorConfig::JoinToken),
        RawAttestor::Peer { registry, entries } => {
            let registry = self::registry(place, registry, entries, folder);
            let registry = registry.map_err(|fault| Faults(vec![fault]))?;
            Ok(AttestorConfig::Peer(registry))
        }
        jwt @ RawAttestor::Jwt { .. } => self::jwt(jwt, place, own, folder),
        review @ RawAttestor::TokenReview { .. } => token_review(review, place, own, folder),
    }
}

fn jwt(
    raw: RawAttestor,
    place: &str,
    own: &SpiffeId,
    folder: &Path,
) -> Result<AttestorConfig, Faults> {
    let RawAttestor::Jwt {
        issuer,
        audiences,
        jwks_file,
        jwks_url,
        ca_file,
        algorithms,
        skew,
        longest_life,
        identity,
    } = raw
    else {
        return Err(Faults(Vec::new()));
    };
    let mut faults = Vec::new();
    let keys = keep(
        &mut faults,
        keys(place, jwks_file, jwks_url, ca_file, folder),
    );
    let names =
        algorithms.unwrap_or_else(|| ALGORITHMS.iter().map(|&name| name.to_owned()).collect());
    let algorithm = |name: &String| {
        let unknown = || format!("{place}.algorithms: {name:?} is not one that is accepted");
        Algorithm::parse(name).ok_or_else(unknown)
    };
    if names.is_empty() {
        faults.push(format!("{place}.algorithms: name at least one"));
    }
    let algorithms: Vec<_> = names
        .iter()
        .filter_map(|name| keep(&mut faults, algorithm(name)))
        .collect();
    let skew = duration(
        &format!("{place}.skew"),
        skew.as_deref(),
        Duration::from_secs(30),
    )
    .and_then(|skew| match skew > LONGEST_SKEW {
        true => Err(format!(
            "{place}.skew: {} s at most",
            LONGEST_SKEW.as_secs()
        )),
        false => Ok(skew),
    });
    let skew = keep(&mut faults, skew);
    let longest =
        longest_life.map(|text| some_time(&format!("{place}.longest_life"), Some(&text), DAY));
    let longest = keep(&mut faults, longest.transpose());
    let identity = keep(&mut faults, identity_from(&identity, place, own));
    audience(&mut faults, place, &audiences);
    match (keys, skew, longest, identity) {
        (Some(keys), Some(skew), Some(longest_life), Some(identity)) if faults.is_empty() => {
            Ok(AttestorConfig::Jwt {
                issuer,
                audiences,
                keys,
                algorithms,
                skew,
                longest_life,
                identity,
            })
        }
        _ => Err(Faults(faults)),
    }
}

fn registry(
    place: &str,
    file: Option<PathBuf>,
    entries: Option<Vec<EntryText>>,
    folder: &Path,
) -> Result<RegistryConfig, String> {
    match (file, entries) {
        (Some(file), None) => Ok(RegistryConfig::File(folder.join(file))),
        (None, Some(entries)) => Registry::read(entries)
            .map(RegistryConfig::Entries)
            .map_err(|e| format!("{place}: {e}")),
        _ => Err(format!(
            "{place}: name a registry, or write entries: one of them"
        )),
    }
}

/// A duration that is not over when it begins: nobody would ever be believed.
fn some_time(name: &str, text: Option<&str>, default: Duration) -> Result<Duration, String> {
    match duration(name, text, default)? {
        Duration::ZERO => Err(format!("{name}: it has to be longer than nothing")),
        time => Ok(time),
    }
}

fn audience(faults: &mut Vec<String>, place: &str, audiences: &[String]) {
    if audiences.iter().all(String::is_empty) {
        faults.push(format!("{place}.audiences: name at least one; a token that was made for somebody else must not do here"));
    } else if audiences.iter().any(String::is_empty) {
        faults.push(format!("{place}.audiences: \"\" is none"));
    }
}

fn keys(
    place: &str,
    file: Option<PathBuf>,
    url: Option<String>,
    ca_file: Option<PathBuf>,
    folder: &Path,
) -> Result<KeysConfig, String> {
    match (file, url, ca_file) {
        (Some(file), None, None) => Ok(KeysConfig::File(folder.join(file))),
        (None, Some(url), ca_file) => {
            let url = HttpsUrl::parse(&url).map_err(|e| format!("{place}.jwks_url: {e}"))?;
            Ok(KeysConfig::Url(url, ca_file.map(|file| folder.join(file))))
        }
        _ => Err(format!(
            "{place}: name jwks_file, or jwks_url with or without ca_file"
        )),
    }
}

/// `istio`, `dapr`, `subject`, or a template.
fn identity_from(text: &str, place: &str, own: &SpiffeId) -> Result<IdentityFrom, String> {
    if text == "subject" {
        return Ok(IdentityFrom::Subject);
    }
    template(text, place, own).map(IdentityFrom::Template)
}

fn template(text: &str, place: &str, own: &SpiffeId) -> Result<Template, String> {
    match text {
        "istio" => Ok(Template::istio(own.trust_domain().clone())),
        "dapr" => Ok(Template::dapr()),
        text => {
            Template::parse(text, own.trust_domain()).map_err(|e| format!("{place}.identity: {e}"))
        }
    }
}

fn token_review(
    raw: RawAttestor,
    place: &str,
    own: &SpiffeId,
    folder: &Path,
) -> Result<AttestorConfig, Faults> {
    let RawAttestor::TokenReview {
        server,
        ca_file,
        token_file,
        cluster,
        audiences,
        timeout,
        identity,
        control_plane_namespace,
        control_plane_trust_domain,
    } = raw
    else {
        return Err(Faults(Vec::new()));
    };
    let mut faults = Vec::new();
    let server = keep(
        &mut faults,
        HttpsUrl::parse(&server).map_err(|e| format!("{place}.server: {e}")),
    );
    let timeout = some_time(
        &format!("{place}.timeout"),
        timeout.as_deref(),
        Duration::from_secs(5),
    );
    let timeout = keep(&mut faults, timeout);
    let template = keep(&mut faults, template(&identity, place, own));
    let plane = match (control_plane_namespace, control_plane_trust_domain) {
        (Some(namespace), Some(domain)) => TrustDomain::new(&domain)
            .map(|trust_domain| {
                Some(ControlPlane {
                    namespace,
                    trust_domain,
                })
            })
            .map_err(|e| format!("{place}.control_plane_trust_domain: {e}")),
        (None, None) if identity != "dapr" => Ok(None),
        _ => Err(format!(
            "{place}: control_plane_namespace and control_plane_trust_domain belong together, and to identity = \"dapr\""
        )),
    };
    let control_plane = keep(&mut faults, plane);
    audience(&mut faults, place, &audiences);
    match (server, timeout, template, control_plane) {
        (Some(server), Some(timeout), Some(template), Some(control_plane)) if faults.is_empty() => {
            Ok(AttestorConfig::TokenReview {
                server,
                ca_file: ca_file.map(|file| folder.join(file)),
                token_file: folder.join(token_file),
                cluster,
                audiences,
                timeout,
                template,
                control_plane,
            })
        }
        _ => Err(Faults(faults)),
    }
}

pub(super) fn node_agents(raw: &[RawNodeAgent]) -> Result<Vec<NodeAgent>, Faults> {
    let mut faults = Vec::new();
    let mut agents = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let place = format!("node_agents[{index}]");
        let id = SpiffeId::new(&raw.identity).map_err(|e| {
            format!(
                "{place}.identity: {:?} is not a SPIFFE ID: {e}",
                raw.identity
            )
        });
        let pattern = |text: &String| {
            PathPattern::parse(text).map_err(|e| format!("{place}.may_ask_for: {text:?}: {e}"))
        };
        let patterns: Vec<_> = raw
            .may_ask_for
            .iter()
            .filter_map(|text| keep(&mut faults, pattern(text)))
            .collect();
        if let Some(identity) = keep(&mut faults, id) {
            agents.push(NodeAgent {
                identity,
                may_ask_for: patterns,
            });
        }
    }
    if faults.is_empty() {
        Ok(agents)
    } else {
        Err(Faults(faults))
    }
}
