//! Node agents that ask for certificates in a workload's place, and for whom each may (Istio's ztunnel).

use crate::{
    error::{Refusal, cut},
    identity::{self, pattern::PathPattern},
    outcome::Attested,
};
use spiffe::SpiffeId;

/// A node agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAgent {
    /// Who it is itself.
    pub identity: SpiffeId,
    /// For whom it may ask, in its own trust domain.
    pub may_ask_for: Vec<PathPattern>,
}

/// The node agents; by default there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAgents(Vec<NodeAgent>);

impl NodeAgents {
    /// These.
    #[must_use]
    pub fn new(agents: Vec<NodeAgent>) -> Self {
        Self(agents)
    }

    /// Puts `wanted` in the place of the node agent that asks for it.
    ///
    /// # Errors
    /// If the caller is not a node agent that may ask for it, or wants to renew: a renewal is for the same identity.
    /// No node agent may ask for another.
    pub(crate) fn settle(&self, attested: Attested, wanted: &str) -> Result<Attested, Refusal> {
        let refused = || Refusal::Impersonation {
            agent: attested.identity.to_string(),
            wanted: cut(wanted),
        };
        let wanted = identity::workload(wanted).map_err(|_| refused())?;
        let known = |id: &SpiffeId| self.0.iter().any(|agent| agent.identity == *id);
        let may = self.0.iter().any(|agent| {
            agent.identity == attested.identity
                && agent
                    .may_ask_for
                    .iter()
                    .any(|pattern| pattern.matches(&wanted))
        });
        let same_domain = wanted.trust_domain() == attested.identity.trust_domain();
        if !may || !same_domain || known(&wanted) || attested.renewal.is_some() {
            return Err(refused());
        }
        Ok(Attested {
            on_behalf: Some(attested.identity),
            identity: wanted,
            ..attested
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Lineage, ProofKind, ProofRecord};
    use credence_ca::validity::Time;

    fn id(path: &str) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org{path}")).unwrap()
    }

    fn attested(path: &str) -> Attested {
        Attested {
            identity: id(path),
            on_behalf: None,
            proof: ProofRecord {
                attestor: "a".into(),
                kind: ProofKind::Jwt,
                issuer: None,
                subject: None,
                audiences: Vec::new(),
                fingerprint: None,
                expires: None,
            },
            renewal: None,
        }
    }

    fn agents() -> NodeAgents {
        let agent = |path: &str, patterns: &[&str]| NodeAgent {
            identity: id(path),
            may_ask_for: patterns
                .iter()
                .map(|p| PathPattern::parse(p).unwrap())
                .collect(),
        };
        NodeAgents::new(vec![
            agent("/ns/istio-system/sa/ztunnel", &["/ns/*/sa/*"]),
            agent("/ns/other/sa/agent", &["/ns/prod/sa/web"]),
        ])
    }

    #[test]
    fn a_node_agent_asks_for_whom_it_may() {
        let ztunnel = attested("/ns/istio-system/sa/ztunnel");
        let settled = agents()
            .settle(ztunnel, "spiffe://example.org/ns/prod/sa/web")
            .unwrap();
        assert_eq!(settled.identity, id("/ns/prod/sa/web"));
        assert_eq!(settled.on_behalf, Some(id("/ns/istio-system/sa/ztunnel")));
    }

    #[test]
    fn nobody_else_asks_for_anybody() {
        let web = "spiffe://example.org/ns/prod/sa/web";
        for (agent, wanted) in [
            ("/ns/prod/sa/web", web),
            ("/ns/prod/sa/api", web),
            ("/ns/other/sa/agent", "spiffe://example.org/ns/prod/sa/api"),
            (
                "/ns/istio-system/sa/ztunnel",
                "spiffe://other.test/ns/prod/sa/web",
            ),
            ("/ns/istio-system/sa/ztunnel", "spiffe://example.org/admin"),
            (
                "/ns/istio-system/sa/ztunnel",
                "spiffe://example.org/ns/other/sa/agent",
            ),
            (
                "/ns/istio-system/sa/ztunnel",
                "spiffe://example.org/ns/istio-system/sa/ztunnel",
            ),
            (
                "/ns/istio-system/sa/ztunnel",
                "spiffe://example.org/ns/*/sa/*",
            ),
            (
                "/ns/istio-system/sa/ztunnel",
                "spiffe://example.org/ns/../sa/web",
            ),
            ("/ns/istio-system/sa/ztunnel", "prod/web"),
            ("/ns/istio-system/sa/ztunnel", ""),
        ] {
            let refused = agents().settle(attested(agent), wanted).unwrap_err();
            assert!(
                matches!(refused, Refusal::Impersonation { .. }),
                "{agent} {wanted}"
            );
        }
        assert!(
            NodeAgents::default()
                .settle(attested("/ns/istio-system/sa/ztunnel"), web)
                .is_err()
        );
    }

    #[test]
    fn a_renewal_is_for_the_same_identity() {
        let mut ztunnel = attested("/ns/istio-system/sa/ztunnel");
        ztunnel.renewal = Some(Lineage {
            began: Time::EPOCH,
            ends: Time::from_unix(1),
        });
        assert!(
            agents()
                .settle(ztunnel, "spiffe://example.org/ns/prod/sa/web")
                .is_err()
        );
    }
}
