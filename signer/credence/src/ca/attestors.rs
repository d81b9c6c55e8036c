//! The panels of the configuration.

use crate::{failure::Failure, settings};
use credence_attest::{
    Attestor, NodeAgents, Panel,
    identity::domains::TrustDomains,
    join::JoinAttestor,
    jwt::{Freshness, JwtAttestor, JwtSettings, Keys, Naming},
    kubernetes::{KubernetesAttestor, KubernetesSettings, ServerLoad},
    peer::{LONGEST_REGISTRY, PeerAttestor, Registry},
    svid::SvidAttestor,
};
use credence_config::ca::{AttestorConfig, CaConfig, IdentityFrom, KeysConfig, RegistryConfig};
use credence_service::{
    attesting::{LocalPanels, Panels},
    plan::Sources,
};
use spiffe::TrustDomain;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    sync::Arc,
    time::Duration,
};

/// How long the keys of an issuer may take to arrive.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

/// What is made before there is a CA: everything that can be refused.
pub(crate) struct Prepared {
    made: BTreeMap<String, Made>,
    config: CaConfig,
}

enum Made {
    Ready(Arc<dyn Attestor>),
    Svid(Duration),
    JoinToken,
}

/// Makes the attestors that need nothing of the CA.
pub(crate) fn prepare(config: &CaConfig) -> Result<Prepared, Failure> {
    let made = config
        .attestors
        .iter()
        .map(|(name, config)| Ok((name.clone(), make(name, config)?)));
    Ok(Prepared {
        made: made.collect::<Result<_, Failure>>()?,
        config: config.clone(),
    })
}

fn make(name: &str, config: &AttestorConfig) -> Result<Made, Failure> {
    let refused = |why: String| Failure::Attestor(why);
    Ok(match config {
        AttestorConfig::Svid { longest_lineage } => Made::Svid(*longest_lineage),
        AttestorConfig::JoinToken => Made::JoinToken,
        AttestorConfig::Peer(registry) => Made::Ready(Arc::new(peers(name, registry)?)),
        AttestorConfig::Jwt {
            issuer,
            audiences,
            keys,
            algorithms,
            skew,
            longest_life,
            identity,
        } => {
            let keys = match keys {
                KeysConfig::File(path) => Keys::file(path.clone()),
                KeysConfig::Url(url, ca_file) => {
                    let keys = Keys::url(
                        url.clone(),
                        ca_file.clone(),
                        KEYS_TIMEOUT,
                        Freshness::default(),
                    );
                    keys.map_err(|e| refused(format!("{name}: {e}")))?
                }
            };
            let settings = JwtSettings {
                name: name.to_owned(),
                issuer: issuer.clone(),
                audiences: audiences.clone(),
                algorithms: algorithms.clone(),
                skew: *skew,
                longest_life: *longest_life,
                naming: match identity {
                    IdentityFrom::Subject => Naming::Subject,
                    IdentityFrom::Template(template) => Naming::Template(template.clone()),
                },
            };
            let attestor = JwtAttestor::new(settings, keys).map_err(|e| refused(e.to_string()))?;
            Made::Ready(Arc::new(attestor))
        }
        AttestorConfig::TokenReview {
            server,
            ca_file,
            token_file,
            cluster,
            audiences,
            timeout,
            template,
            control_plane,
        } => {
            let settings = KubernetesSettings {
                name: name.to_owned(),
                server: server.clone(),
                ca_file: ca_file.clone(),
                token_file: token_file.clone(),
                cluster: cluster.clone(),
                audiences: audiences.clone(),
                timeout: *timeout,
                load: ServerLoad::default(),
                template: template.clone(),
                dapr: control_plane.clone(),
            };
            let attestor = KubernetesAttestor::new(settings).map_err(|e| refused(e.to_string()))?;
            Made::Ready(Arc::new(attestor))
        }
    })
}

/// A file that is no registry is refused at the start; later ones are when they are read.
fn peers(name: &str, registry: &RegistryConfig) -> Result<PeerAttestor, Failure> {
    let path = match registry {
        RegistryConfig::Entries(entries) => {
            return Ok(PeerAttestor::new(name.to_owned(), entries.clone()));
        }
        RegistryConfig::File(path) => path,
    };
    let mut octets = Vec::new();
    let file = fs::File::open(path).map_err(|e| Failure::Unreadable(path.clone(), e))?;
    let read = file.take(LONGEST_REGISTRY + 1).read_to_end(&mut octets);
    read.map_err(|e| Failure::Unreadable(path.clone(), e))?;
    if octets.len() as u64 > LONGEST_REGISTRY {
        let why = format!("is longer than {LONGEST_REGISTRY} octets");
        return Err(Failure::BadInput(path.clone(), why));
    }
    Registry::parse(&octets).map_err(|e| Failure::BadInput(path.clone(), e.to_string()))?;
    Ok(PeerAttestor::file(name.to_owned(), path.clone()))
}

impl Prepared {
    /// The panels, with what the CA knows.
    pub(crate) fn panels(&self, sources: &Sources) -> Panels {
        let panel = |domains: &BTreeSet<TrustDomain>, names: &[String]| {
            let attestors = names
                .iter()
                .filter_map(|name| self.attestor(name, sources))
                .collect();
            let mut domains = domains.iter().cloned();
            let first = domains.next()?;
            let agents = NodeAgents::new(self.config.node_agents.clone());
            Some(Panel::new(
                attestors,
                TrustDomains::new(first, domains),
                agents,
            ))
        };
        let config = &self.config;
        let dapr = config.dapr.iter().flat_map(|dapr| {
            let each = dapr.validators.iter();
            each.filter_map(|(validator, names)| {
                Some((
                    settings::validator(*validator),
                    panel(&dapr.domains, names)?,
                ))
            })
        });
        Panels {
            istio: config
                .istio
                .as_ref()
                .and_then(|istio| panel(&istio.domains, &istio.attestors)),
            bundle: panel(&config.bundle.domains, &config.bundle.attestors),
            dapr: dapr.collect(),
            local: config
                .unix
                .as_ref()
                .map_or_else(LocalPanels::default, |unix| {
                    let unix = &unix.frontend;
                    let named = unix.attestors.iter();
                    // a join token would be used up by reading
                    let readers = named.filter(|name| !self.is_join_token(name)).cloned();
                    LocalPanels {
                        istio: panel(&unix.domains, &unix.attestors),
                        bundle: panel(&unix.domains, &readers.collect::<Vec<_>>()),
                    }
                }),
        }
    }

    fn is_join_token(&self, name: &str) -> bool {
        matches!(self.made.get(name), Some(Made::JoinToken))
    }

    fn attestor(&self, name: &str, sources: &Sources) -> Option<Arc<dyn Attestor>> {
        Some(match self.made.get(name)? {
            Made::Ready(attestor) => Arc::clone(attestor),
            Made::JoinToken => Arc::new(JoinAttestor::new(
                name.to_owned(),
                Arc::clone(&sources.tokens) as _,
            )),
            Made::Svid(longest) => Arc::new(SvidAttestor::new(
                name.to_owned(),
                Arc::clone(&sources.issuers) as _,
                Arc::clone(&sources.revocations) as _,
                Arc::clone(&sources.lineages) as _,
                *longest,
            )),
        })
    }
}
