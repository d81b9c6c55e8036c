//! Any CA that speaks Istio's API (`istio.v1.auth.IstioCertificateService`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use credence_agent::{CsrDer, Held, Issuance, Issued, Renewals, Upstream, UpstreamError};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use spiffe::SpiffeId;
use tonic::Request;
use tonic::transport::Channel;

use crate::answer::{LONGEST_ANSWER, bundle, chain, issued, unusable};
use crate::failure::told;
use crate::line::Line;
use crate::pem;
use crate::proof::Proofs;
use crate::proto::istio::istio_certificate_service_client::IstioCertificateServiceClient;
use crate::proto::istio::{IstioCertificateRequest, IstioCertificateResponse};

/// The most elements of an answer: a chain, and the bundle.
const MOST_ELEMENTS: usize = 17;

/// How a CA is asked.
#[derive(Clone)]
pub struct IstioTerms {
    /// What identities begin with.
    pub proofs: Proofs,
    /// How long certificates should live; none leaves it to the CA.
    pub life: Option<Duration>,
    /// The cluster that tokens are of (`clusterid`), if the CA knows several.
    pub cluster: Option<String>,
    /// How the CA lets certificates be renewed.
    pub renewals: Renewals,
    /// Whether the first proof is a node agent's, which asks for its identities by name (`ImpersonatedIdentity`).
    pub node_agent: bool,
}

/// A CA behind a line.
pub struct IstioCa {
    line: Arc<Line>,
    terms: IstioTerms,
}

impl IstioCa {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(line: Arc<Line>, terms: IstioTerms) -> Self {
        Self { line, terms }
    }

    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    async fn by_first_proof(&self, id: &SpiffeId, csr: CsrDer) -> Result<Issued, UpstreamError> {
        let proof = self.terms.proofs.of(id)?;
        let token = proof.token()?;
        let token = token.as_ref().map(|token| token.as_str());
        let wanted = self.terms.node_agent.then_some(id);
        let request = self.request(&csr, token, wanted)?;
        let answer = ask(self.line.plain(), request).await;
        if matches!(answer, Ok(_) | Err(UpstreamError::Refused(_))) {
            proof.was_shown(token);
        }
        answer
    }

    fn request(
        &self,
        csr: &CsrDer,
        token: Option<&str>,
        wanted: Option<&SpiffeId>,
    ) -> Result<Request<IstioCertificateRequest>, UpstreamError> {
        let life = self.terms.life.unwrap_or_default().as_secs();
        let message = IstioCertificateRequest {
            csr: pem::request(csr.as_bytes()).map_err(unusable)?,
            validity_duration: i64::try_from(life).unwrap_or(i64::MAX),
            metadata: Some(metadata(wanted)),
        };
        let mut request = Request::new(message);
        let headers = [
            (
                "authorization",
                token.map(|token| format!("Bearer {token}")),
            ),
            ("clusterid", self.terms.cluster.clone()),
        ];
        for (name, text) in headers {
            let Some(text) = text else { continue };
            let mut value: tonic::metadata::AsciiMetadataValue = text
                .parse()
                .map_err(|_| UpstreamError::Unattested(format!("{name} cannot be sent")))?;
            value.set_sensitive(true);
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }
}

async fn ask(
    channel: Channel,
    request: Request<IstioCertificateRequest>,
) -> Result<Issued, UpstreamError> {
    let mut client =
        IstioCertificateServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    let answer = client.create_certificate(request).await;
    read(&answer.map_err(|status| told(&status))?.into_inner())
}

/// `CertSigner` is always there, as istio-agent has it; whom a node agent asks for is a text of its own.
fn metadata(wanted: Option<&SpiffeId>) -> Struct {
    let text = |text: String| Value {
        kind: Some(Kind::StringValue(text)),
    };
    let mut fields = BTreeMap::from([("CertSigner".to_owned(), text(String::new()))]);
    if let Some(id) = wanted {
        fields.insert("ImpersonatedIdentity".to_owned(), text(id.to_string()));
    }
    Struct { fields }
}

/// The last element is the whole bundle; the leaf is the first.
fn read(answer: &IstioCertificateResponse) -> Result<Issued, UpstreamError> {
    let elements = &answer.cert_chain;
    if elements.len() > MOST_ELEMENTS {
        return Err(unusable(format_args!("{} elements", elements.len())));
    }
    let Some((roots, own)) = elements.split_last().filter(|(_, own)| !own.is_empty()) else {
        return Err(unusable("a chain and its bundle are not both there"));
    };
    let own = own.iter().map(|pem| chain(pem));
    let own: Vec<_> = own.collect::<Result<_, _>>().map_err(unusable)?;
    issued(own.concat(), bundle(roots).map_err(unusable)?)
}

impl Upstream for IstioCa {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        Box::pin(self.by_first_proof(id, csr))
    }

    fn renewals(&self) -> Renewals {
        self.terms.renewals
    }

    fn renew<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer, held: Held) -> Issuance<'a> {
        Box::pin(async move {
            let request = self.request(&csr, None, None)?;
            ask(self.line.showing(id, &held), request).await
        })
    }

    fn trusted(&self, roots: &[Vec<u8>]) {
        self.line.trusted(roots);
    }
}
