//! TLS 1.2 and 1.3 to a CA: its chain leads to what is trusted now, and its name is the one that is expected.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use credence_agent::{Clock, Held};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{
    CertificateDer, InvalidDnsNameError, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use spiffe::SpiffeId;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::trust::Anchor;

/// Who the CA has to be.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Its certificate has this name among its DNS names or addresses.
    Name(ServerName<'static>),
    /// Its certificate has this one URI name.
    Id(SpiffeId),
}

/// A text that is no DNS name and no address.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is neither a DNS name nor an address")]
pub struct NotAName(String, #[source] InvalidDnsNameError);

impl Expected {
    /// A DNS name, or an IP address.
    ///
    /// # Errors
    ///
    /// [`NotAName`]
    pub fn name(name: &str) -> Result<Self, NotAName> {
        let parsed = ServerName::try_from(name.to_owned());
        parsed
            .map(Self::Name)
            .map_err(|error| NotAName(name.to_owned(), error))
    }

    /// Dapr's sentry of a control plane: `spiffe://<trust domain>/ns/<namespace>/dapr-sentry`.
    ///
    /// # Errors
    ///
    /// If that is no SPIFFE ID.
    pub fn sentry(
        trust_domain: &spiffe::TrustDomain,
        namespace: &str,
    ) -> Result<Self, spiffe::SpiffeIdError> {
        let id = SpiffeId::new(format!(
            "spiffe://{trust_domain}/ns/{namespace}/dapr-sentry"
        ));
        id.map(Self::Id)
    }

    /// What is sent as SNI. A server that is known by its ID is not asked by name.
    pub(crate) fn server_name(&self) -> ServerName<'static> {
        match self {
            Self::Name(name) => name.clone(),
            Self::Id(_) => ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        }
    }

    fn verify(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        match self {
            Self::Name(name) => verify_server_name(&ParsedCertificate::try_from(leaf)?, name),
            Self::Id(id) if uris(leaf) == [id.to_string()] => Ok(()),
            Self::Id(_) => Err(CertificateError::NotValidForName.into()),
        }
    }
}

/// The URI names; none where the extension cannot be read.
fn uris(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect()
}

/// TLS by what is trusted at this moment.
pub(crate) fn config(
    expected: &Expected,
    anchors: Vec<Anchor>,
    held: Option<&Held>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Pinned {
        expected: expected.clone(),
        anchors,
        provider: Arc::clone(&provider),
    };
    let builder =
        ClientConfig::builder_with_details(provider, Arc::new(ByClock(Arc::clone(clock))))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match held {
        Some(held) => {
            let chain = held.chain().iter().cloned().map(CertificateDer::from);
            let key = PrivatePkcs8KeyDer::from(held.key().to_vec());
            builder.with_client_auth_cert(chain.collect(), PrivateKeyDer::from(key))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // a resumed session would go by the roots and the certificate of an older one
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TLS for https, by these roots (DER) and the agent's clock; whoever sets it says which protocol is spoken inside.
///
/// # Errors
///
/// If the TLS library refuses.
pub fn https(
    expected: &Expected,
    roots: Vec<Vec<u8>>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let anchors = vec![Anchor::Roots(Arc::new(roots))];
    let mut config = config(expected, anchors, None, clock)?;
    config.alpn_protocols.clear();
    Ok(config)
}

struct Pinned {
    expected: Expected,
    anchors: Vec<Anchor>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pinned(..)")
    }
}

impl Pinned {
    /// All roots that count: of a pin, the certificate that it is of, if the server sent it.
    fn store(&self, sent: &[CertificateDer<'_>]) -> RootCertStore {
        let mut store = RootCertStore::empty();
        for anchor in &self.anchors {
            match anchor {
                Anchor::Roots(roots) => {
                    let roots = roots.iter().cloned().map(CertificateDer::from);
                    store.add_parsable_certificates(roots);
                }
                Anchor::Pin(pin) => {
                    let pinned = sent.iter().filter(|der| pin.matches(der));
                    store.add_parsable_certificates(pinned.map(|der| der.clone().into_owned()));
                }
            }
        }
        store
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let store = self.store(intermediates);
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &store, intermediates, now, algorithms)?;
        self.expected.verify(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// TLS by the agent's clock.
struct ByClock(Arc<dyn Clock>);

impl fmt::Debug for ByClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByClock")
    }
}

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.0.now().duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}
