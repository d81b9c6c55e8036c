//! The CA on a Unix socket: Istio's protocol, the bundle, health.

use crate::{
    applicant::Applicant,
    clock::Shared,
    plan::{Limits, LocalPlan},
};
use credence_daemon::{
    desk::Desk,
    frontend::{BundleStreams, Istio},
    grpc::{Connections, LocalError, LocalListener, Router},
    metrics::Metrics,
    ports::Bundles,
};
use std::sync::Arc;

/// A socket to be.
pub(crate) struct Local {
    plan: LocalPlan,
    router: Router,
}

/// What is served there as on the network, by the same desk.
pub(crate) struct Common<'a> {
    pub(crate) desk: &'a Arc<Desk<Applicant>>,
    pub(crate) bundles: Arc<dyn Bundles>,
    pub(crate) clock: &'a Shared,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) limits: &'a Limits,
}

impl Local {
    /// The services of the socket, health apart.
    pub(crate) fn new(plan: LocalPlan, with: Common<'_>) -> Self {
        let streams = BundleStreams::server(
            Arc::clone(with.desk),
            plan.domains.clone(),
            with.bundles,
            Arc::new(with.clock.clone()),
            Arc::clone(with.metrics),
            with.limits.streams,
        );
        let istio = Istio::server(
            Arc::clone(with.desk),
            plan.domains.clone(),
            plan.life,
            with.limits.connections.message_bytes,
        );
        let router = Router::new()
            .unary(istio)
            .streaming(streams, BundleStreams::<Applicant>::STREAMS);
        Self { plan, router }
    }

    /// With a further service.
    pub(crate) fn with(self, add: impl FnOnce(Router) -> Router) -> Self {
        Self {
            router: add(self.router),
            ..self
        }
    }

    /// Makes the socket. What comes in there counts with the `others`.
    pub(crate) fn bind(self, others: &Connections) -> Result<LocalListener, LocalError> {
        let Self { plan, router } = self;
        LocalListener::bind(&plan.socket, plan.access, others.beside(router))
    }
}
