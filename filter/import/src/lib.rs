//! Pure: Istio's `AuthorizationPolicy` and `PeerAuthentication` read as Credence policies.
//!
//! [`import`] takes YAML files and gives a policy document, with a [`Warning`] for each thing that has
//! no counterpart. Meaning comes before form, and what comes out never lets in more than what went in:
//! an `ALLOW` rule with a condition that cannot be said is left out, a `DENY` rule is kept without that
//! condition. What comes out loads: it has been through [`credence_policy::Policy::from_json`].
//!
//! ```
//! use credence_policy_import::{Options, Source, import};
//!
//! let text = "
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: {name: reads, namespace: shop}
//! spec:
//!   rules:
//!   - from:
//!     - source: {principals: [cluster.local/ns/web/sa/frontend]}
//!     to:
//!     - operation: {methods: [GET]}
//! ";
//! let options = Options { trust_domain: "example.org".into(), ..Options::default() };
//! let imported = import(&[Source { name: "reads.yaml", text }], &options).unwrap();
//! assert!(imported.json.contains("spiffe://example.org/ns/web/sa/frontend"));
//! assert!(imported.warnings.is_empty());
//! ```

mod authorization;
mod document;
mod gather;
mod options;
mod peer_authentication;
mod problem;
mod resource;
mod scope;
mod values;
pub mod yaml;

use std::collections::HashSet;

use credence_policy::Policy;

use crate::{
    authorization::Rules,
    document::{Action, Mtls, PolicyDocument},
    options::Domains,
    peer_authentication::Modes,
    resource::{Kind, Resource, Resources},
    scope::Scope,
    values::Vocabulary,
};

pub use options::Options;
pub use problem::{Place, Problem, Warning};
pub use resource::Source;

/// A policy, and what could not be said in it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The policy document, which [`credence_policy::Policy::from_json`] takes.
    pub json: String,
    /// What has no counterpart, in the order of the files; each once.
    pub warnings: Vec<Warning>,
}

/// Reads files as the policy of one workload.
///
/// # Errors
/// Everything because of which it cannot be told what the files mean.
pub fn import(sources: &[Source<'_>], options: &Options) -> Result<Imported, Vec<Problem>> {
    let domains = Domains::new(options)?;
    let resources = Resources::read(sources);
    let mut problems = resources.problems;
    let mut warnings = resources.warnings;
    problems.extend(same_name_twice(&resources.list));
    let scope = Scope::new(resources.list, options);
    problems.extend(scope.problems);
    warnings.extend(scope.warnings);

    let vocabulary = Vocabulary::new(domains);
    let mut rules = Rules::new(&vocabulary, &scope.namespace);
    let mut modes = Modes::default();
    for (position, (level, resource)) in scope.taken.iter().enumerate() {
        match resource.kind {
            Kind::Authorization => rules.policy(position, resource),
            Kind::PeerAuthentication => modes.resource(*level, resource),
        }
    }
    let document = document(&vocabulary, &rules, &modes);
    problems.extend(rules.problems.into_iter().chain(modes.problems));
    if !problems.is_empty() {
        return Err(problems);
    }
    warnings.extend(rules.warnings.into_iter().chain(modes.warnings));
    finish(&document, warnings)
}

fn document(vocabulary: &Vocabulary, rules: &Rules<'_>, modes: &Modes) -> PolicyDocument {
    let domains = vocabulary.domains();
    let own = std::iter::once(&domains.own);
    PolicyDocument {
        trust_domains: own.chain(&domains.federated).cloned().collect(),
        trust_domain_aliases: domains.aliases.clone(),
        mtls: Mtls { mode: modes.mode() },
        port_level_mtls: modes.port_modes(),
        default_action: if rules.allows {
            Action::Deny
        } else {
            Action::Allow
        },
        rules: rules.rules.clone(),
    }
}

fn finish(document: &PolicyDocument, warnings: Vec<Warning>) -> Result<Imported, Vec<Problem>> {
    let json = serde_json::to_string_pretty(document).map_err(|error| {
        vec![Problem::of_options(format!(
            "the policy could not be written: {error}"
        ))]
    })?;
    if let Err(faults) = Policy::from_json(json.as_bytes()) {
        let faults = faults.iter();
        let problem =
            |fault| Problem::of_options(format!("what would come out is no policy: {fault}"));
        return Err(faults.map(problem).collect());
    }
    let mut seen = HashSet::new();
    let fresh = |warning: &Warning| seen.insert(warning.to_string());
    Ok(Imported {
        json,
        warnings: warnings.into_iter().filter(fresh).collect(),
    })
}

/// In a cluster the second would have replaced the first; in files it cannot be told which is meant.
fn same_name_twice(resources: &[Resource]) -> Vec<Problem> {
    let mut seen = HashSet::new();
    let twice = resources
        .iter()
        .filter(|resource| resource.kind == Kind::Authorization)
        .filter(|resource| !seen.insert((&resource.namespace, &resource.name)));
    twice
        .map(|resource| Problem::new(&resource.place, "there is another one of this name"))
        .collect()
}
