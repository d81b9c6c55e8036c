//! What a sentry is to do: flags and configuration, judged together. Pure data.

mod address;
mod judge;
mod names;

pub use address::{Listen, ListenError};
pub use names::cluster_domain;

use crate::{
    algorithm::Algorithm,
    configuration::{Configuration, JwksValidator},
    fault::{Faults, Review},
    flags::{Flags, LogLevel, Mode},
    uri::{PathPrefix, PublicUri},
};
use spiffe::{SpiffeId, TrustDomain};
use std::{path::PathBuf, time::Duration};

/// Sentry's own name in its identity.
pub const APP_ID: &str = "dapr-sentry";
/// The control plane's trust domain where none is named.
pub const DEFAULT_TRUST_DOMAIN: &str = "localhost";
/// How long certificates live where nothing is said.
pub const DEFAULT_WORKLOAD_TTL: Duration = Duration::from_secs(24 * 3600);
/// How wrong clocks may be where nothing is said.
pub const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// Everything that the wiring of a sentry needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it runs.
    pub mode: Mode,
    /// The control plane's trust domain: that of sentry's own identity, of the root's subject and of what tokens are for.
    pub trust_domain: TrustDomain,
    /// The control plane's namespace.
    pub namespace: String,
    /// The trust domain that the configuration gives to apps, where it does. Those of others name their own; empty is `public`.
    pub app_trust_domain: Option<TrustDomain>,
    /// Where root and issuer are.
    pub credentials: Credentials,
    /// How long certificates live.
    pub workload_ttl: Duration,
    /// How wrong clocks may be: certificates and tokens begin as much earlier.
    pub clock_skew: Duration,
    /// Who is believed.
    pub admission: Admission,
    /// Where the CA listens.
    pub listen: Listen,
    /// Where `/healthz` is.
    pub healthz: Listen,
    /// Where metrics are, if they are.
    pub metrics: Option<Listen>,
    /// How JWTs are issued, if they are.
    pub jwt: Option<JwtSettings>,
    /// How OIDC is served, if it is.
    pub oidc: Option<OidcSettings>,
    /// Outside of a cluster: the Kubernetes client's configuration.
    pub kubeconfig: Option<PathBuf>,
    /// Where the record is kept, if that was said.
    pub state_dir: Option<PathBuf>,
    /// How the log is written.
    pub log: LogSettings,
    /// What is odd, and nothing to stop for.
    pub warnings: Vec<String>,
}

/// Who is believed: sentry's token validators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Everybody: whoever reaches the port gets a certificate for any app that it names. Sentry's default on a host.
    Insecure,
    /// Who has a token by these keys, and says so.
    Jwks(JwksValidator),
    /// Whom the API server vouches for; and who has a token by these keys, and says so.
    Kubernetes(Option<JwksValidator>),
}

/// Files of root and issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The folder that names without a path are in.
    pub folder: PathBuf,
    /// The trust anchors.
    pub ca: PathBuf,
    /// The issuer's certificates.
    pub certificate: PathBuf,
    /// The issuer's private key.
    pub key: PathBuf,
}

/// How JWTs are issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSettings {
    /// The private key's file.
    pub key: PathBuf,
    /// The key set's file.
    pub jwks: PathBuf,
    /// `iss`, if there is one.
    pub issuer: Option<String>,
    /// What signs.
    pub algorithm: Algorithm,
    /// `kid`, where it is not the key's thumbprint.
    pub key_id: Option<String>,
    /// How long a token lives.
    pub ttl: Duration,
}

/// How OIDC is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// Where.
    pub listen: Listen,
    /// Over TLS with these, or without.
    pub tls: Option<TlsFiles>,
    /// The key set's URI, where it is not derived.
    pub jwks_uri: Option<PublicUri>,
    /// What its paths begin with.
    pub path_prefix: PathPrefix,
    /// For which hosts it answers.
    pub allowed_hosts: Vec<String>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// What is written.
    pub level: LogLevel,
    /// As JSON.
    pub json: bool,
    /// To this file; else to the standard output.
    pub file: Option<PathBuf>,
}

impl Admission {
    fn of(mode: Mode, jwks: Option<JwksValidator>) -> Self {
        match (mode, jwks) {
            (Mode::Kubernetes, jwks) => Self::Kubernetes(jwks),
            (Mode::Standalone, Some(jwks)) => Self::Jwks(jwks),
            (Mode::Standalone, None) => Self::Insecure,
        }
    }

    /// Whether callers are believed without a proof.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(self, Self::Insecure)
    }

    /// The keys by which tokens are verified, if there are any.
    #[must_use]
    pub fn jwks(&self) -> Option<&JwksValidator> {
        match self {
            Self::Insecure => None,
            Self::Jwks(jwks) => Some(jwks),
            Self::Kubernetes(jwks) => jwks.as_ref(),
        }
    }

    /// As the frontend has it: which validators a request may name, and whom one gets that names none.
    #[cfg(feature = "serve")]
    #[must_use]
    pub fn validators(&self) -> credence_daemon::frontend::Validators {
        use credence_daemon::{frontend::Validators, ports::Validator};
        let (first, default) = match self {
            Self::Insecure => (Some(Validator::Insecure), Some(Validator::Insecure)),
            Self::Jwks(_) => (None, None),
            Self::Kubernetes(_) => (Some(Validator::Kubernetes), Some(Validator::Kubernetes)),
        };
        let jwks = self.jwks().map(|_| Validator::Jwks);
        Validators {
            enabled: first.into_iter().chain(jwks).collect(),
            default,
        }
    }
}

impl Settings {
    /// Judges flags and configuration together. `odd` is what reading the configuration warned of.
    ///
    /// # Errors
    /// With every fault.
    pub fn new(
        flags: Flags,
        configuration: Configuration,
        odd: Vec<String>,
    ) -> Result<Self, Faults> {
        let mut review = Review::default();
        let settings = judge::judge(flags, configuration, &mut review);
        let (mut settings, warnings) = review.end(settings)?;
        settings.warnings = odd.into_iter().chain(warnings).collect();
        Ok(settings)
    }

    /// Sentry's own identity, which daprd looks for: `spiffe://DOMAIN/ns/NAMESPACE/dapr-sentry`.
    ///
    /// # Errors
    /// If the parts do not make one, which [`Settings::new`] would have refused.
    pub fn identity(&self) -> Result<SpiffeId, spiffe::SpiffeIdError> {
        judge::identity(&self.trust_domain, &self.namespace, APP_ID)
    }
}

#[cfg(test)]
mod tests;
