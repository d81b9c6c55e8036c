//! TLS as the frontends speak it: 1.2 and 1.3, a serving certificate and roots for clients that are swapped while connections live on,
//! no resumption (a resumed session would bring back a client certificate that has ended since).

mod clients;
mod serving;

pub use clients::{ClientRoots, RootsError};
pub use serving::{Serving, ServingError};

use crate::ports::Clock;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    time_provider::TimeProvider,
};
use rustls_pki_types::UnixTime;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// What speaks inside of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// HTTP/2
    Grpc,
    /// HTTP/1.1
    Http,
}

/// The TLS of one listener.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Serves with `serving`; a client may show a certificate if there are `clients` to verify it with.
    ///
    /// # Errors
    /// If the cryptographic library has none of the protocol's versions, which would be a fault in how this was built.
    pub fn new(
        serving: Arc<Serving>,
        clients: Option<Arc<ClientRoots>>,
        inside: Inside,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, rustls::Error> {
        let builder = ServerConfig::builder_with_details(provider(), Arc::new(ByClock(clock)))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match clients {
            Some(clients) => {
                builder.with_client_cert_verifier(clients as Arc<dyn ClientCertVerifier>)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(serving);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = match inside {
            Inside::Grpc => vec![b"h2".to_vec()],
            Inside::Http => vec![b"http/1.1".to_vec()],
        };
        Ok(Self {
            config: Arc::new(config),
        })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS by the daemon's clock.
struct ByClock(Arc<dyn Clock>);

impl fmt::Debug for ByClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByClock")
    }
}

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since: Duration = self.0.now().duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}
