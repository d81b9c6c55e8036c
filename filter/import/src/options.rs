//! What an import has to know besides the files.

use std::collections::BTreeMap;

use credence_policy::TrustDomain;

use crate::problem::Problem;

/// What Istio writes where it means the mesh's own trust domain.
pub(crate) const OWN_IN_ISTIO: &str = "cluster.local";

/// For which workload, in which trust domains, the files are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The mesh's own trust domain; in Istio's policies `cluster.local` means it too.
    pub trust_domain: String,
    /// Other names of the own trust domain.
    pub aliases: Vec<String>,
    /// Trust domains of others whose workloads are let in.
    pub federated: Vec<String>,
    /// The workload's namespace; if left out, the one that the files speak of.
    pub namespace: Option<String>,
    /// The namespace whose policies hold for every namespace.
    pub root_namespace: String,
    /// The workload's labels; if left out, the one selector that the files have is taken to
    /// select it.
    pub labels: Option<BTreeMap<String, String>>,
    /// What the policy is attached to, as `Kind/name`, for gateways and waypoints.
    pub target: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trust_domain: OWN_IN_ISTIO.to_owned(),
            aliases: Vec::new(),
            federated: Vec::new(),
            namespace: None,
            root_namespace: "istio-system".to_owned(),
            labels: None,
            target: None,
        }
    }
}

/// Trust domains, checked.
#[derive(Debug)]
pub(crate) struct Domains {
    pub(crate) own: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) federated: Vec<String>,
}

impl Domains {
    pub(crate) fn new(options: &Options) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut seen = Vec::new();
        let names = [&options.trust_domain].into_iter();
        for name in names.chain(&options.aliases).chain(&options.federated) {
            if let Err(why) = check(name) {
                problems.push(Problem::of_options(format!(
                    "{name:?} is not a trust domain: {why}"
                )));
            } else if seen.contains(&name) {
                problems.push(Problem::of_options(format!(
                    "trust domain {name:?} is named twice"
                )));
            }
            seen.push(name);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            own: options.trust_domain.clone(),
            aliases: options.aliases.clone(),
            federated: options.federated.clone(),
        })
    }

    /// The trust domain that `name` stands for, if its workloads are let in.
    pub(crate) fn resolve(&self, name: &str) -> Option<&str> {
        let federated = self.federated.iter().find(|domain| *domain == name);
        if let Some(domain) = federated {
            return Some(domain);
        }
        let own = name == self.own || name == OWN_IN_ISTIO;
        (own || self.aliases.iter().any(|alias| alias == name)).then_some(self.own.as_str())
    }

    /// The trust domains with a name that starts like this, each once.
    pub(crate) fn starting(&self, start: &str) -> Vec<&str> {
        let own = [OWN_IN_ISTIO, &self.own].into_iter();
        let names = own.chain(
            self.aliases
                .iter()
                .chain(&self.federated)
                .map(String::as_str),
        );
        let mut found: Vec<&str> = names
            .filter(|name| name.starts_with(start))
            .filter_map(|name| self.resolve(name))
            .collect();
        found.dedup();
        found
    }
}

fn check(name: &str) -> Result<(), String> {
    let domain = TrustDomain::new(name).map_err(|error| error.to_string())?;
    if domain.as_str() == name {
        return Ok(());
    }
    Err("it must be the bare name in small letters".to_owned())
}
