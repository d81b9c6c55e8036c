//! Asks a Kubernetes API server whose a token is.

use super::{
    Pod, ServiceAccount,
    pods::{self, App, AppFacts, ControlPlane, Domain},
    review::{self, Reviewed},
    server::ApiServer,
};
use crate::{
    error::{AttestError, Failure, Refusal, Unavailable},
    evidence::Evidence,
    https::{HttpsError, HttpsUrl},
    identity::template::{Template, TemplateError, Variable},
    join,
    json::Json,
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Attestor, BoxFuture, Now},
    secret::Token,
};
use http::{Request, StatusCode, header};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::{path::PathBuf, time::Duration};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Which API server is asked, and how.
pub struct KubernetesSettings {
    /// The attestor's name.
    pub name: String,
    /// The API server.
    pub server: HttpsUrl,
    /// The CA certificates by which it is known. None: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The token that this CA shows it; read again when it changes.
    pub token_file: PathBuf,
    /// The cluster that callers name in `clusterid`, where there are several. None: whatever they name.
    pub cluster: Option<String>,
    /// One of these has to be among a token's audiences.
    pub audiences: Vec<String>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How much it is asked.
    pub load: ServerLoad,
    /// Whom a token is of.
    pub template: Template,
    /// Dapr's control plane; needed where the template has a `dapr` variable.
    pub dapr: Option<ControlPlane>,
}

/// How much an API server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLoad {
    /// How many callers it is asked about at once; at least one.
    pub at_once: usize,
    /// How long another may wait for a turn. Then the answer is that there is none now.
    pub longest_wait: Duration,
}

impl Default for ServerLoad {
    /// 64 at once; two seconds.
    fn default() -> Self {
        Self {
            at_once: 64,
            longest_wait: Duration::from_secs(2),
        }
    }
}

/// Why settings are refused.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// A token for anybody would do.
    #[error(
        "{0}: name at least one audience; a token that was made for somebody else must not do here"
    )]
    NoAudience(String),
    /// A claim is not what a review gives.
    #[error("{0}: {1}")]
    Template(String, #[source] TemplateError),
    /// Without it every pod could be a service of the control plane, or none.
    #[error(
        "{0}: the template is Dapr's; say which namespace and trust domain its control plane has"
    )]
    NoControlPlane(String),
    /// https cannot be set up.
    #[error("{0}: {1}")]
    Https(String, #[source] HttpsError),
}

/// Takes the tokens that one API server vouches for.
pub struct KubernetesAttestor {
    name: String,
    api: ApiServer,
    cluster: Option<String>,
    audiences: Vec<String>,
    template: Template,
    dapr: Option<ControlPlane>,
    turns: Semaphore,
    longest_wait: Duration,
}

impl KubernetesAttestor {
    /// With these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// If the settings would take every token, or https cannot be set up.
    pub fn new(settings: KubernetesSettings) -> Result<Self, KubernetesError> {
        let name = settings.name;
        if settings.audiences.iter().all(String::is_empty) {
            return Err(KubernetesError::NoAudience(name));
        }
        let filled = settings.template.only(|variable| !variable.is_claim());
        filled.map_err(|why| KubernetesError::Template(name.clone(), why))?;
        let needs_pod = settings.template.variables().any(Variable::is_dapr);
        if needs_pod && settings.dapr.is_none() {
            return Err(KubernetesError::NoControlPlane(name));
        }
        let api = ApiServer::new(
            settings.server,
            settings.ca_file,
            settings.token_file,
            settings.timeout,
        );
        Ok(Self {
            api: api.map_err(|why| KubernetesError::Https(name.clone(), why))?,
            name,
            cluster: settings.cluster,
            audiences: settings.audiences,
            template: settings.template,
            dapr: settings.dapr.filter(|_| needs_pod),
            turns: Semaphore::new(settings.load.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            longest_wait: settings.load.longest_wait,
        })
    }

    async fn look(&self, evidence: &Evidence) -> Result<Attested, Failure> {
        let token = evidence.token.as_ref().map(Token::expose);
        let token = token.filter(|text| !join::looks_like_one(text));
        let token = token.ok_or(Failure::NoEvidence)?;
        let named = evidence.metadata.cluster.as_deref().unwrap_or_default();
        if self.cluster.as_deref().is_some_and(|ours| ours != named) {
            return Err(Failure::NoEvidence);
        }
        let turn = tokio::time::timeout(self.longest_wait, self.turns.acquire());
        let _turn = turn.await.map_err(|_| Unavailable::Busy)?;
        let reviewed = self.review(token).await?;
        let identity = self.identity(&reviewed.account).await?;
        Ok(Attested {
            identity,
            on_behalf: None,
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::TokenReview,
                issuer: Some(self.api.name()),
                subject: Some(reviewed.username),
                audiences: reviewed.audiences,
                fingerprint: Some(Sha256::digest(token).into()),
                expires: None,
            },
            renewal: None,
        })
    }

    async fn review(&self, token: &str) -> Result<Reviewed, Failure> {
        let body = review::question(token, &self.audiences);
        let request = Request::post(self.api.url(review::PATH)?)
            .header(header::CONTENT_TYPE, "application/json");
        let reply = self.api.ask(request, body).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => review::answer(&reply.body, &self.audiences)
                .map_err(|why| {
                    why.unwrap_or_else(|| self.api.odd("no TokenReview came back").into())
                }),
            status => Err(self.api.status(status).into()),
        }
    }

    async fn identity(&self, account: &ServiceAccount) -> Result<SpiffeId, Failure> {
        let Some(control_plane) = &self.dapr else {
            return Ok(self.template.fill(account)?);
        };
        let pod = account.pod.as_ref();
        let pod = pod.ok_or(Refusal::ServiceAccount("it is not bound to a pod"))?;
        let app = self.app(account, pod, control_plane).await?;
        let trust_domain = match app.domain {
            Domain::Known(domain) => domain,
            Domain::In(name) => {
                let body = self
                    .get(&pods::configuration_path(&account.namespace, &name))
                    .await?;
                let none = || self.api.odd("no Dapr Configuration came back");
                pods::trust_domain(&body).ok_or_else(none)?
            }
        };
        Ok(self.template.fill(&AppFacts {
            account,
            id: &app.id,
            trust_domain: &trust_domain,
        })?)
    }

    async fn app(
        &self,
        account: &ServiceAccount,
        pod: &Pod,
        control_plane: &ControlPlane,
    ) -> Result<App, Failure> {
        let body = self.get(&pods::pod_path(account, pod)).await?;
        let app = pods::app(&body, account, pod, control_plane);
        Ok(app.ok_or_else(|| self.api.odd("no such Pod came back"))??)
    }

    async fn get(&self, path: &str) -> Result<Json, Failure> {
        let missing = || Refusal::Pod("it, or the configuration that it names, does not exist");
        let body = self.api.get(path).await?.ok_or_else(missing)?;
        let json = Json::parse(&body);
        json.ok_or_else(|| self.api.odd("what came back is not JSON").into())
    }
}

impl Attestor for KubernetesAttestor {
    fn name(&self) -> &str {
        &self.name
    }

    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        _now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async move {
            let found = self.look(evidence).await;
            found.map_err(|why| AttestError::of(&self.name, why))
        })
    }

    /// As Dapr's sentry does: its `KUBERNETES` validator takes the trust domain from the pod.
    fn settles_trust_domain(&self) -> bool {
        true
    }
}
