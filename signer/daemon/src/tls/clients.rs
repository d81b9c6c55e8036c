//! Whose certificates clients may show: those of the published bundle.

use crate::ports::Bundle;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use tokio::sync::watch;

/// Verifies client certificates against the bundle as it is now. A client need not show one; one that is not good ends the handshake.
#[derive(Debug)]
pub struct ClientRoots {
    now: RwLock<Arc<dyn ClientCertVerifier>>,
}

/// Why roots cannot be used.
#[derive(Debug, Error)]
pub enum RootsError {
    /// One of them is no certificate.
    #[error("root {0} of the bundle cannot be used: {1}")]
    Root(usize, #[source] Error),
    /// There are none.
    #[error("the bundle cannot be used to verify clients: {0}")]
    Verifier(#[source] VerifierBuilderError),
}

impl ClientRoots {
    /// Verifies against these roots, DER.
    ///
    /// # Errors
    /// If there is none, or one is no certificate.
    pub fn new(roots: &[Vec<u8>]) -> Result<Self, RootsError> {
        Ok(Self {
            now: RwLock::new(verifier(roots)?),
        })
    }

    /// Verifies against other ones from now on.
    ///
    /// # Errors
    /// As [`ClientRoots::new`]; then those before go on.
    pub fn replace(&self, roots: &[Vec<u8>]) -> Result<(), RootsError> {
        let verifier = verifier(roots)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        Ok(())
    }

    /// Goes with the published bundle until there is none any more.
    pub async fn follow(&self, mut published: watch::Receiver<Arc<Bundle>>) {
        loop {
            let bundle = Arc::clone(&published.borrow_and_update());
            if let Err(error) = self.replace(&bundle.roots) {
                tracing::error!(sequence = bundle.sequence, %error, "clients are still verified with the bundle before");
            }
            if published.changed().await.is_err() {
                return;
            }
        }
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn verifier(roots: &[Vec<u8>]) -> Result<Arc<dyn ClientCertVerifier>, RootsError> {
    let mut store = RootCertStore::empty();
    for (position, root) in (1..).zip(roots) {
        let added = store.add(CertificateDer::from(root.as_slice()).into_owned());
        added.map_err(|error| RootsError::Root(position, error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), super::provider())
        .allow_unauthenticated()
        .build()
        .map_err(RootsError::Verifier)
}

impl ClientCertVerifier for ClientRoots {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a client has one certificate, and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier()
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}
