//! Changes that tests make to the bootstraps that ship.

use serde_json::json;

use crate::template::Edit;

/// The route in `server.yaml` leads to an application on loopback.
#[must_use]
pub fn application(port: u16) -> [Edit; 2] {
    let answer =
        "direct_response: { status: 200, body: { inline_string: \"hello from the server\\n\" } }";
    [
        Edit::replace(answer, "route: { cluster: application }"),
        cluster("application", port),
    ]
}

fn cluster(name: &str, port: u16) -> Edit {
    let cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": "127.0.0.1", "port_value": port},
            }}}]}],
        },
    });
    Edit::replace(
        "\n  clusters:\n",
        &format!("\n  clusters:\n    - {cluster}\n"),
    )
}

/// TLS sessions can be resumed, as they can in an Envoy that is not told otherwise.
#[must_use]
pub fn resumption() -> [Edit; 2] {
    ["stateless", "stateful"].map(|kind| {
        let setting = format!("disable_{kind}_session_resumption");
        Edit::replace(&format!("{setting}: true"), &format!("{setting}: false"))
    })
}

/// A client may come without a certificate: an Envoy that is to match names insists on one.
#[must_use]
pub fn certificate_optional() -> [Edit; 2] {
    let setting = "require_client_certificate";
    [
        Edit::replace(&format!("{setting}: true"), &format!("{setting}: false")),
        any_name(),
    ]
}

/// The handshake asks for a certificate of our root, whatever names are in it.
#[must_use]
pub fn any_name() -> Edit {
    Edit::between(
        "match_typed_subject_alt_names:",
        "# The roots of the trust domain",
        "match_typed_subject_alt_names: []\n                  ",
    )
}

/// A second listener, `plain`, without TLS, to the same filters.
#[must_use]
pub fn plain_listener() -> Edit {
    let listener = "
    - name: plain
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains: [{ filters: *inbound }]
";
    Edit::replace("\n  clusters:\n", &format!("{listener}\n  clusters:\n"))
}

/// A second chain of the listener for what is no TLS, to the same filters, as README.md has it.
#[must_use]
pub fn plain_chain() -> [Edit; 2] {
    let inspector = "      listener_filters:
        - name: envoy.filters.listener.tls_inspector
          typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector }
";
    let chains = "      filter_chains:\n        - ";
    let matched = "filter_chain_match: { transport_protocol: tls }\n          ";
    let plain = "
        - filter_chain_match: { transport_protocol: raw_buffer }
          filters: *inbound
";
    [
        Edit::replace(chains, &[inspector, chains, matched].concat()),
        Edit::replace("\n  clusters:\n", &format!("{plain}\n  clusters:\n")),
    ]
}

/// The L4 companion is not in the chain.
#[must_use]
pub fn without_companion() -> [Edit; 3] {
    [
        Edit::between(
            "            # The filter's companion: ",
            "            - name: envoy.filters.network.http_connection_manager",
            "",
        ),
        // What the rest of the file takes over from there.
        Edit::replace(
            "*reload",
            "{ backoff: { base_interval: 0.1s, max_interval: 0.5s } }",
        ),
        Edit::replace(
            "*vm",
            "{ vm_id: credence, runtime: envoy.wasm.runtime.v8, capability_restriction_config: \
             { allowed_capabilities: ${CAPABILITIES} }, code: { local: { filename: \"${FILTER_WASM}\" } } }",
        ),
    ]
}

/// The companion has this configuration, JSON.
#[must_use]
pub fn companion(config: &str) -> Edit {
    Edit::replace(r#"{"role": "tcp", "companion": true}"#, config)
}

/// The Lua companion is not in the chain.
#[must_use]
pub fn without_lua() -> Edit {
    Edit::between(
        "                  # Ends a connection gracefully",
        "                  # The filter and its policy, from a file",
        "",
    )
}

/// The singleton looks at Envoy's own certificates once a second.
#[must_use]
pub fn watched_each_second() -> Edit {
    Edit::replace(
        r#"{"cluster": "admin"}"#,
        r#"{"cluster": "admin", "intervalSeconds": 1}"#,
    )
}
