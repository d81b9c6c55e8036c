//! `istio.v1.auth.IstioCertificateService`

use super::{LONGEST_TEXT, bearer, evidence, unwritable};
use crate::{
    desk::{Application, Desk, Life, Terms},
    pem,
    ports::{Evidence, Frontend, Identified, Issued, Remote},
    proto::istio::{
        IstioCertificateRequest, IstioCertificateResponse,
        istio_certificate_service_server::{
            IstioCertificateService, IstioCertificateServiceServer,
        },
    },
    refusal::Refusal,
};
use credence_ca::profile::Profile;
use prost_types::{Struct, value::Kind};
use spiffe::TrustDomain;
use std::{collections::BTreeSet, sync::Arc};
use tonic::{Request, Response, Status};

/// OpenSSL before 1.0 wrote the second.
const LABELS: &[&str] = &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// Istio's CA service over a desk.
pub struct Istio<A> {
    desk: Arc<Desk<A>>,
    terms: Terms,
}

impl<A: Identified> Istio<A> {
    /// The service for these trust domains. `message_bytes` bounds a message.
    #[must_use]
    pub fn server(
        desk: Arc<Desk<A>>,
        domains: BTreeSet<TrustDomain>,
        life: Life,
        message_bytes: usize,
    ) -> IstioCertificateServiceServer<Self> {
        let terms = Terms {
            frontend: Frontend::Istio,
            profile: Profile::IstioWorkload,
            labels: LABELS,
            domains: domains.into(),
            life,
        };
        IstioCertificateServiceServer::new(Self { desk, terms })
            .max_decoding_message_size(message_bytes)
    }
}

#[tonic::async_trait]
impl<A: Identified> IstioCertificateService for Istio<A> {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let answer = match read(request) {
            Ok(application) => self
                .desk
                .apply(&self.terms, application)
                .await
                .and_then(|issued| answer(&issued)),
            Err((peer, refusal)) => Err(self.desk.turned_away(Frontend::Istio, peer, refusal)),
        };
        answer
            .map(Response::new)
            .map_err(|refusal| refusal.status(Frontend::Istio))
    }
}

type TurnedAway = (Option<Remote>, Refusal);

fn read(request: Request<IstioCertificateRequest>) -> Result<Application, TurnedAway> {
    let evidence = evidence(Frontend::Istio, &request);
    let peer = evidence.peer;
    complete(evidence, request).map_err(|refusal| (peer, refusal))
}

/// A duration of nothing or less leaves it to the CA. `CertSigner` names a signer of Kubernetes, and has no meaning here.
fn complete(
    evidence: Evidence,
    request: Request<IstioCertificateRequest>,
) -> Result<Application, Refusal> {
    let token = bearer(request.metadata())?;
    let message = request.into_inner();
    let impersonated = impersonated(message.metadata.as_ref())?;
    Ok(Application {
        evidence: Evidence {
            token,
            impersonated,
            ..evidence
        },
        csr: message.csr.into_bytes(),
        seconds: u64::try_from(message.validity_duration)
            .ok()
            .filter(|seconds| *seconds > 0),
    })
}

/// An identity that is there and cannot be read is not the same as none: a node agent would get a certificate of its own.
fn impersonated(metadata: Option<&Struct>) -> Result<Option<String>, Refusal> {
    let Some(value) = metadata.and_then(|metadata| metadata.fields.get("ImpersonatedIdentity"))
    else {
        return Ok(None);
    };
    match &value.kind {
        Some(Kind::StringValue(text)) if text.is_empty() => Ok(None),
        Some(Kind::StringValue(text)) if text.len() <= LONGEST_TEXT => Ok(Some(text.clone())),
        _ => Err(Refusal::Message(format!(
            "ImpersonatedIdentity is not a text of at most {LONGEST_TEXT} octets"
        ))),
    }
}

/// One certificate a string, the leaf first; the whole bundle is the last string. A client rejects less than two.
fn answer(issued: &Issued) -> Result<IstioCertificateResponse, Refusal> {
    let chain: Result<Vec<_>, _> = issued
        .chain
        .iter()
        .map(|der| pem::certificate(der))
        .collect();
    let mut cert_chain = chain.map_err(|error| unwritable(&error))?;
    cert_chain.push(pem::certificates(&issued.bundle).map_err(|error| unwritable(&error))?);
    Ok(IstioCertificateResponse { cert_chain })
}
