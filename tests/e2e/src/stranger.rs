//! A TLS client that has no certificate, or one that no CA of ours has signed.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The longest that a handshake and one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, Copy)]
pub struct Papers<'a> {
    /// The certificate.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
}

/// Connects with these papers, or none, and asks for `/`. Gives the server's alert, in words.
///
/// # Errors
/// If the server answered, or refused in another way than by an alert.
pub async fn refused_by_alert(
    server: SocketAddr,
    root: &Path,
    version: &'static SupportedProtocolVersion,
    papers: Option<Papers<'_>>,
) -> Result<String> {
    let config = config(root, version, papers)?;
    match timeout(LIMIT, ask(server, config)).await? {
        Ok(answer) => bail!("the stranger was answered: {answer:?}"),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::AlertReceived(alert)) => Ok(format!("{alert:?}")),
            _ => bail!("no TLS alert, but: {error}"),
        },
    }
}

fn config(
    root: &Path,
    version: &'static SupportedProtocolVersion,
    papers: Option<Papers<'_>>,
) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(root)?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = SpiffeServer::new(roots, &provider);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(papers) = papers else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_file(papers.key)?;
    let chain = vec![certificate(papers.certificate)?];
    Ok(builder.with_client_auth_cert(chain, key)?)
}

fn certificate(file: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(file).with_context(|| format!("{}", file.display()))
}

async fn ask(server: SocketAddr, config: ClientConfig) -> std::io::Result<String> {
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::from(server.ip());
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    // With TLS 1.3 the server's refusal comes after our side of the handshake is done.
    tls.write_all(b"GET / HTTP/1.1\r\nhost: server\r\n\r\n")
        .await?;
    let mut answer = vec![0; 256];
    let read = tls.read(&mut answer).await?;
    answer.truncate(read);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Verifies the server's chain, but not its name: a SPIFFE identity is a URI, for which webpki
/// has no check. The rest of what the demo shows does check the URI, in Envoy.
#[derive(Debug)]
pub(crate) struct SpiffeServer {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SpiffeServer {
    pub(crate) fn new(roots: RootCertStore, provider: &CryptoProvider) -> Self {
        Self {
            roots,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for SpiffeServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = ParsedCertificate::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
