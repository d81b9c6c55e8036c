//! Bundles of other trust domains: from a file, or from a bundle endpoint (SPIFFE Federation §5).
//!
//! Each goes to the agent's shelf under its own trust domain, and is never mixed with another.

mod follower;
mod https;
mod roots;
mod schedule;
mod state;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use credence_agent::{Clock, Shelf};
use credence_attest::{HttpsUrl, Roots};
use credence_upstream::Expected;
use http::Uri;
use spiffe::{SpiffeId, TrustDomain};
use tokio::task::{JoinError, JoinSet};

pub use state::{FederationState, HeldBundle, Sources};

use follower::Follower;
use state::Slot;

/// Where the bundle of another trust domain comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that somebody else keeps up to date: roots in PEM, or the JSON of a bundle.
    File(PathBuf),
    /// A bundle endpoint whose server is known by its name (SPIFFE Federation §5.2.1).
    HttpsWeb {
        /// Where.
        url: HttpsUrl,
        /// The CAs by which its server is known.
        roots: Roots,
    },
    /// A bundle endpoint whose server is known by its SPIFFE ID, which is one of the same trust domain (§5.2.2): by the bundle that is held,
    /// and before there is one by the first.
    HttpsSpiffe {
        /// Where.
        url: HttpsUrl,
        /// Who its server has to be.
        server: SpiffeId,
        /// The first bundle: a file like [`Source::File`]'s. It is served too until there is another.
        first: PathBuf,
    },
}

/// Another trust domain, and where its bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Whose bundle it is.
    pub trust_domain: TrustDomain,
    /// Where it comes from.
    pub source: Source,
}

/// Why sources cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FederationError {
    /// It has its bundle from its CA.
    #[error("{0} is the agent's own trust domain; its bundle comes from its CA")]
    Own(TrustDomain),
    /// Two bundles would take turns.
    #[error("{0} has two sources for its bundle")]
    Twice(TrustDomain),
    /// Nothing of that trust domain could verify it.
    #[error("the server {server} is not of the trust domain {trust_domain}, whose bundle it gives")]
    Elsewhere {
        /// Whose bundle it is.
        trust_domain: TrustDomain,
        /// Who the server has to be.
        server: SpiffeId,
    },
    /// The host of a URL.
    #[error("{0}")]
    Host(String),
}

/// All sources of an agent: spent by [`Federation::run`].
#[derive(Debug)]
pub struct Federation {
    followers: Vec<Follower>,
    sources: Sources,
}

/// A source as it is asked.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Web(Endpoint, Roots),
    Spiffe(Endpoint, PathBuf),
}

#[derive(Debug)]
struct Endpoint {
    uri: Uri,
    server: Expected,
}

impl Federation {
    /// Nothing is read or asked yet. `own` are the trust domains that the agent has from its CA; `seed` tells this agent from others, so that
    /// they do not all ask at the same moment.
    ///
    /// # Errors
    /// [`FederationError`], the first that is found.
    pub fn new(
        all: Vec<Foreign>,
        own: &BTreeSet<TrustDomain>,
        seed: u64,
        shelf: &Shelf,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, FederationError> {
        let mut domains = own.clone();
        let (mut followers, mut slots) = (Vec::new(), Vec::new());
        for Foreign {
            trust_domain,
            source,
        } in all
        {
            if own.contains(&trust_domain) {
                return Err(FederationError::Own(trust_domain));
            }
            if !domains.insert(trust_domain.clone()) {
                return Err(FederationError::Twice(trust_domain));
            }
            let place = Place::of(source, &trust_domain)?;
            let slot = Slot::new(trust_domain.clone(), place.to_string());
            slots.push(slot.clone());
            let ports = (shelf.clone(), Arc::clone(clock));
            followers.push(Follower::new(trust_domain, place, seed, ports, slot));
        }
        let sources = Sources(slots.into());
        Ok(Self { followers, sources })
    }

    /// How they are doing, also while they run.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// Keeps the bundles up to date, for ever. Dropping it stops that; what was taken stays.
    ///
    /// # Errors
    /// If one of them ends by a panic, which is a fault in this crate.
    pub async fn run(self) -> Result<(), JoinError> {
        let followers = self.followers.into_iter().map(Follower::run);
        let mut tasks: JoinSet<()> = followers.collect();
        match tasks.join_next().await {
            Some(ended) => ended,
            // there are none
            None => std::future::pending().await,
        }
    }
}

impl Place {
    fn of(source: Source, trust_domain: &TrustDomain) -> Result<Self, FederationError> {
        match source {
            Source::File(path) => Ok(Self::File(path)),
            Source::HttpsWeb { url, roots } => {
                let uri = uri(&url)?;
                let host = uri.host().unwrap_or_default();
                // an IPv6 address stands in brackets
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let server = Expected::name(host);
                let server = server.map_err(|error| FederationError::Host(error.to_string()))?;
                Ok(Self::Web(Endpoint { uri, server }, roots))
            }
            Source::HttpsSpiffe { server, .. } if server.trust_domain() != trust_domain => {
                Err(FederationError::Elsewhere {
                    trust_domain: trust_domain.clone(),
                    server,
                })
            }
            Source::HttpsSpiffe { url, server, first } => {
                let (uri, server) = (uri(&url)?, Expected::Id(server));
                Ok(Self::Spiffe(Endpoint { uri, server }, first))
            }
        }
    }
}

fn uri(url: &HttpsUrl) -> Result<Uri, FederationError> {
    let uri = url.to_string().parse();
    uri.map_err(|_| FederationError::Host(format!("{url} is not a URL")))
}

impl std::fmt::Display for Place {
    /// What a URL's query holds may not be for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Web(Endpoint { uri, .. }, _) | Self::Spiffe(Endpoint { uri, .. }, _) => {
                let authority = uri.authority().map_or("", |authority| authority.as_str());
                write!(f, "https://{authority}{}", uri.path())
            }
        }
    }
}
