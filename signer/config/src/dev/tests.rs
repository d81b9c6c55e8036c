mod custody;
mod sandbox;

use super::*;

const GOOD: &str = r#"
trust_domain = "example.org"
state_dir = "state"
leaf_life = "20s"
[[identities]]
id = "spiffe://example.org/frontend"
socket = "frontend.sock"
[[identities]]
id = "spiffe://example.org/backend"
socket = "/run/backend.sock"
uid = 1000
"#;

fn parse(text: &str) -> Result<DevConfig, Faults> {
    DevConfig::parse(text, Path::new("/etc/credence"))
}

fn fault(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// A good configuration with this section in it.
fn with_section(section: &str) -> String {
    GOOD.replacen("[[identities]]", &format!("{section}\n[[identities]]"), 1)
}

#[test]
fn a_good_one_is_taken_with_paths_beside_it() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.trust_domain.to_string(), "spiffe://example.org");
    assert_eq!(config.state_dir, Path::new("/etc/credence/state"));
    assert_eq!(config.leaf_life, Duration::from_secs(20));
    assert_eq!(
        config.identities[0].socket,
        Path::new("/etc/credence/frontend.sock")
    );
    assert_eq!(config.identities[1].socket, Path::new("/run/backend.sock"));
    assert_eq!(config.identities[1].uid, Some(1000));
}

#[test]
fn a_leaf_lives_an_hour_if_nothing_is_said() {
    let config = parse(&GOOD.replace("leaf_life = \"20s\"", "")).unwrap();
    assert_eq!(config.leaf_life, Duration::from_secs(3600));
}

#[test]
fn an_unknown_field_is_named_with_its_line() {
    let text = fault(&GOOD.replace("leaf_life", "leaf_live"));
    assert!(
        text.contains("leaf_live") && text.contains("line 4"),
        "{text}"
    );
}

#[test]
fn a_missing_field_is_named() {
    let text = fault(&GOOD.replace("trust_domain = \"example.org\"", ""));
    assert!(text.contains("trust_domain"), "{text}");
}

#[test]
fn every_fault_is_told_at_once() {
    let text = fault(
        &GOOD
            .replace("\"example.org\"", "\"Example Org\"")
            .replace("20s", "2s")
            .replace("spiffe://example.org/frontend", "spiffe://example.org")
            .replace("/run/backend.sock", "frontend.sock"),
    );
    for part in [
        "4 faults",
        "trust_domain",
        "leaf_life",
        "identities[0].id",
        "identities[1].socket",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn an_identity_of_another_trust_domain_is_refused() {
    let text = fault(&GOOD.replace("spiffe://example.org/backend", "spiffe://other.org/backend"));
    assert!(
        text.contains("identities[1].id") && text.contains("example.org"),
        "{text}"
    );
}

#[test]
fn no_identity_is_too_few() {
    let text = fault("trust_domain = \"example.org\"\nstate_dir = \"s\"\nidentities = []");
    assert!(text.contains("identities: there are 0"), "{text}");
}

#[test]
fn the_longest_leaf_is_the_guards_longest() {
    let guard = credence_ca::profile::Profile::X509Svid.longest_life();
    assert!(LONGEST_LEAF <= guard);
}

/// The good one, with these templates; the second identity asks for these names.
fn with_dns(templates: &str, names: &str) -> String {
    let asked = GOOD.replace("uid = 1000", &format!("uid = 1000\ndns_names = {names}"));
    format!("{asked}\n{templates}")
}

const BACKEND: &str = r#"
[[dns_templates]]
path = "/{workload}"
name = "{workload}.example.org"
"#;

#[test]
fn no_dns_name_is_granted_unless_a_template_says_so() {
    let config = parse(GOOD).unwrap();
    assert!(config.dns_templates.is_empty());
    assert!(config.identities.iter().all(|i| i.dns_names.is_empty()));
}

#[test]
fn templates_grant_names_by_path() {
    let config = parse(&with_dns(BACKEND, r#"["backend.example.org"]"#)).unwrap();
    let granted = config.dns_templates.grant(&config.identities[0].id);
    assert_eq!(granted[0].as_str(), "frontend.example.org");
    assert_eq!(
        config.identities[1].dns_names[0].as_str(),
        "backend.example.org"
    );
}

#[test]
fn a_bad_template_is_told_with_its_place_and_what_to_do() {
    let template = |path: &str, name: &str| {
        with_dns(
            &format!("{BACKEND}[[dns_templates]]\npath = {path:?}\nname = {name:?}"),
            "[]",
        )
    };
    for (path, name, why) in [
        ("ns/{ns}", "{ns}.x", "segments that each begin with a slash"),
        ("/ns-{ns}", "{ns}.x", "neither plain nor one variable"),
        ("/{ns}", "{sa}.x", "{sa} has to stand in the path pattern"),
        ("/{ns}", "*.{ns}", "'*' cannot stand in a DNS name"),
        ("/a b", "x", "no SPIFFE ID has the path segment 'a b'"),
        ("/{a}", "x.7", "grants no identity anything"),
    ] {
        let text = fault(&template(path, name));
        let place = format!("dns_templates[1] (path {path:?}, name {name:?})");
        assert!(text.contains(&place) && text.contains(why), "{why}: {text}");
    }
    let text = fault(&template("/{workload}", "{workload}.example.org"));
    assert!(
        text.contains("dns_templates[1]: is dns_templates[0] again"),
        "{text}"
    );
    let text = fault(&with_dns(&BACKEND.repeat(65), "[]"));
    assert!(
        text.contains("there are 65; at most 64 are accepted"),
        "{text}"
    );
    let text = fault(&with_dns(&BACKEND.replace("name", "dns"), "[]"));
    assert!(text.contains("unknown field `dns`"), "{text}");
}

#[test]
fn a_name_that_no_template_grants_is_not_asked_for() {
    for (names, why) in [
        (
            r#"["frontend.example.org"]"#,
            "no template of dns_templates grants frontend.example.org",
        ),
        (r#"["Backend.example.org"]"#, "is not a DNS name"),
        (
            r#"["backend.example.org", "backend.example.org"]"#,
            "stands there twice",
        ),
    ] {
        let text = fault(&with_dns(BACKEND, names));
        assert!(
            text.contains("identities[1].dns_names[") && text.contains(why),
            "{why}: {text}"
        );
    }
    let text = fault(&with_dns("", r#"["backend.example.org"]"#));
    assert!(text.contains("grants backend.example.org"), "{text}");
}
