//! What names, addresses and wildcards match, and what only looks like it: no expression in disguise, no
//! trust domain that begins alike, no address in another form.
#![allow(clippy::unwrap_used, reason = "tests throughout, helpers too")]

use credence_policy::{Connection, Policy, SpiffeId, plain::Request};
use serde_json::json;

/// Istio's security releases 1.28.7 and 1.29.3: a dot in a name was a wildcard in the expression that
/// was made of it.
#[test]
fn names_are_no_expressions() {
    let rules = json!([
        {"name": "namespace", "namespaces": ["team.a"]},
        {"name": "suffix", "principals": ["*/ns/team.a/sa/x.y"]},
        {"name": "host", "principals": ["spiffe://own.test/h"], "hosts": ["a.b.test"]},
        {"name": "path", "principals": ["spiffe://own.test/p"], "paths": ["/a.b/*"]},
    ]);
    let document = json!({"trustDomains": ["own.test"], "rules": rules});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let decide = |peer: &str, host: &str, path: &str| {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        let mut request = Request {
            host: Some(host.into()),
            ..Request::new("GET", path)
        };
        let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
        decision.is_allowed()
    };
    assert!(decide("spiffe://own.test/ns/team.a/sa/x.y", "c.test", "/"));
    assert!(decide("spiffe://own.test/h", "a.b.test", "/"));
    assert!(decide("spiffe://own.test/p", "c.test", "/a.b/c"));
    for peer in [
        "spiffe://own.test/ns/team-a/sa/x.y",
        "spiffe://own.test/ns/teamxa/sa/x-y",
        "spiffe://own.test/ns/team/a/sa/x",
    ] {
        assert!(!decide(peer, "c.test", "/"), "{peer}");
    }
    assert!(!decide("spiffe://own.test/h", "axb.test", "/"));
    assert!(!decide("spiffe://own.test/p", "c.test", "/axb/c"));
}

/// CVE-2020-15104 took more than it said for a wildcard's match; ours say what they match: an end is an
/// end of the text, and no prefix reaches over the end of a trust domain.
#[test]
fn wildcards_match_what_they_say() {
    let rules = json!([
        {"name": "host", "principals": ["spiffe://own.test/h"], "hosts": ["*.a.test"]},
        {"name": "peer", "principals": ["spiffe://own.test/team/*"]},
    ]);
    let document =
        json!({"trustDomains": ["own.test", "own.test.evil", "own.tes"], "rules": rules});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let decide = |peer: &str, host: &str| {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        let mut request = Request {
            host: Some(host.into()),
            ..Request::new("GET", "/")
        };
        let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
        decision.is_allowed()
    };
    assert!(decide("spiffe://own.test/h", "b.a.test"));
    assert!(decide("spiffe://own.test/team/x", "c.test"));
    for host in [
        "a.test",
        "ba.test",
        "b.a.test.evil",
        "b.a.test.evil:80",
        "b.a.test@evil",
        "evil#.a.test",
        "evil/.a.test",
        "evil?.a.test",
    ] {
        assert!(!decide("spiffe://own.test/h", host), "{host}");
    }
    for peer in [
        "spiffe://own.test/team",
        "spiffe://own.test/teams/x",
        "spiffe://own.test.evil/team/x",
        "spiffe://own.tes/team/x",
    ] {
        assert!(!decide(peer, "c.test"), "{peer}");
    }
    for cut in ["spiffe://own.test*", "spiffe://own*", "spiffe://*"] {
        let document =
            json!({"trustDomains": ["own.test"], "rules": [{"name": "x", "principals": [cut]}]});
        assert!(
            Policy::from_json(document.to_string().as_bytes()).is_err(),
            "{cut}"
        );
    }
}

/// An address is the same in its IPv6 form.
#[test]
fn addresses_in_another_form() {
    let document = json!({"trustDomains": ["own.test"], "defaultAction": "ALLOW", "rules": [
        {"name": "no", "action": "DENY", "ipBlocks": ["10.0.0.0/8"]},
    ]});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let peer = SpiffeId::new("spiffe://own.test/a").unwrap();
    for source in ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"] {
        let connection = Connection {
            peer: Some(&peer),
            source: Some(source.parse().unwrap()),
            ..Connection::default()
        };
        assert!(!policy.for_tcp(&connection).is_allowed(), "{source}");
    }
}
