//! The bootstrap of an Envoy under measurement: mutual TLS, a chain of filters, and Envoy's own answer.

use std::path::Path;

use serde_json::{Map, Value, json};

/// The prefix of the server's HTTP statistics.
pub const STAT_PREFIX: &str = "bench";
/// Answers with the header [`SEEN_PEER`]; the load never asks for it.
pub const WHOAMI: &str = "/whoami";
/// What an application behind the filter saw as `x-credence-peer`.
pub const SEEN_PEER: &str = "x-seen-peer";

/// The filters that a case puts in front of the answer.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// In front of the HTTP connection manager.
    pub network: Vec<Value>,
    /// In front of the router.
    pub http: Vec<Value>,
}

/// The role in which a Wasm module is put into Envoy.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// `envoy.filters.http.wasm`
    Http,
    /// `envoy.filters.network.wasm`
    Network,
}

/// A module and the roles that share its VM, as `filter/plugin/capabilities.txt` names them.
#[derive(Debug, Clone, Copy)]
pub struct Vm<'a> {
    /// The `.wasm` file.
    pub module: &'a Path,
    /// `inbound`, `tcp` …: what they need is granted, and no more. A callback granted beyond that would
    /// be made, and cost.
    pub roles: &'a [&'a str],
}

/// The capabilities that roles need, from lines of `name role role …`; one without roles is for all.
fn granted(list: &str, roles: &[&str]) -> Map<String, Value> {
    let needed = list.lines().filter_map(|line| {
        let (name, of) = line.split_once(' ').unwrap_or((line, ""));
        let is_needed = of.is_empty() || of.split_whitespace().any(|role| roles.contains(&role));
        is_needed.then(|| (name.to_owned(), json!({})))
    });
    needed.collect()
}

/// A Wasm filter as the shipped bootstraps configure it: same runtime, same failure policy, same
/// capabilities.
#[must_use]
pub fn wasm(role: Role, vm: Vm<'_>, configuration: Option<&str>) -> Value {
    let role = match role {
        Role::Http => "http",
        Role::Network => "network",
    };
    let list = include_str!("../../../filter/plugin/capabilities.txt");
    let granted = granted(list, vm.roles);
    let mut config = json!({
        "name": "bench",
        "failure_policy": "FAIL_RELOAD",
        "reload_config": {"backoff": {"base_interval": "0.1s", "max_interval": "0.5s"}},
        "vm_config": {
            "vm_id": "bench",
            "runtime": "envoy.wasm.runtime.v8",
            "capability_restriction_config": {"allowed_capabilities": granted},
            "code": {"local": {"filename": vm.module}},
        },
    });
    if let (Some(text), Some(config)) = (configuration, config.as_object_mut()) {
        let value =
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
        config.insert("configuration".to_owned(), value);
    }
    let kind = format!("type.googleapis.com/envoy.extensions.filters.{role}.wasm.v3.Wasm");
    json!({"name": "wasm", "typed_config": {"@type": kind, "config": config}})
}

/// Envoy's own RBAC filter; `config` holds `rules` or a `matcher`.
#[must_use]
pub fn rbac(mut config: Value) -> Value {
    if let Some(config) = config.as_object_mut() {
        let kind = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
        config.insert("@type".to_owned(), json!(kind));
    }
    json!({"name": "rbac", "typed_config": config})
}

/// The bootstrap of a server with its files in `folder`.
#[must_use]
pub fn server(folder: &Path, admin: &Path, chain: &Chain) -> Value {
    let mut filters = chain.network.clone();
    filters.push(connection_manager(chain));
    json!({
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": {"pipe": {"path": admin}}},
        "static_resources": {"listeners": [{
            "name": "bench",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"transport_socket": tls(folder), "filters": filters}],
        }]},
    })
}

fn tls(folder: &Path) -> Value {
    json!({
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "disable_stateless_session_resumption": true,
            "disable_stateful_session_resumption": true,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{
                    "certificate_chain": {"filename": folder.join("server.pem")},
                    "private_key": {"filename": folder.join("server.key")},
                }],
                "validation_context": {"trusted_ca": {"filename": folder.join("root.pem")}},
            },
        },
    })
}

/// Paths are normalised as in the shipped bootstraps. There is no access log: writing one costs the
/// same in every case, and more than most of the filters.
fn connection_manager(chain: &Chain) -> Value {
    let mut filters = chain.http.clone();
    filters.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let answer = json!({"status": 200, "body": {"inline_string": "ok\n"}});
    json!({
        "name": "http",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": STAT_PREFIX,
            "normalize_path": true,
            "merge_slashes": true,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "http_filters": filters,
            "route_config": {"virtual_hosts": [{
                "name": "answer",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"path": WHOAMI},
                        "direct_response": answer,
                        "response_headers_to_add": [
                            {"header": {"key": SEEN_PEER, "value": "%REQ(X-CREDENCE-PEER)%"}},
                        ],
                    },
                    {"match": {"prefix": "/"}, "direct_response": answer},
                ],
            }]},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm() -> Vm<'static> {
        Vm {
            module: Path::new("x.wasm"),
            roles: &["inbound"],
        }
    }

    #[test]
    fn a_role_gets_what_it_needs_and_no_more() {
        let list = "proxy_log inbound tcp\nproxy_close_stream tcp\nrandom_get\n";
        let names = |roles| granted(list, roles).into_iter().map(|(name, _)| name);
        assert!(names(&["inbound"]).eq(["proxy_log", "random_get"]));
        assert_eq!(names(&["inbound", "tcp"]).count(), 3);
    }

    #[test]
    fn the_chain_stands_in_front_of_the_answer() {
        let chain = Chain {
            network: vec![wasm(Role::Network, vm(), None)],
            http: vec![rbac(json!({"rules": {}}))],
        };
        let bootstrap = server(Path::new("/f"), Path::new("/f/admin.sock"), &chain);
        let filters = bootstrap.pointer("/static_resources/listeners/0/filter_chains/0/filters");
        let names = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|filter| filter["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(filters.unwrap()), ["wasm", "http"]);
        let http = filters.unwrap().pointer("/1/typed_config/http_filters");
        assert_eq!(names(http.unwrap()), ["rbac", "router"]);
    }

    #[test]
    fn a_wasm_filter_is_restricted() {
        let filter = wasm(Role::Http, vm(), Some("{}"));
        let granted = filter.pointer(
            "/typed_config/config/vm_config/capability_restriction_config/allowed_capabilities",
        );
        assert!(granted.unwrap()["proxy_on_request_headers"].is_object());
        let value = filter.pointer("/typed_config/config/configuration/value");
        assert_eq!(value, Some(&json!("{}")));
    }
}
