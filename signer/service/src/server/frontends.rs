//! The services behind gRPC's listener.

use super::open::Core;
use crate::{
    applicant::Applicant,
    attesting::{Attestors, Panels},
    clock::Shared,
    door::Door,
    lineages::Lineages,
    local::{Common, Local},
    plan::{IstioTerms, Limits, LocalPlan, Sources},
    revocations, tokens,
};
use credence_daemon::{
    desk::Desk,
    frontend::{BundleStreams, Dapr, DaprTerms, Istio},
    grpc::Router,
    health,
    metrics::Metrics,
    ports::{self, Bundles, Health},
};
use spiffe::TrustDomain;
use std::{collections::BTreeSet, future::Future, sync::Arc};

/// What the frontends are made of, besides the core.
pub(super) struct Frontends<'a> {
    pub(super) istio: Option<IstioTerms>,
    pub(super) dapr: Option<DaprTerms>,
    pub(super) local: Option<LocalPlan>,
    pub(super) tokens: Option<Arc<dyn ports::Tokens>>,
    pub(super) panels: Box<dyn FnOnce(&Sources) -> Panels + Send>,
    pub(super) readers: BTreeSet<TrustDomain>,
    pub(super) limits: Limits,
    pub(super) clock: Shared,
    /// Of the signing module at once.
    pub(super) instances: usize,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) doctor: &'a Arc<dyn Health>,
}

impl Frontends<'_> {
    pub(super) async fn router(
        self,
        core: &Core,
    ) -> (
        Router,
        Option<Local>,
        impl Future<Output = ()> + Send + use<>,
    ) {
        let attestors = Attestors::new((self.panels)(&sources(core)), self.clock.clone());
        let desk: Desk<Applicant> = Desk::new(
            Arc::new(attestors),
            Arc::new(door(core, self.clock.clone(), self.instances)),
            self.limits.issuance,
            Arc::clone(self.metrics),
        );
        let desk = Arc::new(desk);
        let bytes = self.limits.connections.message_bytes;
        let (mut router, mut services) = (Router::new(), Vec::new());
        if self.istio.is_some() || self.local.is_some() {
            services.push("istio.v1.auth.IstioCertificateService");
        }
        if let Some(terms) = self.istio {
            let desk = Arc::clone(&desk);
            router = router.unary(Istio::server(desk, terms.domains, terms.life, bytes));
        }
        if let Some(terms) = self.dapr {
            router = router.unary(Dapr::server_with(Arc::clone(&desk), terms, self.tokens));
            services.push("dapr.proto.sentry.v1.CA");
        }
        let common = Common {
            desk: &desk,
            bundles: Arc::clone(&core.publication) as Arc<dyn Bundles>,
            clock: &self.clock,
            metrics: self.metrics,
            limits: &self.limits,
        };
        let local = self.local.map(|plan| Local::new(plan, common));
        let streams = BundleStreams::server(
            desk,
            self.readers,
            Arc::clone(&core.publication) as Arc<dyn Bundles>,
            Arc::new(self.clock),
            Arc::clone(self.metrics),
            self.limits.streams,
        );
        services.push("envoy.service.secret.v3.SecretDiscoveryService");
        let router = router.streaming(streams, BundleStreams::<Applicant>::STREAMS);
        let (service, following) = health::grpc(self.doctor, services).await;
        let local = local
            .map(|local| local.with(|router| router.streaming(service.clone(), health::STREAMS)));
        let router = router.streaming(service, health::STREAMS);
        (router, local, following)
    }
}

fn sources(core: &Core) -> Sources {
    Sources {
        issuers: Arc::clone(&core.current),
        revocations: Arc::new(revocations::Lookup(Arc::clone(&core.revocations))),
        lineages: Arc::new(Lineages::new(Arc::clone(&core.book))),
        tokens: Arc::new(tokens::Lookup(Arc::clone(&core.tokens))),
    }
}

fn door(core: &Core, clock: Shared, instances: usize) -> Door {
    Door::new(
        Arc::clone(&core.current),
        Arc::clone(&core.book),
        Arc::clone(&core.places),
        Arc::clone(&core.revocations),
        clock,
        instances,
    )
}
