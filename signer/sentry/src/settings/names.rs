//! DNS names of Dapr's own services, which Kubernetes calls by them.

use super::{Settings, judge};
use spiffe::{SpiffeId, SpiffeIdError};

/// The scheduler's replicas.
const SCHEDULERS: std::ops::Range<usize> = 0..3;

impl Settings {
    /// Which DNS names a certificate has beside its identity: those of Dapr's injector, operator and scheduler, and nobody else's. The
    /// scheduler's end in the cluster's domain; without one, in the control plane's trust domain, as with sentry.
    ///
    /// # Errors
    /// If the parts do not make identities, which [`Settings::new`] would have refused.
    pub fn service_names(
        &self,
        cluster_domain: Option<&str>,
    ) -> Result<Vec<(SpiffeId, Vec<String>)>, SpiffeIdError> {
        let namespace = &self.namespace;
        let end = cluster_domain.unwrap_or_else(|| self.trust_domain.as_str());
        let schedulers = SCHEDULERS.map(|replica| {
            format!("dapr-scheduler-server-{replica}.dapr-scheduler-server.{namespace}.svc.{end}")
        });
        let service = |app: &str, names: Vec<String>| {
            Ok((judge::identity(&self.trust_domain, namespace, app)?, names))
        };
        Ok(vec![
            service(
                "dapr-injector",
                vec![format!("dapr-sidecar-injector.{namespace}.svc")],
            )?,
            service(
                "dapr-operator",
                vec![format!("dapr-webhook.{namespace}.svc")],
            )?,
            service("dapr-scheduler", schedulers.collect())?,
        ])
    }
}

/// The cluster's domain, by a pod's `/etc/resolv.conf`: what follows `svc.` in its list of domains to search.
#[must_use]
pub fn cluster_domain(resolv_conf: &str) -> Option<&str> {
    let mut words = resolv_conf
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("search"))?
        .split_whitespace();
    let domain = words.find_map(|word| word.strip_prefix("svc."))?;
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    Some(domain).filter(|domain| super::address::is_name(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DEFAULT_TRUST_DOMAIN;
    use crate::{Environment, Flags, Parsed, configuration::Configuration};

    fn settings() -> Settings {
        let environment: Environment = [("NAMESPACE".to_owned(), "dapr-system".to_owned())].into();
        let Ok(Parsed::Run(flags)) = Flags::parse(&[], &environment) else {
            panic!("flags");
        };
        Settings::new(*flags, Configuration::default(), Vec::new()).unwrap()
    }

    #[test]
    fn dapr_s_own_services_have_names_in_their_namespace() {
        let names = settings().service_names(Some("cluster.local")).unwrap();
        let shown: Vec<_> = names
            .iter()
            .map(|(id, names)| (id.to_string(), names.len(), names[0].as_str()))
            .collect();
        let id = |app: &str| format!("spiffe://{DEFAULT_TRUST_DOMAIN}/ns/dapr-system/{app}");
        let expected = [
            (
                id("dapr-injector"),
                1,
                "dapr-sidecar-injector.dapr-system.svc",
            ),
            (id("dapr-operator"), 1, "dapr-webhook.dapr-system.svc"),
            (
                id("dapr-scheduler"),
                3,
                "dapr-scheduler-server-0.dapr-scheduler-server.dapr-system.svc.cluster.local",
            ),
        ];
        assert_eq!(shown, expected);
        let alone = settings().service_names(None).unwrap();
        assert!(alone[2].1[2].ends_with("-2.dapr-scheduler-server.dapr-system.svc.localhost"));
    }

    #[test]
    fn a_pod_knows_its_cluster_s_domain() {
        for (text, expected) in [
            (
                "nameserver 1\nsearch a.svc.c.test svc.c.test c.test\noptions ndots:5\n",
                Some("c.test"),
            ),
            ("search x\nsearch svc.c.test.\n", Some("c.test")),
            ("search a.svc.c.test c.test", None),
            ("search svc.a/b", None),
            ("", None),
        ] {
            assert_eq!(cluster_domain(text), expected, "{text}");
        }
    }
}
