//! Our CA: Istio's API, and the trust bundle over SDS.

use std::sync::Arc;
use std::time::Duration;

use credence_agent::{CsrDer, Hear, Held, Issuance, Renewals, Upstream};
use spiffe::SpiffeId;
use tokio::sync::watch;

use crate::follow::Follower;
use crate::istio::{IstioCa, IstioTerms};
use crate::line::Line;

/// How the bundle is followed.
#[derive(Clone, Debug)]
pub struct Following {
    /// What the CA calls this agent in its log: the node's ID.
    pub node: String,
    /// How often the bundle is fetched where there is no stream of it: the CA's refresh hint, or sooner.
    pub poll: Duration,
}

/// A Credence CA behind a line.
pub struct CredenceCa {
    issuing: IstioCa,
    following: Following,
}

impl CredenceCa {
    /// Nothing is asked yet. Over a Unix socket there is nothing to show a certificate in: renewals go by the first proof.
    #[must_use]
    pub fn new(line: Arc<Line>, terms: IstioTerms, following: Following) -> Self {
        let renewals = match line.is_unix() {
            true => Renewals::FirstProof,
            false => terms.renewals,
        };
        let terms = IstioTerms { renewals, ..terms };
        Self {
            issuing: IstioCa::new(line, terms),
            following,
        }
    }
}

impl Upstream for CredenceCa {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        self.issuing.issue(id, csr)
    }

    fn renewals(&self) -> Renewals {
        self.issuing.renewals()
    }

    fn renew<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer, held: Held) -> Issuance<'a> {
        self.issuing.renew(id, csr, held)
    }

    fn follow<'a>(
        &'a self,
        id: &'a SpiffeId,
        held: watch::Receiver<Option<Held>>,
        hearer: Arc<dyn Hear>,
    ) -> credence_agent::Following<'a> {
        let follower = Follower::new(
            self.issuing.line(),
            &self.following,
            id.clone(),
            held,
            hearer,
        );
        Box::pin(follower.run())
    }

    fn trusted(&self, roots: &[Vec<u8>]) {
        self.issuing.trusted(roots);
    }
}
