//! Everything that a CA is started with: values only, decided by the binary.

use crate::{
    attesting::Panels,
    chain::ChainPlan,
    clock::Shared,
    current::Current,
    lineages::Lineages,
    revocations,
    serving::{Own, OwnError},
    tokens,
};
use credence_ca::{dns::DnsTemplates, domains::Domains, lifecycle::Settings};
use credence_daemon::{
    desk::Life,
    frontend::{DaprTerms, StreamLimits},
    grpc::Access,
    http::HttpLimits,
    limits::{ConnectionLimits, IssuanceLimits},
    metrics::Metrics,
    ports::Tokens,
};
use credence_host::{custody::Custodian, signer::Signer};
use credence_ledger::sqlite::Options;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use spiffe::{SpiffeId, TrustDomain};
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// A CA to be.
pub struct Plan {
    /// The trust domain's own ID, without a path.
    pub trust_domain: SpiffeId,
    /// Trust domains whose workloads get certificates too (Dapr).
    pub further_domains: Domains,
    /// The state folder.
    pub state: PathBuf,
    /// Root and issuer from somebody else's files; none: they are made here, or were imported.
    pub chain: Option<ChainPlan>,
    /// Lives and hints.
    pub settings: Settings,
    /// The signing module.
    pub signer: Arc<Signer>,
    /// Makes and holds the CA's keys.
    pub custodian: Custodian,
    /// How much earlier leaves begin, at most a quarter of their life.
    pub backdate: Duration,
    /// DNS names beside identities.
    pub dns_templates: DnsTemplates,
    /// How the ledger is kept.
    pub ledger: Options,
    /// The ledger was lost, and another is to be begun.
    pub new_ledger: bool,
    /// Where gRPC is served: at the first of these that can be had.
    pub grpc: Vec<SocketAddr>,
    /// Where health and metrics are served: a loopback address. None, if others serve them ([`crate::server::Server::insight`]).
    pub monitor: Option<SocketAddr>,
    /// The SPIFFE bundle endpoint.
    pub bundle_endpoint: Option<BundleEndpoint>,
    /// The daemon's own certificate.
    pub own: Own,
    /// Istio's protocol.
    pub istio: Option<IstioTerms>,
    /// Dapr's protocol.
    pub dapr: Option<DaprTerms>,
    /// JWTs beside Dapr's certificates.
    pub tokens: Option<Arc<dyn Tokens>>,
    /// Istio's protocol and the bundle on a Unix socket.
    pub local: Option<LocalPlan>,
    /// Whose workloads may read the bundle's stream.
    pub readers: BTreeSet<TrustDomain>,
    /// Who is asking.
    pub panels: Box<dyn FnOnce(&Sources) -> Panels + Send>,
    /// Bounds.
    pub limits: Limits,
    /// What the frontends count.
    pub metrics: Arc<Metrics>,
    /// Told each time that the daemon's own certificate could not be renewed.
    pub own_failed: OwnFailed,
    /// The time.
    pub clock: Shared,
}

/// Hears why the daemon's own certificate could not be renewed.
pub type OwnFailed = Arc<dyn Fn(&OwnError) + Send + Sync>;

/// What Istio's frontend gives, and to whom.
#[derive(Debug, Clone)]
pub struct IstioTerms {
    /// The trust domains that it serves.
    pub domains: BTreeSet<TrustDomain>,
    /// How long certificates live.
    pub life: Life,
}

/// What is served on a Unix socket, and to whom.
#[derive(Debug, Clone)]
pub struct LocalPlan {
    /// Where the socket is made.
    pub socket: PathBuf,
    /// Who may connect.
    pub access: Access,
    /// The trust domains that it serves.
    pub domains: BTreeSet<TrustDomain>,
    /// How long certificates live.
    pub life: Life,
}

/// The SPIFFE bundle endpoint.
#[derive(Debug)]
pub struct BundleEndpoint {
    /// Where.
    pub address: SocketAddr,
    /// At which path.
    pub path: String,
    /// A certificate of the web's PKI (`https_web`); none: the CA's own (`https_spiffe`).
    pub web: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// What is taken before the daemon says no.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Connections.
    pub connections: ConnectionLimits,
    /// Certificates.
    pub issuance: IssuanceLimits,
    /// Bundle streams.
    pub streams: StreamLimits,
    /// Pages.
    pub http: HttpLimits,
}

/// What attestors ask of the CA.
pub struct Sources {
    /// Whose leaves are renewed.
    pub issuers: Arc<Current>,
    /// What is revoked.
    pub revocations: Arc<revocations::Lookup>,
    /// When a chain of renewals began.
    pub lineages: Arc<Lineages>,
    /// Join tokens.
    pub tokens: Arc<tokens::Lookup>,
}
