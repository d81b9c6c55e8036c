use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Table(BTreeMap<String, String>);

impl Facts for Table {
    fn value(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        self.0.get(&variable.to_string()).map(Into::into)
    }
}

fn table(values: &[(&str, &str)]) -> Table {
    let owned = values.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Table(owned.collect())
}

fn ours() -> TrustDomain {
    TrustDomain::new("example.org").unwrap()
}

fn parse(text: &str) -> Result<Template, TemplateError> {
    Template::parse(text, &ours())
}

#[test]
fn fills_whole_segments() {
    let facts = table(&[
        ("kubernetes.namespace", "prod"),
        ("kubernetes.serviceaccount", "web.v2"),
        ("claims.\"a.b\".c", "C_1"),
        ("claims.\"https://b.test/team\"", "red"),
        ("dapr.namespace", "n"),
        ("dapr.app-id", "app"),
        ("dapr.trust-domain", "public"),
    ]);
    for (text, expected) in [
        (
            "spiffe://{trust_domain}/ns/{kubernetes.namespace}/sa/{kubernetes.serviceaccount}",
            "spiffe://example.org/ns/prod/sa/web.v2",
        ),
        (
            r#"spiffe://b.test/x/{claims."a.b".c}"#,
            "spiffe://b.test/x/C_1",
        ),
        (
            r#"spiffe://a/{claims."https://b.test/team"}/x"#,
            "spiffe://a/red/x",
        ),
        (
            "spiffe://{dapr.trust-domain}/ns/{dapr.namespace}/{dapr.app-id}",
            "spiffe://public/ns/n/app",
        ),
        (
            "spiffe://{trust_domain}/fixed",
            "spiffe://example.org/fixed",
        ),
    ] {
        assert_eq!(
            parse(text).unwrap().fill(&facts).unwrap().to_string(),
            expected
        );
    }
    let istio = Template::istio(ours()).fill(&facts).unwrap();
    assert_eq!(istio.to_string(), "spiffe://example.org/ns/prod/sa/web.v2");
    let dapr = Template::dapr().fill(&facts).unwrap();
    assert_eq!(dapr.to_string(), "spiffe://public/ns/n/app");
}

#[test]
fn what_is_no_template_is_refused() {
    let form = |text: &str| TemplateError::Form(text.into());
    for bad in [
        "",
        "{trust_domain}/a",
        "spiffe://{trust_domain}",
        "spiffe:///a",
        "spiffe://Example.org/a",
        "spiffe://a{trust_domain}/x",
    ] {
        assert_eq!(parse(bad), Err(form(bad)), "{bad}");
    }
    for (bad, segment) in [
        ("spiffe://a/", ""),
        ("spiffe://a/b//c", ""),
        ("spiffe://a/../c", ".."),
        ("spiffe://a/x-{claims.sub}", "x-{claims.sub}"),
        ("spiffe://a/{claims.sub", "{claims.sub"),
        ("spiffe://a/b c", "b c"),
    ] {
        let expected = TemplateError::Segment(bad.into(), segment.into());
        assert_eq!(parse(bad), Err(expected), "{bad}");
    }
    for unknown in [
        "",
        "sub",
        "claims.",
        "claims",
        "claims.a..b",
        "claims.\"a",
        "trust_domain",
        "claims.a\"b\"",
    ] {
        let bad = format!("spiffe://a/{{{unknown}}}");
        let expected = TemplateError::Variable(unknown.into());
        assert_eq!(parse(&bad), Err(expected), "{bad}");
    }
    assert_eq!(
        parse("spiffe://{kubernetes.namespace}/a"),
        Err(TemplateError::NotHere(Variable::KubernetesNamespace))
    );
}

#[test]
fn a_claim_s_path_prints_as_it_was_written() {
    for text in [
        "sub",
        "a.b",
        "\"kubernetes.io\".namespace",
        "a.b.c.d.e.f.g.h",
    ] {
        assert_eq!(ClaimPath::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(ClaimPath::parse("a.b.c.d.e.f.g.h.i"), None);
}

#[test]
fn a_missing_and_an_odd_value_are_named() {
    let template = parse("spiffe://a/{claims.sub}").unwrap();
    assert_eq!(
        template.fill(&table(&[])),
        Err(Refusal::Claim("claims.sub".into()))
    );
    for odd in [
        "",
        ".",
        "..",
        "a/b",
        "a%2fb",
        "ns\0",
        "é",
        "a b",
        &"a".repeat(254),
    ] {
        let refusal = template.fill(&table(&[("claims.sub", odd)])).unwrap_err();
        assert!(matches!(refusal, Refusal::Segment { .. }), "{odd}");
    }
    let domain = Template::dapr();
    let facts = table(&[
        ("dapr.trust-domain", "evil.test/ns/x"),
        ("dapr.namespace", "n"),
        ("dapr.app-id", "a"),
    ]);
    assert!(matches!(domain.fill(&facts), Err(Refusal::Segment { .. })));
}

#[test]
fn an_over_long_identity_is_refused() {
    let text = format!("spiffe://a{}", "/{claims.sub}".repeat(9));
    let facts = table(&[("claims.sub", &"a".repeat(253))]);
    assert!(matches!(
        parse(&text).unwrap().fill(&facts),
        Err(Refusal::Identity(_))
    ));
}

proptest! {
    /// Whatever a value is, the identity has the template's segments, or there is none.
    #[test]
    fn no_value_changes_the_form(value in "[a-z./%{}*\\\\ \u{e9}-]{0,12}|\\PC{0,6}") {
        let template = parse("spiffe://{trust_domain}/ns/{claims.a}/sa/{claims.b}").unwrap();
        let facts = table(&[("claims.a", &value), ("claims.b", "b")]);
        if let Ok(id) = template.fill(&facts) {
            prop_assert_eq!(id.to_string(), format!("spiffe://example.org/ns/{value}/sa/b"));
            prop_assert_eq!(id.path().split('/').count(), 5);
        }
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,40}|spiffe://[a{}.\"/_-]{0,30}") {
        let _ = parse(&text);
        let _ = ClaimPath::parse(&text);
    }
}
