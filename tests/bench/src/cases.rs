//! What is measured against what.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    bootstrap::{Chain, Role, Vm, rbac, wasm},
    certificates::{CLIENT, TRUST_DOMAIN, spiffe_id},
};

/// How many rules `credence-paths-1000` has for the one peer that asks.
const PATH_RULES: usize = 1000;

/// A configuration of the server.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called, without the protocol.
    pub name: String,
    /// Its filters.
    pub chain: Chain,
    /// What the load asks for.
    pub path: String,
    /// What its clients present.
    pub presents: Presents,
    /// What must be shown before it may be measured.
    pub condition: Condition,
}

/// The names in a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presents {
    /// A SPIFFE ID and nothing else, as Credence issues it.
    SpiffeId,
    /// A DNS name too. That makes RBAC's rules eight times cheaper for each principal (measured; it seems that
    /// Envoy 1.40 reads the DNS names of a certificate without any anew for each principal).
    SpiffeIdAndDnsName,
}

/// What a case needs that this filter or this Envoy may not have. A case whose condition does not
/// hold is reported as not measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: if its Envoy does not start, the bench fails.
    None,
    /// Envoy has to take its configuration.
    EnvoyTakesIt,
    /// Envoy has to take it, and the application behind has to see the peer's identity in
    /// `x-credence-peer`.
    SetsPeerHeader,
}

impl Case {
    fn new(name: impl Into<String>, http: Vec<Value>) -> Self {
        Self {
            name: name.into(),
            chain: Chain {
                network: Vec::new(),
                http,
            },
            path: "/".to_owned(),
            presents: Presents::SpiffeId,
            condition: Condition::None,
        }
    }
}

/// The Wasm modules that the cases put into Envoy.
#[derive(Debug, Clone, Copy)]
pub struct Modules<'a> {
    /// `credence_filter.wasm`, as it ships.
    pub filter: &'a Path,
    /// The one that does nothing.
    pub noop: &'a Path,
}

/// A module in the role that judges requests.
#[must_use]
pub fn inbound(module: &Path) -> Vm<'_> {
    Vm {
        module,
        roles: &["inbound"],
    }
}

/// Every case, the baseline first.
#[must_use]
pub fn all(modules: Modules<'_>) -> Vec<Case> {
    let credence = |name: String, config: &Value| {
        let config = config.to_string();
        Case::new(
            name,
            vec![wasm(Role::Http, inbound(modules.filter), Some(&config))],
        )
    };
    let mut cases = vec![Case::new("none", Vec::new())];
    cases.extend(
        [1, 100, 200, 1000, 10_000]
            .map(|n| Case::new(format!("rbac-{n}"), vec![rbac(rbac_rules(n))])),
    );
    cases.extend([200, 1000].map(|n| Case {
        presents: Presents::SpiffeIdAndDnsName,
        ..Case::new(format!("rbac-dns-{n}"), vec![rbac(rbac_rules(n))])
    }));
    cases.push(Case {
        condition: Condition::EnvoyTakesIt,
        ..Case::new("rbac-matcher-1000", vec![rbac(rbac_matcher(1000))])
    });
    cases.push(Case::new(
        "wasm-noop",
        vec![wasm(Role::Http, inbound(modules.noop), None)],
    ));
    cases.extend(
        [1, 10, 100, 1000, 10_000].map(|n| credence(format!("credence-{n}"), &principals(n))),
    );
    cases.push(Case {
        path: format!("/service/{}/item", PATH_RULES - 1),
        ..credence("credence-paths-1000".to_owned(), &paths(PATH_RULES))
    });
    cases.push(Case {
        condition: Condition::SetsPeerHeader,
        ..credence(
            "credence-headers".to_owned(),
            &with_peer_header(principals(1)),
        )
    });
    cases.push(with_l4(modules.filter));
    cases
}

/// The HTTP role of `credence-1` with the network role of the same module in front of it, which watches
/// the connections and leaves the decisions to the HTTP role.
fn with_l4(filter: &Path) -> Case {
    let companion = json!({"role": "tcp", "companion": true}).to_string();
    let vm = Vm {
        module: filter,
        roles: &["inbound", "companion"],
    };
    let http = wasm(Role::Http, vm, Some(&principals(1).to_string()));
    let mut case = Case::new("credence-l4", vec![http]);
    case.chain.network = vec![wasm(Role::Network, vm, Some(&companion))];
    case.condition = Condition::EnvoyTakesIt;
    case
}

/// The filter's configuration with `x-credence-peer` switched on.
fn with_peer_header(config: Value) -> Value {
    with(config, "headers", json!({"peer": true}))
}

fn with(mut config: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = config.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    config
}

/// One rule with `n` exact principals; the peer that asks is the last.
#[must_use]
pub fn principals(n: usize) -> Value {
    policy(&[json!({"name": "peers", "principals": ids(n)})])
}

/// `n` rules for the peer that asks, each for a path of its own: none can be decided without the path.
#[must_use]
pub fn paths(n: usize) -> Value {
    let rule = |number| {
        json!({
            "name": format!("service-{number}"),
            "principals": [spiffe_id(CLIENT)],
            "paths": [format!("/service/{number}/*")],
        })
    };
    policy(&(0..n).map(rule).collect::<Vec<_>>())
}

/// `n` rules, each with a principal and two paths of its own.
#[must_use]
pub fn rules(n: usize) -> Value {
    let rule = |(number, id)| {
        json!({
            "name": format!("team-{number}/reads"),
            "principals": [id],
            "paths": [format!("/team-{number}"), format!("/team-{number}/*")],
        })
    };
    let rules: Vec<Value> = ids(n).into_iter().enumerate().map(rule).collect();
    policy(&rules)
}

/// Every workload of the trust domain may do everything.
#[must_use]
pub fn everyone() -> Value {
    policy(&[json!({"name": "everyone", "principals": [spiffe_id("*")]})])
}

fn policy(rules: &[Value]) -> Value {
    json!({"policy": {"trustDomains": [TRUST_DOMAIN], "rules": rules}})
}

fn ids(n: usize) -> Vec<String> {
    let others = (1..n).map(|number| spiffe_id(&format!("workload/{number:05}")));
    others.chain([spiffe_id(CLIENT)]).collect()
}

fn rbac_rules(n: usize) -> Value {
    let principal = |id| json!({"authenticated": {"principal_name": {"exact": id}}});
    let principals: Vec<Value> = ids(n).into_iter().map(principal).collect();
    json!({"rules": {"action": "ALLOW", "policies": {
        "peers": {"permissions": [{"any": true}], "principals": principals},
    }}})
}

fn rbac_matcher(n: usize) -> Value {
    let action = |name: &str, action: &str| {
        json!({"action": {"name": name, "typed_config": {
            "@type": "type.googleapis.com/envoy.config.rbac.v3.Action", "name": name, "action": action,
        }}})
    };
    let map: serde_json::Map<String, Value> = ids(n)
        .into_iter()
        .map(|id| (id, action("peers", "ALLOW")))
        .collect();
    json!({"matcher": {
        "matcher_tree": {
            "input": {"name": "uri-san", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput",
            }},
            "exact_match_map": {"map": map},
        },
        "on_no_match": action("nobody", "DENY"),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_that_asks_is_the_last_of_n() {
        assert_eq!(ids(1), [spiffe_id(CLIENT)]);
        let ids = ids(200);
        assert_eq!(
            (ids.len(), ids.last().cloned()),
            (200, Some(spiffe_id(CLIENT)))
        );
    }

    #[test]
    fn the_baseline_is_first_and_no_name_comes_twice() {
        let modules = Modules {
            filter: Path::new("f"),
            noop: Path::new("n"),
        };
        let cases = all(modules);
        assert_eq!(cases[0].name, "none");
        let names: std::collections::BTreeSet<&str> =
            cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
    }
}
