//! Sentry's token validators as attestors.

use crate::{
    cluster::Cluster,
    configuration::{CaCertificates, JwksSource, JwksValidator},
    settings::Settings,
};
use credence_attest::{
    HttpsError, Roots,
    identity::template::Template,
    jwt::{
        Algorithm, Freshness, JwtAttestor, JwtSettings, JwtSettingsError, KeySetError, Keys, Naming,
    },
    kubernetes::{
        ControlPlane, KubernetesAttestor, KubernetesError, KubernetesSettings, ServerLoad,
    },
};
use spiffe::SpiffeIdError;
use std::time::Duration;

/// How much clocks may differ where a token is looked at.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// What tokens of pods may be for, beside sentry's own identity.
const AUDIENCE: &str = "dapr.io/sentry";
/// How long the API server has for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no attestor.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// Sentry has no identity that tokens could be for.
    #[error("sentry's own identity cannot be formed: {0}")]
    Identity(#[from] SpiffeIdError),
    /// The key set in the configuration.
    #[error("spec.mtls.tokenValidators: the key set in source cannot be used: {0}")]
    Keys(#[from] KeySetError),
    /// The key set's server.
    #[error("spec.mtls.tokenValidators: {0}")]
    Https(#[from] HttpsError),
    /// How tokens are looked at.
    #[error(transparent)]
    Jwt(#[from] JwtSettingsError),
    /// How pods are looked at.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}

/// The validator `jwks`: `aud` is sentry's identity, `sub` the workload's own.
///
/// # Errors
/// If the keys cannot be used, or https cannot be set up. A file is looked at later.
pub fn jwks(settings: &Settings, validator: &JwksValidator) -> Result<JwtAttestor, AdmissionError> {
    let rules = JwtSettings {
        name: "jwks".into(),
        issuer: None,
        audiences: vec![settings.identity()?.to_string()],
        algorithms: Algorithm::ALL.to_vec(),
        skew: SKEW,
        longest_life: None,
        naming: Naming::Subject,
    };
    Ok(JwtAttestor::new(rules, keys(validator)?)?)
}

fn keys(validator: &JwksValidator) -> Result<Keys, AdmissionError> {
    Ok(match &validator.source {
        JwksSource::Inline(set) => Keys::fixed(set)?,
        JwksSource::File(path) => Keys::file(path.clone()),
        JwksSource::Url(url) => {
            let roots = match &validator.ca {
                None => Roots::System,
                Some(CaCertificates::File(path)) => Roots::File(path.clone()),
                Some(CaCertificates::Pem(pem)) => Roots::Pem(pem.clone()),
            };
            Keys::url(
                url.clone(),
                roots,
                validator.request_timeout,
                freshness(validator),
            )?
        }
    })
}

/// Fetched anew as often as is configured, and once more for a key that is not known, as soon as is decent.
fn freshness(validator: &JwksValidator) -> Freshness {
    let usual = Freshness::default();
    Freshness {
        refresh_after: validator.min_refresh_interval,
        usable_for: usual.usable_for.max(validator.min_refresh_interval),
        ..usual
    }
}

/// The validator `kubernetes`: the API server vouches for a pod's token, and the pod says which app it is.
///
/// # Errors
/// If https cannot be set up.
pub fn kubernetes(
    settings: &Settings,
    cluster: &Cluster,
) -> Result<KubernetesAttestor, AdmissionError> {
    let asked = KubernetesSettings {
        name: "kubernetes".into(),
        server: cluster.server.clone(),
        ca_file: Some(cluster.ca_file.clone()),
        token_file: cluster.token_file.clone(),
        cluster: None,
        audiences: vec![AUDIENCE.into(), settings.identity()?.to_string()],
        timeout: PATIENCE,
        load: ServerLoad::default(),
        template: Template::dapr(),
        dapr: Some(ControlPlane {
            namespace: settings.namespace.clone(),
            trust_domain: settings.trust_domain.clone(),
        }),
    };
    Ok(KubernetesAttestor::new(asked)?)
}
