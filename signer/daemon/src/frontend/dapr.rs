//! `dapr.proto.sentry.v1.CA`

use super::{evidence, unwritable};
use crate::{
    desk::{Application, Desk, Life, Terms},
    pem,
    ports::{
        Claimed, Evidence, Frontend, Identified, Issued, LONGEST_AUDIENCE, MOST_AUDIENCES, Remote,
        Token, Tokens, Validator, WorkloadTokens,
    },
    proto::dapr::{
        SignCertificateRequest, SignCertificateResponse,
        ca_server::{Ca, CaServer},
        sign_certificate_request::TokenValidator,
    },
    refusal::{AttestError, Refusal},
};
use credence_ca::{domains::Domains, profile::Profile};
use prost_types::Timestamp;
use spiffe::TrustDomain;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use tonic::{Request, Response, Status};

/// The second is what old daprd writes.
const LABELS: &[&str] = &["CERTIFICATE REQUEST", "CERTIFICATE"];
/// The longest ID of an app, in octets.
const LONGEST_ID: usize = 64;
/// The longest namespace: a DNS label (Kubernetes).
const LONGEST_NAMESPACE: usize = 63;
/// What an empty trust domain means.
const DEFAULT_DOMAIN: &str = "public";

/// Who looks at tokens here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// Those that a request may name.
    pub enabled: BTreeSet<Validator>,
    /// Whom a request that names none gets; none refuses it.
    pub default: Option<Validator>,
}

/// What the service gives, and to whom.
#[derive(Debug, Clone)]
pub struct DaprTerms {
    /// The trust domains that it serves.
    pub domains: Domains,
    /// How long certificates live. Requests do not say.
    pub life: Life,
    /// Who looks at tokens.
    pub validators: Validators,
    /// Octets of a message.
    pub message_bytes: usize,
}

/// Dapr's CA service over a desk.
pub struct Dapr<A> {
    desk: Arc<Desk<A>>,
    terms: Terms,
    validators: Validators,
    tokens: Option<Arc<dyn Tokens>>,
}

impl<A: Identified> Dapr<A> {
    /// The service on these terms.
    #[must_use]
    pub fn server(desk: Arc<Desk<A>>, terms: DaprTerms) -> CaServer<Self> {
        Self::server_with(desk, terms, None)
    }

    /// The service on these terms, with JWTs beside certificates where there are tokens.
    #[must_use]
    pub fn server_with(
        desk: Arc<Desk<A>>,
        terms: DaprTerms,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> CaServer<Self> {
        let DaprTerms {
            domains,
            life,
            validators,
            message_bytes,
        } = terms;
        let terms = Terms {
            frontend: Frontend::Dapr,
            profile: Profile::DaprWorkload,
            labels: LABELS,
            domains,
            life,
        };
        CaServer::new(Self {
            desk,
            terms,
            validators,
            tokens,
        })
        .max_decoding_message_size(message_bytes)
    }

    fn read(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<(Application, Vec<String>), (Option<Remote>, Refusal)> {
        let evidence = evidence(Frontend::Dapr, &request);
        let peer = evidence.peer;
        let mut message = request.into_inner();
        let audiences = self.audiences(std::mem::take(&mut message.jwt_audiences));
        audiences
            .and_then(|audiences| Ok((self.complete(evidence, message)?, audiences)))
            .map_err(|refusal| (peer, refusal))
    }

    /// Who issues no JWTs does not look at whom they would be for, as sentry does not.
    fn audiences(&self, audiences: Vec<String>) -> Result<Vec<String>, Refusal> {
        let good = |audience: &String| {
            (1..=LONGEST_AUDIENCE).contains(&audience.len()) && !audience.contains(char::is_control)
        };
        match &self.tokens {
            None => Ok(Vec::new()),
            Some(_) if audiences.len() <= MOST_AUDIENCES && audiences.iter().all(good) => {
                Ok(audiences)
            }
            Some(_) => Err(Refusal::Message(format!(
                "JWTs are for at most {MOST_AUDIENCES} audiences of 1 to {LONGEST_AUDIENCE} octets"
            ))),
        }
    }

    async fn apply(
        &self,
        application: Application,
        audiences: Vec<String>,
    ) -> Result<SignCertificateResponse, Refusal> {
        let Some(tokens) = &self.tokens else {
            let issued = self.desk.apply(&self.terms, application).await?;
            return answer(&issued, None);
        };
        let (issued, tokens) = self
            .desk
            .apply_with_tokens(&self.terms, application, &**tokens, audiences)
            .await?;
        answer(&issued, Some(tokens))
    }

    fn complete(
        &self,
        evidence: Evidence,
        message: SignCertificateRequest,
    ) -> Result<Application, Refusal> {
        let token = token(message.token)?;
        let validator = self.validator(message.token_validator)?;
        if message.certificate_signing_request.is_empty() {
            return Err(Refusal::Claims("no certification request".into()));
        }
        let claimed = claimed(
            message.id,
            message.namespace,
            message.trust_domain,
            validator,
        )?;
        Ok(Application {
            evidence: Evidence {
                token,
                claimed: Some(claimed),
                ..evidence
            },
            csr: message.certificate_signing_request,
            seconds: None,
        })
    }

    fn validator(&self, named: i32) -> Result<Validator, Refusal> {
        let named = match TokenValidator::try_from(named) {
            Ok(TokenValidator::Unknown) => self.validators.default,
            Ok(TokenValidator::Insecure) => Some(Validator::Insecure),
            Ok(TokenValidator::Kubernetes) => Some(Validator::Kubernetes),
            Ok(TokenValidator::Jwks) => Some(Validator::Jwks),
            Err(_) => {
                return Err(Refusal::Message(format!(
                    "there is no token validator {named}"
                )));
            }
        };
        let validator = named
            .ok_or_else(|| Refusal::Message("a token validator has to be named here".into()))?;
        if self.validators.enabled.contains(&validator) {
            Ok(validator)
        } else {
            Err(Refusal::Message(format!(
                "the token validator {validator:?} is not enabled here"
            )))
        }
    }
}

#[tonic::async_trait]
impl<A: Identified> Ca for Dapr<A> {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        let answer = match self.read(request) {
            Ok((application, audiences)) => self.apply(application, audiences).await,
            Err((peer, refusal)) => Err(self.desk.turned_away(Frontend::Dapr, peer, refusal)),
        };
        answer
            .map(Response::new)
            .map_err(|refusal| refusal.status(Frontend::Dapr))
    }
}

fn token(text: String) -> Result<Option<Token>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let token =
        Token::new(text).map_err(|error| AttestError::Unauthenticated(error.to_string()))?;
    Ok(Some(token))
}

/// Sentry's own rules, which its validators look at first.
fn claimed(
    app_id: String,
    namespace: String,
    trust_domain: String,
    validator: Validator,
) -> Result<Claimed, Refusal> {
    let rule = |why: &str| Err(Refusal::Claims(why.to_owned()));
    if app_id.is_empty() || app_id.len() > LONGEST_ID || app_id.contains('.') {
        return rule("the app's ID has to have 1 to 64 octets and no dots");
    }
    if namespace.is_empty() || namespace.len() > LONGEST_NAMESPACE {
        return rule("the namespace has to have 1 to 63 octets");
    }
    let trust_domain = match trust_domain.as_str() {
        "" => DEFAULT_DOMAIN.to_owned(),
        _ => trust_domain,
    };
    // Only a name: a whole SPIFFE ID would parse too.
    match TrustDomain::new(&trust_domain) {
        Ok(parsed) if parsed.as_str() == trust_domain => Ok(Claimed {
            app_id,
            namespace,
            trust_domain,
            validator,
        }),
        _ => rule("the trust domain is not one"),
    }
}

/// The chain without the root; the trust anchors apart.
fn answer(
    issued: &Issued,
    tokens: Option<WorkloadTokens>,
) -> Result<SignCertificateResponse, Refusal> {
    let (jwt, per_audience_jwts) = match tokens {
        Some(tokens) => (Some(tokens.jwt), tokens.by_audience.into_iter().collect()),
        None => (None, HashMap::new()),
    };
    Ok(SignCertificateResponse {
        workload_certificate: pem::certificates(&issued.chain)
            .map_err(|error| unwritable(&error))?
            .into_bytes(),
        trust_chain_certificates: vec![
            pem::certificates(&issued.bundle)
                .map_err(|error| unwritable(&error))?
                .into_bytes(),
        ],
        valid_until: Some(Timestamp::from(issued.not_after)),
        jwt,
        per_audience_jwts,
    })
}
