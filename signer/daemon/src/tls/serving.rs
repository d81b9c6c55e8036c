//! The certificate that a listener shows.

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;

/// A serving certificate that can be replaced: handshakes from then on get the new one, and connections that are open go on.
#[derive(Debug)]
pub struct Serving {
    now: RwLock<Arc<CertifiedKey>>,
}

/// Why a certificate cannot be served.
#[derive(Debug, Error)]
pub enum ServingError {
    /// There is none.
    #[error("there is no certificate in the chain")]
    Empty,
    /// It and the key are no pair, or of a kind that is not known.
    #[error("the serving certificate and its key cannot be used together: {0}")]
    Pair(#[source] rustls::Error),
}

impl Serving {
    /// Serves this chain, leaf first and without the root, with its key.
    ///
    /// # Errors
    /// If there is no certificate, or the key is not its key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServingError> {
        Ok(Self {
            now: RwLock::new(pair(chain, key)?),
        })
    }

    /// Serves another one from now on.
    ///
    /// # Errors
    /// As [`Serving::new`]; then the one before goes on.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), ServingError> {
        let pair = pair(chain, key)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, ServingError> {
    if chain.is_empty() {
        return Err(ServingError::Empty);
    }
    let pair =
        CertifiedKey::from_der(chain, key, &super::provider()).map_err(ServingError::Pair)?;
    Ok(Arc::new(pair))
}

impl ResolvesServerCert for Serving {
    /// One for every name: Istio's and Dapr's clients go by the identity in it.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.now.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}
