//! The whole way from a token to an identity, with a fixed key set.
//!
//! Nothing is let in that our key did not sign. What is let in is what a plain reading of the claims says, another
//! implementation verifies its signature too, and its identity has the template's form.
#![no_main]

use arbitrary::Arbitrary;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use credence_attest::{
    Attested, Attestor, Evidence, Now, Token,
    identity::template::Template,
    jwt::{Algorithm, JwtAttestor, JwtSettings, Keys, Naming},
};
use credence_ca::validity::Time;
use credence_fuzz::at_once;
use libfuzzer_sys::{arbitrary, fuzz_target};
use spiffe::TrustDomain;
use std::{sync::LazyLock, time::Duration};

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 60;

#[derive(Debug, Arbitrary)]
enum Input {
    /// As it comes.
    Raw(String),
    /// Signed, whatever it says.
    Signed(String, String),
    /// Signed, with a good header and claims that are good but for these.
    Claims { subject: String, more: String },
}

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));

static ATTESTOR: LazyLock<JwtAttestor> = LazyLock::new(|| {
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}]}}"#);
    let domain = TrustDomain::new("example.org").expect("a trust domain");
    let template = Template::parse("spiffe://{trust_domain}/t/{claims.sub}", &domain);
    let settings = JwtSettings {
        name: "fuzz".into(),
        issuer: Some("i".into()),
        audiences: vec!["a".into()],
        algorithms: Algorithm::ALL.to_vec(),
        skew: Duration::from_secs(SKEW),
        longest_life: None,
        naming: Naming::Template(template.expect("a template")),
    };
    JwtAttestor::new(settings, Keys::fixed(keys.as_bytes()).expect("a set")).expect("an attestor")
});

fuzz_target!(|input: Input| {
    match input {
        Input::Raw(token) => assert!(attest(&token).is_none(), "nobody signed {token}"),
        Input::Signed(header, claims) => check(&sign(&header, &claims)),
        Input::Claims { subject, more } => {
            let subject = serde_json::to_string(&subject).expect("JSON");
            let end = NOW + 9;
            let claims = format!(r#"{{"iss":"i","aud":"a","exp":{end},"sub":{subject}{more}}}"#);
            check(&sign(r#"{"alg":"EdDSA","kid":"a"}"#, &claims));
        }
    }
});

fn sign(header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = KEY.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn attest(token: &str) -> Option<Attested> {
    let evidence = Evidence {
        token: Some(Token::new(token.to_owned()).ok()?),
        ..Evidence::default()
    };
    let now = Now {
        wall: Time::from_unix(NOW),
        steady: Duration::ZERO,
    };
    at_once(ATTESTOR.attest(&evidence, now)).ok()
}

fn check(token: &str) {
    let Some(attested) = attest(token) else {
        return;
    };
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let key = jsonwebtoken::DecodingKey::from_ed_der(KEY.public_key().as_ref());
    let verdict = jsonwebtoken::crypto::verify(
        signature,
        signed.as_bytes(),
        &key,
        jsonwebtoken::Algorithm::EdDSA,
    );
    assert!(verdict.expect("a verdict"));
    let claims = signed.split_once('.').expect("two parts").1;
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["iss"], "i");
    let listed = claims["aud"]
        .as_array()
        .is_some_and(|list| list.contains(&"a".into()));
    assert!(listed || claims["aud"] == "a");
    assert!(claims["exp"].as_f64().expect("a number") + SKEW as f64 > NOW as f64);
    let subject = claims["sub"].as_str().expect("a text");
    assert_eq!(
        attested.identity.to_string(),
        format!("spiffe://example.org/t/{subject}")
    );
    assert_eq!(attested.identity.path().split('/').count(), 3);
}
