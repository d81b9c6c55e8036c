//! What holds at one moment: who signs, what is trusted.

use credence_ca::{
    lifecycle::{BundleId, CertificateId},
    validity::Time,
};
use credence_daemon::ports::Bundle;
use credence_host::{authority::Authority, custody::SigningKey};
use credence_ledger::octets::Digest;
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Everything that an answer is made of, and that has to belong together.
#[derive(Debug)]
pub struct Snapshot {
    /// Signs leaves.
    pub authority: Authority<Arc<SigningKey>>,
    /// The issuer's certificate.
    pub issuer: CertificateId,
    /// What is published.
    pub bundle: Arc<Bundle>,
    /// Its name.
    pub bundle_id: BundleId,
    /// The longest life of a leaf, by the settings.
    pub longest_leaf_life: Duration,
    /// When the chain of what signs ends.
    pub ends: Time,
    /// Our own issuers' certificates, active and superseded: whose leaves are renewed.
    pub issuers: Arc<Vec<CertificateDer<'static>>>,
}

impl Snapshot {
    /// The issuer, as the ledger names it.
    #[must_use]
    pub fn issuer_digest(&self) -> Digest {
        Digest(self.issuer.sha256())
    }

    /// The longest life that a leaf can be given now; nothing once the chain has ended.
    #[must_use]
    pub fn leaf_cap(&self, now: Time) -> Duration {
        self.ends.since(now).min(self.longest_leaf_life)
    }
}

/// The snapshot of now. There is none before the first one is there.
#[derive(Debug)]
pub struct Current(watch::Sender<Option<Arc<Snapshot>>>);

impl Default for Current {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl Current {
    /// What holds now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Snapshot>> {
        self.0.borrow().clone()
    }

    /// What holds now, and what follows.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.0.subscribe()
    }

    pub(crate) fn set(&self, snapshot: Snapshot) {
        self.0.send_replace(Some(Arc::new(snapshot)));
    }
}

impl credence_attest::svid::Issuers for Current {
    fn certificates(&self) -> Arc<Vec<CertificateDer<'static>>> {
        self.get()
            .map_or_else(Arc::default, |now| Arc::clone(&now.issuers))
    }
}
