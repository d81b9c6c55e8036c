//! A TLS client that has no certificate.

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
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
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

/// Connects without a certificate and asks for `/`. Gives the server's alert, in words.
///
/// # Errors
/// If the server answered, or refused in another way than by an alert.
pub async fn refused_by_alert(
    server: SocketAddr,
    root: &Path,
    version: &'static SupportedProtocolVersion,
) -> Result<String> {
    let config = config(root, version)?;
    match timeout(LIMIT, ask(server, config)).await? {
        Ok(answer) => bail!("a client without a certificate was answered: {answer:?}"),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::AlertReceived(alert)) => Ok(format!("{alert:?}")),
            _ => bail!("no TLS alert, but: {error}"),
        },
    }
}

fn config(root: &Path, version: &'static SupportedProtocolVersion) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let anchor =
        CertificateDer::from_pem_file(root).with_context(|| format!("{}", root.display()))?;
    roots.add(anchor)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = SpiffeServer {
        roots,
        algorithms: provider.signature_verification_algorithms,
    };
    Ok(with_verifier(provider, version, verifier)?)
}

fn with_verifier(
    provider: Arc<CryptoProvider>,
    version: &'static SupportedProtocolVersion,
    verifier: SpiffeServer,
) -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
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
struct SpiffeServer {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
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
