//! The daemon's own certificate, from its own CA: made, recorded and renewed like every other leaf.

use crate::{
    book::{Book, Leaf, Unrecorded},
    clock::{Shared, system},
    current::{Current, Snapshot},
    lifecycle::Places,
    plan::OwnFailed,
};
use credence_ca::{
    dns::DnsName,
    lifecycle::{CertificateId, HolderId, Leaf as HeldLeaf, Learns},
    profile::Profile,
    serial::Serial,
};
use credence_daemon::tls::{Serving, ServingError};
use credence_host::authority::{IssueError, Order};
use credence_ledger::entry::Asker;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::SpiffeId;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};
use thiserror::Error;

/// What the record calls the asker of these certificates.
pub(crate) const FRONTEND: &str = "serving";

/// How many roots go along in a handshake, behind the chain: an agent whose first trust is a root's hash in a join token finds it there.
/// While a root is replaced there are two.
const ROOTS_SENT: usize = 2;

/// Why there is no serving certificate.
#[derive(Debug, Error)]
pub enum OwnError {
    /// Nothing signs yet.
    #[error("there is no issuer yet")]
    NoIssuer,
    /// The key or the request.
    #[error("the serving key's request could not be made: {0}")]
    Request(#[from] rcgen::Error),
    /// The CA itself said no.
    #[error("the CA did not sign its own serving certificate: {0}")]
    Issue(#[from] IssueError),
    /// It is not on record, so it is not used.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    /// It cannot be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// Who the daemon is.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its SPIFFE ID: what Dapr's sidecars look for.
    pub identity: SpiffeId,
    /// DNS names beside it: what istio-agent looks for.
    pub dns_names: Vec<DnsName>,
    /// How long it is to live; never longer than a leaf may.
    pub life: Duration,
}

/// Makes the daemon's certificates.
#[derive(Clone)]
pub struct OwnCertificates {
    own: Own,
    current: Arc<Current>,
    book: Arc<Book>,
    places: Arc<Places>,
    clock: Shared,
    failed: OwnFailed,
}

/// One of them.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    facts: Facts,
}

/// What is remembered of the one in use.
struct Facts {
    serial: Serial,
    issuer: CertificateId,
    ends: SystemTime,
}

impl OwnCertificates {
    /// For this daemon.
    #[must_use]
    pub fn new(
        own: Own,
        current: Arc<Current>,
        book: Arc<Book>,
        places: Arc<Places>,
        clock: Shared,
        failed: OwnFailed,
    ) -> Self {
        Self {
            own,
            current,
            book,
            places,
            clock,
            failed,
        }
    }

    /// The first one, and a future that renews it: at half of its life, and at once when another issuer signs.
    ///
    /// # Errors
    /// If it cannot be made.
    pub async fn begin(self) -> Result<(Arc<Serving>, impl Future<Output = ()> + Send), OwnError> {
        let pair = self.make().await?;
        let serving = Arc::new(Serving::new(pair.chain, pair.key)?);
        let renewing = self.renew(Arc::clone(&serving), pair.facts);
        Ok((serving, renewing))
    }

    async fn renew(self, serving: Arc<Serving>, mut used: Facts) {
        const AGAIN: Duration = Duration::from_secs(1);
        const MOST: Duration = Duration::from_secs(60);
        let mut changes = self.current.watch();
        loop {
            self.knows_the_bundle(&used);
            // looked at again every minute at the latest, since the wall clock may jump
            let left = self.left(&used);
            let due = left.saturating_sub(self.own.life.min(left * 2) / 2);
            tokio::select! {
                () = tokio::time::sleep(due.clamp(AGAIN, MOST)) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
            let other = self
                .current
                .get()
                .is_some_and(|now| now.issuer != used.issuer);
            if !other && self.left(&used) > self.own.life / 2 {
                continue;
            }
            match self.replace(&serving).await {
                Ok(now) => {
                    self.dropped(&used);
                    used = now;
                }
                Err(error) => {
                    (self.failed)(&error);
                    tracing::error!(%error, "the serving certificate could not be renewed; the old one goes on");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn left(&self, used: &Facts) -> Duration {
        let left = used.ends.duration_since(self.clock.0.wall());
        left.unwrap_or_default()
    }

    /// This process trusts what it publishes: no gate has to wait for it.
    fn knows_the_bundle(&self, used: &Facts) {
        if let Some(now) = self.current.get() {
            let holder = HolderId::of_leaf(&used.serial);
            self.places.has(&holder, Some(now.bundle_id));
        }
    }

    /// Its key is nowhere any more: no gate has to wait for its end.
    fn dropped(&self, used: &Facts) {
        self.places.revoked(&used.serial);
        self.places.left(&HolderId::of_leaf(&used.serial));
    }

    async fn replace(&self, serving: &Serving) -> Result<Facts, OwnError> {
        let pair = self.make().await?;
        serving.replace(pair.chain, pair.key)?;
        tracing::info!(identity = %self.own.identity, "the serving certificate was renewed");
        Ok(pair.facts)
    }

    async fn make(&self) -> Result<Pair, OwnError> {
        let snapshot = self.current.get().ok_or(OwnError::NoIssuer)?;
        let (key, csr) = self.request()?;
        let now = self.clock.time();
        let order = Order {
            profile: Profile::X509Svid,
            identity: &self.own.identity,
            permitted_dns_names: &self.own.dns_names,
            csr: &csr,
            life: self.own.life.min(snapshot.leaf_cap(now)),
        };
        let svid = snapshot.authority.issue(&order, now)?;
        self.places.issued(self.held(&svid, &snapshot));
        let leaf = Leaf {
            asker: Asker {
                frontend: FRONTEND.into(),
                attestor: "itself".into(),
                proof: "none".into(),
                ..Asker::default()
            },
            identity: &self.own.identity,
            profile: Profile::X509Svid,
            csr: csr.clone(),
            svid: &svid,
            issuer: snapshot.issuer_digest(),
            lineage_start: now,
            bundle: Some(snapshot.bundle_id.to_string()),
        };
        if let Err(why) = self.book.issued(leaf).await {
            self.places
                .kept_back(&HolderId::of_leaf(&svid.serial), &svid.serial);
            return Err(why.into());
        }
        let roots = svid.bundle.into_iter().take(ROOTS_SENT);
        Ok(Pair {
            chain: svid
                .chain
                .into_iter()
                .chain(roots)
                .map(CertificateDer::from)
                .collect(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            facts: Facts {
                serial: svid.serial,
                issuer: snapshot.issuer,
                ends: system(svid.validity.not_after),
            },
        })
    }

    /// It trusts what is published by the same process: it has the bundle that comes with it.
    fn held(&self, svid: &credence_host::authority::IssuedSvid, now: &Snapshot) -> HeldLeaf {
        HeldLeaf {
            serial: svid.serial.clone(),
            holder: HolderId::of_leaf(&svid.serial),
            identity: self.own.identity.clone(),
            learns: Learns::InAnswers(now.bundle_id),
            issuer: now.issuer,
            not_after: svid.validity.not_after,
        }
    }

    fn request(&self) -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut names = vec![SanType::URI(self.own.identity.to_string().try_into()?)];
        for name in &self.own.dns_names {
            names.push(SanType::DnsName(name.to_string().try_into()?));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        let csr = params.serialize_request(&key)?.der().to_vec();
        Ok((key, csr))
    }
}
