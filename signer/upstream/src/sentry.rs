//! Dapr's sentry (`dapr.proto.sentry.v1.CA`). It is dialled for each certificate, as daprd does.

use std::sync::Arc;

use credence_agent::{CsrDer, Issuance, Issued, Upstream, UpstreamError};
use spiffe::SpiffeId;

use crate::answer::{LONGEST_ANSWER, bundle, chain, issued, unusable};
use crate::failure::told;
use crate::line::Line;
use crate::pem;
use crate::proof::Proofs;
use crate::proto::dapr::ca_client::CaClient;
use crate::proto::dapr::sign_certificate_request::TokenValidator;
use crate::proto::dapr::{SignCertificateRequest, SignCertificateResponse};

/// How sentry is to look at tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// As sentry has it.
    Default,
    /// By a Kubernetes API server.
    Kubernetes,
    /// With the keys of a key set.
    Jwks,
}

/// How sentry is asked.
#[derive(Clone)]
pub struct SentryTerms {
    /// What identities begin with.
    pub proofs: Proofs,
    /// How sentry is to look at that.
    pub validator: Validator,
}

/// A sentry behind a line.
pub struct Sentry {
    line: Arc<Line>,
    terms: SentryTerms,
}

impl Sentry {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(line: Arc<Line>, terms: SentryTerms) -> Self {
        Self { line, terms }
    }

    async fn ask(&self, id: &SpiffeId, csr: CsrDer) -> Result<Issued, UpstreamError> {
        let (namespace, app) = app(id)?;
        let proof = self.terms.proofs.of(id)?;
        let token = proof.token()?;
        let shown = token.as_ref().map(|token| token.as_str());
        let message = SignCertificateRequest {
            id: app.to_owned(),
            token: shown.unwrap_or_default().to_owned(),
            trust_domain: id.trust_domain().to_string(),
            namespace: namespace.to_owned(),
            certificate_signing_request: pem::request(csr.as_bytes())
                .map_err(unusable)?
                .into_bytes(),
            token_validator: match self.terms.validator {
                Validator::Default => TokenValidator::Unknown,
                Validator::Kubernetes => TokenValidator::Kubernetes,
                Validator::Jwks => TokenValidator::Jwks,
            }
            .into(),
            jwt_audiences: Vec::new(),
        };
        let mut client =
            CaClient::new(self.line.dial(None)).max_decoding_message_size(LONGEST_ANSWER);
        let answer = client.sign_certificate(message).await;
        let answer = answer.map_err(|status| told(&status)).and_then(|answer| {
            let answer = answer.into_inner();
            read(&answer)
        });
        if matches!(answer, Ok(_) | Err(UpstreamError::Refused(_))) {
            proof.was_shown(shown);
        }
        answer
    }
}

/// Dapr's identities are `spiffe://<trust domain>/ns/<namespace>/<app>` and nothing else.
fn app(id: &SpiffeId) -> Result<(&str, &str), UpstreamError> {
    let parts: Vec<_> = id.path().split('/').collect();
    match parts.as_slice() {
        ["", "ns", namespace, app] => Ok((namespace, app)),
        _ => Err(UpstreamError::Refused(format!(
            "{id} is not an identity of Dapr's: those are spiffe://DOMAIN/ns/NAMESPACE/APP"
        ))),
    }
}

fn read(answer: &SignCertificateResponse) -> Result<Issued, UpstreamError> {
    let text = |octets| std::str::from_utf8(octets).map_err(|_| unusable("not PEM"));
    if answer.valid_until.is_none() {
        return Err(unusable("it does not say until when it is valid"));
    }
    let own = chain(text(&answer.workload_certificate)?).map_err(unusable)?;
    let mut roots = Vec::new();
    for anchors in &answer.trust_chain_certificates {
        roots.extend(bundle(text(anchors)?).map_err(unusable)?);
    }
    issued(own, roots)
}

impl Upstream for Sentry {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        Box::pin(self.ask(id, csr))
    }

    fn trusted(&self, roots: &[Vec<u8>]) {
        self.line.trusted(roots);
    }
}
