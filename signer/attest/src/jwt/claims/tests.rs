use super::*;
use crate::identity::template::ClaimPath;

const NOW: u64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuer: Some("https://issuer.test".into()),
        audiences: vec!["credence".into(), "istio-ca".into()],
        skew: Duration::from_secs(60),
        longest_life: None,
    }
}

fn check(rules: &Rules, more: &str) -> Result<(), Refusal> {
    let text = format!(r#"{{"iss":"https://issuer.test"{more}}}"#);
    let claims = Json::parse(text.as_bytes()).unwrap();
    rules.check(&claims, Time::from_unix(NOW)).map(|_| ())
}

fn good(more: &str) -> Result<(), Refusal> {
    let end = NOW + 100;
    check(&rules(), &format!(r#","aud":"credence","exp":{end}{more}"#))
}

fn claim(name: &str) -> Result<(), Refusal> {
    Err(Refusal::Claim(name.into()))
}

#[test]
fn an_audience_is_a_text_or_a_list_of_texts() {
    let audience = |json: &str| check(&rules(), &format!(r#","exp":{},"aud":{json}"#, NOW + 1));
    for accepted in [r#""credence""#, r#"["x","istio-ca"]"#] {
        assert_eq!(audience(accepted), Ok(()), "{accepted}");
    }
    for other in [
        r#""""#,
        r#""Credence""#,
        r#""credence ""#,
        "[]",
        r#"["x"]"#,
        r#"["credence,istio-ca"]"#,
    ] {
        assert_eq!(audience(other), Err(Refusal::Audience), "{other}");
    }
    for wrong in ["1", "null", "{}", r#"["credence",1]"#, r#"[["credence"]]"#] {
        assert_eq!(audience(wrong), claim("aud"), "{wrong}");
    }
    assert_eq!(
        check(&rules(), &format!(r#","exp":{}"#, NOW + 1)),
        claim("aud")
    );
    let many = format!("[\"credence\"{}]", ",\"x\"".repeat(MOST_AUDIENCES));
    assert_eq!(audience(&many), claim("aud"));
    let long = format!("[\"credence\",\"{}\"]", "x".repeat(LONGEST_NAME + 1));
    assert_eq!(audience(&long), claim("aud"));
}

#[test]
fn ends_to_the_second_with_the_skew() {
    let ends = |json: &str| check(&rules(), &format!(r#","aud":"credence","exp":{json}"#));
    assert_eq!(ends(&(NOW - 59).to_string()), Ok(()));
    assert_eq!(ends(&(NOW - 60).to_string()), Err(Refusal::Expired));
    assert_eq!(ends("0"), Err(Refusal::Expired));
    assert_eq!(ends(&format!("{}.75", NOW + 1)), Ok(()));
    for wrong in [
        "null",
        "true",
        "\"1900000000\"",
        "-1",
        "[1900000000]",
        "1e300",
        "18446744073709551615",
        "253402300800",
        "1e16",
        "-0.5",
    ] {
        assert_eq!(ends(wrong), claim("exp"), "{wrong}");
    }
    assert_eq!(ends("253402300799"), Ok(()));
    assert_eq!(check(&rules(), r#","aud":"credence""#), claim("exp"));
}

#[test]
fn does_not_begin_in_the_future() {
    for name in ["nbf", "iat"] {
        let begins = |at: &str| good(&format!(r#","{name}":{at}"#));
        assert_eq!(begins(&(NOW + 60).to_string()), Ok(()));
        assert_eq!(begins(&(NOW + 61).to_string()), Err(Refusal::NotYet));
        assert_eq!(begins("\"0\""), claim(name));
        assert_eq!(begins("null"), claim(name));
        assert_eq!(begins("1e300"), claim(name));
    }
}

#[test]
fn is_of_the_issuer_exactly() {
    for issuer in [
        r#""https://issuer.test/""#,
        r#""https://ISSUER.test""#,
        r#"["https://issuer.test"]"#,
        "null",
    ] {
        let text = format!(r#"{{"iss":{issuer},"aud":"credence","exp":{}}}"#, NOW + 1);
        let claims = Json::parse(text.as_bytes()).unwrap();
        assert!(!rules().mine(&claims), "{issuer}");
        let refused = rules().check(&claims, Time::from_unix(NOW));
        assert_eq!(refused, Err(Refusal::Issuer), "{issuer}");
    }
}

#[test]
fn is_good_for_no_longer_than_accepted() {
    let strict = Rules {
        longest_life: Some(Duration::from_secs(3600)),
        ..rules()
    };
    let life = |more: &str| {
        check(
            &strict,
            &format!(r#","aud":"credence","exp":{}{more}"#, NOW + 3600),
        )
    };
    assert_eq!(life(&format!(r#","iat":{NOW}"#)), Ok(()));
    assert_eq!(
        life(&format!(r#","iat":{}"#, NOW - 1)),
        Err(Refusal::LongLived)
    );
    assert_eq!(life(""), claim("iat"));
}

#[test]
fn names_are_bounded_texts() {
    for name in ["sub", "jti"] {
        assert_eq!(good(&format!(r#","{name}":1"#)), claim(name));
        let long = "x".repeat(LONGEST_NAME + 1);
        assert_eq!(good(&format!(r#","{name}":"{long}""#)), claim(name));
    }
}

#[test]
fn only_a_text_fills_a_template() {
    let text = format!(
        r#"{{"iss":"https://issuer.test","aud":"credence","exp":{},"a":{{"b":"x","n":1,"l":["x"]}}}}"#,
        NOW + 1
    );
    let json = Json::parse(text.as_bytes()).unwrap();
    let claims = rules().check(&json, Time::from_unix(NOW)).unwrap();
    let value = |path: &str| {
        let variable = Variable::Claim(ClaimPath::parse(path).unwrap());
        claims.value(&variable).map(Cow::into_owned)
    };
    assert_eq!(value("a.b"), Some("x".into()));
    for none in ["a", "a.n", "a.l", "a.b.c", "x"] {
        assert_eq!(value(none), None, "{none}");
    }
    assert_eq!(claims.value(&Variable::KubernetesNamespace), None);
}
