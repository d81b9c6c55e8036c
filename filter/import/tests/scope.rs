//! Which resources hold for a workload, in which trust domains and modes, and what is no resource at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

mod support;

use credence_policy::{Mode, Reason};
use serde_json::json;
use support::{Ask, import, import_with, refused, refused_with};

const FRONTEND: &str = "spiffe://cluster.local/ns/web/sa/frontend";

fn orders(spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata:\n  name: orders\n  namespace: shop\nspec:\n{indented}"
    )
}

#[test]
fn only_what_istio_knows_is_taken_for_a_rule() {
    for (rule, why) in [
        ("form: []", "rules[0].form: this field is not known"),
        ("from: [{}]", "from[0]: this is no source with fields"),
        (
            "from: [{source: {}}]",
            "from[0]: this is no source with fields",
        ),
        (
            "from: [{source: {principal: [a]}}]",
            "principal is not known",
        ),
        (
            "from: [{source: {principals: '*'}}]",
            "this is not a list of values",
        ),
        (
            "to: [{operation: {methods: [[GET]]}}]",
            "this is not a list of values",
        ),
        ("to: x", "rules[0].to: this is not a list"),
        ("when: [{key: source.ip}]", "the condition has no values"),
        ("when: [{values: [x]}]", "the key \"\" has no counterpart"),
        (
            "when: [{key: source.ip, value: [10.0.0.1]}]",
            "this is not a condition",
        ),
        ("when: {}", "this is not a list"),
    ] {
        let imported = import(&orders(&format!("rules:\n- {{{rule}}}")));
        imported.warned(&[&format!("{why}: the rule is left out")]);
        assert_eq!(imported.json["rules"], json!([]), "{rule}");
        let imported = import(&orders(&format!("action: DENY\nrules:\n- {{{rule}}}")));
        imported.warned(&[
            &format!("{why}: the rule is kept without"),
            "denies everything",
        ]);
        assert!(!imported.allows(&Ask::get(FRONTEND, "/")), "{rule}");
    }
    import(&orders("rules: [x]")).warned(&["this is not a rule: the rule is left out"]);
    // One source that says nothing is everybody to a DENY rule, whatever stands beside it.
    let beside = "action: DENY\nrules:\n- from:\n  - source: {namespaces: [x]}\n  - {}";
    assert!(!import(&orders(beside)).allows(&Ask::get(FRONTEND, "/")));
    // Lists that are there and empty ask nothing, as if they were not there.
    let empty = "rules:\n- from: []\n  to:\n  - operation: {paths: [], methods: [GET], hosts: null}\n  when: []";
    assert_eq!(
        import(&orders(empty)).json["rules"],
        json!([{"name": "shop/orders/0", "action": "ALLOW", "methods": ["GET"]}])
    );
}

#[test]
fn trust_domains_are_named_by_the_options() {
    let text = orders(
        "rules:
- from:
  - source:
      principals:
      - cluster.local/ns/a/sa/own
      - old.example/ns/a/sa/old
      - partner.example/x
      - stranger.example/y",
    );
    let imported = import_with(&text, |options| {
        options.trust_domain = "new.example".into();
        options.aliases = vec!["old.example".into()];
        options.federated = vec!["partner.example".into()];
    });
    imported.warned(&["\"stranger.example/y\" is of no trust domain that is let in"]);
    assert_eq!(
        imported.json["trustDomains"],
        json!(["new.example", "partner.example"])
    );
    assert_eq!(imported.json["trustDomainAliases"], json!(["old.example"]));
    for (peer, allowed) in [
        ("spiffe://new.example/ns/a/sa/own", true),
        ("spiffe://old.example/ns/a/sa/own", true),
        ("spiffe://new.example/ns/a/sa/old", true),
        ("spiffe://partner.example/x", true),
        ("spiffe://partner.example/ns/a/sa/own", false),
        ("spiffe://stranger.example/y", false),
        ("spiffe://cluster.local/ns/a/sa/own", false),
    ] {
        assert_eq!(imported.allows(&Ask::get(peer, "/")), allowed, "{peer}");
    }
    let twice = refused_with(&text, |options| {
        options.aliases = vec!["cluster.local".into(), "A".into()];
    });
    assert!(twice.contains("named twice"), "{twice}");
    assert!(twice.contains("\"A\" is not a trust domain"), "{twice}");
}

fn peer_authentication(namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\n\
         metadata: {{name: default, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

#[test]
fn modes_come_from_the_nearest_resource_that_sets_one() {
    let app = "selector: {matchLabels: {app: orders}}";
    let strict_mesh = peer_authentication("istio-system", "{mtls: {mode: STRICT}}");
    let open_namespace = peer_authentication("shop", "{mtls: {mode: PERMISSIVE}}");
    let ports = "portLevelMtls: {8080: {mode: DISABLE}, 8081: {mode: UNSET}}";
    let unset = peer_authentication(
        "shop",
        &format!("{{{app}, mtls: {{mode: UNSET}}, {ports}}}"),
    );
    let workload = peer_authentication("shop", &format!("{{{app}, mtls: {{mode: STRICT}}}}"));
    let mode = |text: &str| import(text).policy().mode(None);
    assert_eq!(
        mode(""),
        Mode::Permissive,
        "Istio's mode if nobody says one"
    );
    assert_eq!(mode(&peer_authentication("shop", "{}")), Mode::Permissive);
    assert_eq!(
        mode(&peer_authentication(
            "istio-system",
            "{mtls: {mode: UNSET}}"
        )),
        Mode::Permissive
    );
    assert_eq!(mode(&strict_mesh), Mode::Strict);
    assert_eq!(
        mode(&format!("{strict_mesh}{open_namespace}")),
        Mode::Permissive
    );
    assert_eq!(mode(&format!("{workload}{open_namespace}")), Mode::Strict);
    let inherits = import(&format!("{unset}{strict_mesh}"));
    assert_eq!(inherits.policy().mode(Some(9000)), Mode::Strict);
    assert_eq!(inherits.policy().mode(Some(8080)), Mode::Disable);
    assert_eq!(inherits.policy().mode(Some(8081)), Mode::Strict);
    inherits.warned(&["taken to hold for the workload: it is for workloads labelled app=orders"]);

    let all = import(&format!("{strict_mesh}---\n{}", orders("rules: [{}]")));
    let plain = Ask {
        peer: None,
        ..Ask::get(FRONTEND, "/")
    };
    assert_eq!(all.reason(&plain), Reason::MtlsRequired);
}

#[test]
fn what_modes_cannot_mean_is_said() {
    let ports = "{portLevelMtls: {80: {mode: DISABLE}}, portLevelTls: {}}";
    let imported = import(&peer_authentication("shop", ports));
    imported.warned(&[
        "portLevelMtls: holds only with a selector",
        "portLevelTls: has no counterpart",
    ]);
    assert_eq!(imported.policy().mode(Some(80)), Mode::Permissive);
    let two = ["DISABLE", "STRICT"]
        .map(|mode| peer_authentication("shop", &format!("{{mtls: {{mode: {mode}}}}}")));
    let imported = import(&two.concat());
    imported.warned(&["STRICT is kept, the stricter"]);
    assert_eq!(imported.policy().mode(None), Mode::Strict);
    for (spec, why) in [
        ("{mtls: {mode: LAX}}", "\"LAX\" is not a mode"),
        ("{mtls: {mode: [STRICT]}}", "this is not a mode"),
        ("{mtls: STRICT}", "this is not {mode: …}"),
        (
            "{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {mode: STRICT}}}",
            "this is not a port",
        ),
        ("{portLevelMtls: []}", "not a mapping of ports"),
    ] {
        assert!(
            refused(&peer_authentication("shop", spec)).contains(why),
            "{spec}"
        );
    }
}

/// One policy of each reach.
fn of_every_reach() -> String {
    let policy = |namespace: &str, name: &str, reach: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{{reach} rules: [{{from: [{{source: {{namespaces: [{name}]}}}}]}}]}}\n"
        )
    };
    let app = "selector: {matchLabels: {app: orders}},";
    let tier = "selector: {matchLabels: {tier: 1}},";
    let gateway = "targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: edge}],";
    [
        policy("shop", "everyone", ""),
        policy("shop", "app", app),
        policy("shop", "tier", tier),
        policy("shop", "edge", gateway),
        policy("istio-system", "mesh", ""),
        policy("istio-system", "mesh-app", app),
        policy("other", "other", ""),
    ]
    .concat()
}

#[test]
fn what_holds_for_the_workload_is_taken() {
    let text = of_every_reach();
    let by_label = import_with(&text, |options| {
        options.namespace = Some("shop".into());
        options.labels = Some([("app".into(), "orders".into())].into());
    });
    assert_eq!(
        by_label.names(),
        [
            "shop/everyone/0",
            "shop/app/0",
            "istio-system/mesh/0",
            "istio-system/mesh-app/0"
        ]
    );
    by_label.warned(&[
        "other/other: not taken: it is not of namespace shop",
        "shop/tier: not taken: it is for workloads labelled tier=1",
        "shop/edge: not taken: it is for what is attached to Gateway/edge",
    ]);
    let at_edge = import_with(&text, |options| {
        options.namespace = Some("shop".into());
        options.labels = Some([("tier".into(), "1".into())].into());
        options.target = Some("Gateway/edge".into());
    });
    assert_eq!(
        at_edge.names(),
        [
            "shop/everyone/0",
            "shop/tier/0",
            "shop/edge/0",
            "istio-system/mesh/0"
        ]
    );
    let other = import_with(&text, |options| options.namespace = Some("other".into()));
    assert_eq!(
        other.names(),
        [
            "istio-system/mesh/0",
            "istio-system/mesh-app/0",
            "other/other/0"
        ]
    );
}

#[test]
fn what_cannot_be_told_is_asked_for() {
    let text = of_every_reach();
    assert!(refused(&text).contains("--namespace"));
    let in_shop = refused_with(&text, |options| options.namespace = Some("shop".into()));
    assert!(
        in_shop.contains("--label") && in_shop.contains("--target"),
        "{in_shop}"
    );
    let without_labels = refused_with(&text, |options| {
        options.namespace = Some("shop".into());
        options.target = Some("Gateway/edge".into());
    });
    assert!(without_labels.contains("--label"), "{without_labels}");
}

#[test]
fn what_is_no_such_resource_is_said() {
    let list = "
apiVersion: v1
kind: List
items:
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: b}}
- {apiVersion: v1, kind: ConfigMap}
";
    let imported = import(list);
    assert_eq!(imported.json["defaultAction"], "DENY");
    imported.warned(&["ConfigMap without name: not taken"]);
    let policy = "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1";
    for (text, why) in [
        ("- a", "not a Kubernetes resource"),
        ("a: b: c", "not YAML"),
        (
            "kind: AuthorizationPolicy\napiVersion: security.istio.io/v2",
            "apiVersion",
        ),
        (policy, "no proper name"),
        (
            &format!("{policy}\nmetadata: {{name: a b}}"),
            "no proper name",
        ),
        (&format!("{policy}\nmetadata: {{name: []}}"), "not a text"),
        (
            &format!("{policy}\nmetadata: {{name: a, namespace: 'b c'}}"),
            "not a namespace",
        ),
        (
            &format!("{policy}\nmetadata: {{name: a}}\nspec: []"),
            "not a mapping",
        ),
        ("apiVersion: v1\nkind: List", "no items"),
        (
            "apiVersion: v1\nkind: List\nitems: [{kind: List}]",
            "a list in a list",
        ),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    for (spec, why) in [
        ("action: MAYBE", "\"MAYBE\" is not an action"),
        ("action: [ALLOW]", "not an action"),
        ("rules: {}", "not a list"),
        ("rule: []", "spec.rule: this field is not known"),
        ("selector: {app: x}", "matchLabels"),
        (
            "selector: {matchLabels: {a: b}}\ntargetRef: {kind: Gateway, name: x}",
            "both a selector and a target",
        ),
        ("targetRefs: [{name: x}]", "no kind and name"),
    ] {
        let why_not = refused(&orders(spec));
        assert!(why_not.contains(why), "{spec}: {why_not}");
        assert!(
            why_not.starts_with("f.yaml:1: AuthorizationPolicy shop/orders"),
            "{why_not}"
        );
    }
    let twice = format!("{}---\n{}", orders("{}"), orders("{}"));
    assert!(refused(&twice).contains("another one of this name"));
}

#[test]
fn names_fit_and_sizes_are_bounded() {
    let long = |end: char| {
        let name = format!("name: {}{end}", "n".repeat(252));
        orders("rules: [{}, {}]").replace("name: orders", &name)
    };
    let imported = import(&format!("{}---\n{}", long('a'), long('b')));
    assert_eq!(imported.names().len(), 4);
    let many = |count: usize, item: &str| vec![item.to_owned(); count].join(",");
    let source = "{source: {namespaces: [a]}}";
    let product = format!(
        "rules: [{{from: [{}], to: [{}]}}]",
        many(200, source),
        many(200, "{operation: {methods: [GET]}}")
    );
    assert!(refused(&orders(&product)).contains("more than 16384 rules"));
    let values = format!(
        "rules: [{{from: [{}], to: [{{operation: {{methods: [{}]}}}}]}}]",
        many(1000, source),
        many(2000, "GET")
    );
    assert!(refused(&orders(&values)).contains("more than 200000 values"));
    let ports: Vec<_> = (1..5000).map(|port| port.to_string()).collect();
    let list = format!(
        "rules: [{{to: [{{operation: {{ports: [{}]}}}}]}}]",
        ports.join(",")
    );
    assert!(refused(&orders(&list)).contains("what would come out is no policy"));
}

#[test]
fn json_is_yaml_too() {
    let resource = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"rules": [{"to": [{"operation": {"ports": ["80"]}}]}]},
    });
    let imported = import(&resource.to_string());
    assert_eq!(imported.json["rules"][0]["ports"], json!([80]));
}
