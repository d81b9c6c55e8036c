//! What Istio's documentation shows as examples, in other words, and what the engine decides about them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

mod support;

use credence_policy::Reason;
use serde_json::json;
use support::{Ask, import};

const FRONTEND: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const BATCH: &str = "spiffe://cluster.local/ns/jobs/sa/batch";

/// A policy `shop/orders` with this spec.
fn orders(spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata:\n  name: orders\n  namespace: shop\nspec:\n{indented}"
    )
}

#[test]
fn a_policy_without_rules_allows_nothing() {
    let imported = import(&orders("{}"));
    assert_eq!(imported.json["defaultAction"], "DENY");
    assert_eq!(imported.json["rules"], json!([]));
    assert_eq!(
        imported.ask(&Ask::get(FRONTEND, "/")),
        (Reason::NoRule, None)
    );
    imported.silent();
}

#[test]
fn an_empty_rule_allows_everything() {
    let imported = import(&orders("rules:\n- {}"));
    let rule = Some("shop/orders/0".to_owned());
    let plain = Ask {
        peer: None,
        ..Ask::get(FRONTEND, "/x")
    };
    assert_eq!(
        imported.ask(&Ask::get(FRONTEND, "/x")),
        (Reason::AllowRule, rule.clone())
    );
    assert_eq!(imported.ask(&plain), (Reason::AllowRule, rule));
    imported.silent();
}

#[test]
fn without_an_allow_policy_all_that_is_not_denied_may_pass() {
    let imported = import(&orders(
        "action: DENY
rules:
- from:
  - source: {namespaces: [jobs]}
  to:
  - operation: {methods: [POST]}",
    ));
    assert_eq!(imported.json["defaultAction"], "ALLOW");
    let post = |peer| Ask {
        method: "POST",
        ..Ask::get(peer, "/")
    };
    assert_eq!(
        imported.ask(&post(BATCH)),
        (Reason::DenyRule, Some("shop/orders/0".into()))
    );
    assert_eq!(imported.reason(&Ask::get(BATCH, "/")), Reason::AllowDefault);
    assert_eq!(imported.reason(&post(FRONTEND)), Reason::AllowDefault);
    imported.silent();
}

#[test]
fn sources_times_operations_are_rules() {
    let imported = import(&orders(
        "rules:
- from:
  - source: {principals: [cluster.local/ns/web/sa/frontend]}
  - source: {namespaces: [jobs]}
  to:
  - operation: {methods: [GET], paths: [/status*]}
  - operation: {methods: [POST], paths: [/orders]}",
    ));
    assert_eq!(
        imported.names(),
        [
            "shop/orders/0/0/0",
            "shop/orders/0/0/1",
            "shop/orders/0/1/0",
            "shop/orders/0/1/1"
        ]
    );
    for peer in [FRONTEND, BATCH] {
        assert!(imported.allows(&Ask::get(peer, "/status")));
        assert!(imported.allows(&Ask::get(peer, "/statuses/1?x")));
        assert!(imported.allows(&Ask {
            method: "POST",
            ..Ask::get(peer, "/orders")
        }));
        assert!(!imported.allows(&Ask::get(peer, "/orders")));
        assert!(!imported.allows(&Ask {
            method: "POST",
            ..Ask::get(peer, "/orders/1")
        }));
    }
    assert!(!imported.allows(&Ask::get(
        "spiffe://cluster.local/ns/web/sa/other",
        "/status"
    )));
    imported.silent();
}

/// JWT claims cannot be asked for: the rule that needs one allows nothing.
#[test]
fn an_allow_rule_that_cannot_be_said_is_left_out() {
    let imported = import(&orders(
        "rules:
- from:
  - source: {namespaces: [web]}
  when:
  - key: request.auth.claims[iss]
    values: ['https://issuer.example.org']
- from:
  - source: {namespaces: [jobs]}",
    ));
    imported.warned(&[
        "spec.rules[0].when[0]: the key \"request.auth.claims[iss]\" has no counterpart: the rule is left out",
    ]);
    assert_eq!(imported.json["defaultAction"], "DENY");
    assert!(!imported.allows(&Ask::get(FRONTEND, "/")));
    assert!(imported.allows(&Ask::get(BATCH, "/")));
}

#[test]
fn a_deny_rule_that_cannot_be_said_denies_more() {
    let imported = import(&orders(
        "action: DENY
rules:
- from:
  - source: {notRequestPrincipals: ['*']}
  to:
  - operation: {paths: [/admin/*]}",
    ));
    imported.warned(&[
        "from[0].source.notRequestPrincipals: JWT identities have no counterpart: the rule is kept without",
    ]);
    assert!(!imported.allows(&Ask::get(FRONTEND, "/admin/x")));
    assert!(imported.allows(&Ask::get(FRONTEND, "/x")));

    let header =
        "action: DENY\nrules:\n- when:\n  - {key: 'request.headers[x-version]', values: [v1]}";
    let imported = import(&orders(header));
    imported.warned(&[
        "request.headers[x-version]",
        "no condition is left: this rule denies everything",
    ]);
    assert!(!imported.allows(&Ask::get(FRONTEND, "/")));
}

#[test]
fn an_audit_rule_marks_and_one_that_cannot_be_said_is_left_out() {
    let imported = import(&orders(
        "action: AUDIT
rules:
- to:
  - operation: {methods: [GET], paths: [/profile/*]}
- when:
  - {key: remote.ip, values: [10.0.0.0/8]}",
    ));
    imported.warned(&["rules[1].when[0]"]);
    assert_eq!(imported.json["defaultAction"], "ALLOW");
    let decision = imported.decide(&Ask::get(FRONTEND, "/profile/x"));
    let audited: Vec<_> = decision
        .audited()
        .iter()
        .map(credence_policy::RuleRef::name)
        .collect();
    assert_eq!(audited, ["shop/orders/0"]);
    assert!(
        imported
            .decide(&Ask::get(FRONTEND, "/x"))
            .audited()
            .is_empty()
    );
}

/// Istio asks somebody who can say no. Nobody is there to be asked, dry run or not.
#[test]
fn a_custom_policy_denies_what_it_matches() {
    let text = orders(
        "action: CUSTOM\nprovider: {name: opa}\nrules:\n- to:\n  - operation: {paths: [/admin/*]}",
    );
    let imported = import(&dry(&text));
    imported.warned(&["spec.action: CUSTOM has no counterpart"]);
    assert!(!imported.allows(&Ask::get(FRONTEND, "/admin/x")));
    assert!(imported.allows(&Ask::get(FRONTEND, "/x")));
}

fn dry(text: &str) -> String {
    text.replace(
        "  namespace",
        "  annotations:\n    istio.io/dry-run: \"true\"\n  namespace",
    )
}

#[test]
fn a_dry_run_is_one() {
    let headers = "rules:\n- to:\n  - operation: {paths: [/headers]}";
    let imported = import(&dry(&orders(&format!("action: DENY\n{headers}"))));
    assert_eq!(imported.json["rules"][0]["dryRun"], true);
    let decision = imported.decide(&Ask::get(FRONTEND, "/headers"));
    assert!(decision.is_allowed());
    assert_eq!(decision.would().unwrap().reason(), Reason::DenyRule);
    imported.silent();

    // A dry run of an ALLOW policy brings no default of denying with it.
    let imported = import(&dry(&orders(headers)));
    assert_eq!(imported.json["defaultAction"], "ALLOW");
    assert!(imported.allows(&Ask::get(FRONTEND, "/x")));
    imported.warned(&["a dry run of an ALLOW policy"]);

    let not = dry(&orders(&format!("action: DENY\n{headers}"))).replace("\"true\"", "\"yes\"");
    assert!(!import(&not).allows(&Ask::get(FRONTEND, "/headers")));
}

#[test]
fn every_field_is_said_in_our_words() {
    let imported = import(&orders(
        "rules:
- from:
  - source:
      principals: ['*/sa/frontend']
      notPrincipals: [cluster.local/ns/bad/*]
      namespaces: [web, 'team-*', '*-prod']
      notNamespaces: [test]
      ipBlocks: [10.1.2.3/8, '2001:db8::/32']
      notIpBlocks: [10.9.9.9]
  to:
  - operation:
      hosts: ['Shop.example.org', 'shop.example.org:*']
      notHosts: ['*.internal.example.org:8080']
      ports: [\"8080\", 8081]
      notPorts: ['9090']
      methods: [GET, P*]
      notMethods: [PUT]
      paths: [/a, /b/*, '*.json', '*']
      notPaths: ['/secret*']",
    ));
    assert_eq!(
        imported.json["rules"],
        json!([{
            "name": "shop/orders/0",
            "action": "ALLOW",
            "principals": ["*/sa/frontend"],
            "notPrincipals": ["spiffe://cluster.local/ns/bad/*"],
            "namespaces": ["*-prod", "team-*", "web"],
            "notNamespaces": ["test"],
            "ipBlocks": ["10.0.0.0/8", "2001:db8::/32"],
            "notIpBlocks": ["10.9.9.9"],
            "ports": [8080, 8081],
            "notPorts": [9090],
            "methods": ["GET", "P*"],
            "notMethods": ["PUT"],
            "hosts": ["shop.example.org"],
            "notHosts": ["*.internal.example.org"],
            "paths": ["*", "*.json", "/a", "/b/*"],
            "notPaths": ["/secret*"],
        }])
    );
    imported.warned(&["\"*.internal.example.org:8080\" is taken as *.internal.example.org"]);
    let good = Ask {
        host: "shop.example.org:8080",
        source: Some("10.0.0.1"),
        port: Some(8080),
        ..Ask::get(FRONTEND, "/x")
    };
    assert!(imported.allows(&good));
    for bad in [
        Ask {
            peer: Some(BATCH),
            ..good.clone()
        },
        Ask {
            peer: None,
            ..good.clone()
        },
        Ask {
            host: "other.example.org",
            ..good.clone()
        },
        Ask {
            source: Some("10.9.9.9"),
            ..good.clone()
        },
        Ask {
            source: Some("11.0.0.1"),
            ..good.clone()
        },
        Ask {
            port: Some(9090),
            ..good.clone()
        },
        Ask {
            method: "PUT",
            ..good.clone()
        },
        Ask {
            path: "/secret/x",
            ..good.clone()
        },
    ] {
        assert!(!imported.allows(&bad), "{bad:?}");
    }
}

#[test]
fn conditions_in_when_are_those_of_sources_and_operations() {
    let imported = import(&orders(
        "rules:
- from:
  - source: {namespaces: [web, jobs]}
  when:
  - {key: source.principal, notValues: [cluster.local/ns/jobs/sa/batch]}
  - {key: source.namespace, values: [web, other], notValues: [x]}
  - {key: source.ip, values: [10.0.0.0/8]}
  - {key: destination.port, values: ['8080']}",
    ));
    imported.warned(&["namespaces are asked for twice: only what both lists name is kept"]);
    assert_eq!(imported.json["rules"][0]["namespaces"], json!(["web"]));
    let good = Ask::get(FRONTEND, "/");
    assert!(imported.allows(&good));
    assert!(!imported.allows(&Ask {
        peer: Some(BATCH),
        ..good.clone()
    }));
    assert!(!imported.allows(&Ask {
        port: Some(8081),
        ..good.clone()
    }));

    let imported = import(&orders(
        "action: DENY
rules:
- from:
  - source: {namespaces: [web]}
  when:
  - {key: source.namespace, values: [jobs]}",
    ));
    imported.warned(&["namespaces are asked for a second time"]);
    assert!(
        !imported.allows(&Ask::get(BATCH, "/")),
        "more than Istio denies, which is nobody here"
    );
}

#[test]
fn service_accounts_are_ends_of_principals() {
    let imported = import(&orders(
        "rules:
- from:
  - source: {serviceAccounts: [web/frontend, cashier]}",
    ));
    assert_eq!(
        imported.json["rules"][0]["principals"],
        json!(["*/ns/shop/sa/cashier", "*/ns/web/sa/frontend"])
    );
    assert!(imported.allows(&Ask::get(FRONTEND, "/")));
    assert!(!imported.allows(&Ask::get(BATCH, "/")));
    imported.silent();
}

#[test]
fn path_templates_widen_a_deny_and_leave_an_allow() {
    let rules = "rules:\n- to:\n  - operation: {paths: ['/users/{*}/keys', /ok]}";
    let imported = import(&orders(rules));
    imported.warned(&[
        "\"/users/{*}/keys\" is left out of the list: path templates have no counterpart",
    ]);
    assert!(imported.allows(&Ask::get(FRONTEND, "/ok")));
    assert!(!imported.allows(&Ask::get(FRONTEND, "/users/1/keys")));

    let imported = import(&orders(&format!("action: DENY\n{rules}")));
    imported.warned(&["\"/users/{*}/keys\" is taken as /users/*"]);
    assert!(!imported.allows(&Ask::get(FRONTEND, "/users/1/keys")));
    assert!(!imported.allows(&Ask::get(FRONTEND, "/users/1")));
    assert!(imported.allows(&Ask::get(FRONTEND, "/other")));
}

/// What a negated list cannot say makes an ALLOW rule too wide, and a DENY rule too narrow only if kept.
#[test]
fn negated_values_that_cannot_be_said_fall_on_the_safe_side() {
    let not = "rules:\n- to:\n  - operation: {notMethods: [get], notPaths: ['/a//b', /c]}";
    let imported = import(&orders(not));
    imported.warned(&[
        "notMethods: \"get\" cannot be said",
        "notPaths: \"/a//b\" cannot be said",
    ]);
    assert_eq!(imported.json["rules"], json!([]));

    let imported = import(&orders(&format!("action: DENY\n{not}")));
    imported.warned(&[
        "\"get\" is left out of the list",
        "\"/a//b\" is left out of the list",
    ]);
    assert_eq!(imported.json["rules"][0]["notPaths"], json!(["/c"]));
    assert_eq!(imported.json["rules"][0].get("notMethods"), None);
}

#[test]
fn a_host_without_port_is_said_to_match_with_any() {
    let imported = import(&orders(
        "rules:\n- to:\n  - operation: {hosts: [a.example.org]}",
    ));
    imported.warned(&["\"a.example.org\" matches whatever port"]);
    let imported = import(&orders(
        "rules:\n- to:\n  - operation: {hosts: ['a.example.org:443']}",
    ));
    imported.warned(&[
        "\"a.example.org:443\" is left out of the list",
        "nothing is left in the list",
    ]);
    assert_eq!(imported.json["rules"], json!([]));
}

#[test]
fn a_rule_for_tcp_denies_by_port_and_never_allows_by_method() {
    let spec = "rules:\n- to:\n  - operation: {methods: [POST], ports: ['8080']}";
    let tcp = |action: &str, port| {
        let imported = import(&orders(&format!("action: {action}\n{spec}")));
        imported.tcp(FRONTEND, port).is_allowed()
    };
    assert!(!tcp("DENY", 8080));
    assert!(tcp("DENY", 8081));
    assert!(!tcp("ALLOW", 8080));
}
