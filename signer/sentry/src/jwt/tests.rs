use super::*;
use crate::settings::JwtSettings;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use credence_daemon::{
    ports::{Clock, Tokens, WorkloadTokens},
    refusal::Refusal,
};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet as Theirs};
use serde_json::{Value, json};
use spiffe::SpiffeId;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const NOW: u64 = 1_800_000_000;
const ID: &str = "spiffe://example.org/ns/prod/app";

struct Still(SystemTime);

impl Clock for Still {
    fn now(&self) -> SystemTime {
        self.0
    }
}

fn settings(folder: &Path, algorithm: Algorithm) -> JwtSettings {
    JwtSettings {
        key: folder.join("jwt.key"),
        jwks: folder.join("jwks.json"),
        issuer: None,
        algorithm,
        key_id: None,
        ttl: Duration::from_secs(3600),
    }
}

fn issuer(keys: Keys, issuer: Option<&str>) -> TokenIssuer {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    issuer_at(&Arc::new(KeyRing::new(keys)), issuer, now)
}

fn issuer_at(ring: &Arc<KeyRing>, issuer: Option<&str>, now: SystemTime) -> TokenIssuer {
    let terms = Terms {
        issuer: issuer.map(str::to_owned),
        ttl: Duration::from_secs(3600),
        clock_skew: Duration::from_secs(900),
    };
    TokenIssuer::new(Arc::clone(ring), terms, Arc::new(Still(now)))
}

async fn issue(issuer: &TokenIssuer, audiences: &[&str]) -> Result<WorkloadTokens, Refusal> {
    let audiences = audiences.iter().map(ToString::to_string).collect();
    issuer.issue(SpiffeId::new(ID).unwrap(), audiences).await
}

fn part(token: &str, index: usize) -> Vec<u8> {
    let part = token.split('.').nth(index).unwrap();
    BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&part(token, 1)).unwrap()
}

/// By the published set alone, as a verifier elsewhere does it.
fn verify(token: &str, set: &str) {
    let header: Value = serde_json::from_slice(&part(token, 0)).unwrap();
    if header["alg"] == "ES512" {
        return verify_p521(token, set);
    }
    let header = jsonwebtoken::decode_header(token).unwrap();
    let set: Theirs = serde_json::from_str(set).unwrap();
    let jwk = set
        .find(header.kid.as_deref().unwrap())
        .expect("its kid is in the set");
    let mut rules = Validation::new(header.alg);
    rules.validate_exp = false;
    rules.validate_aud = false;
    let key = DecodingKey::from_jwk(jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap();
}

/// jsonwebtoken has no P-521.
fn verify_p521(token: &str, set: &str) {
    let set: Value = serde_json::from_str(set).unwrap();
    let of = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(set["keys"][0][name].as_str().unwrap());
    let point = [&[4], of("x").unwrap().as_slice(), &of("y").unwrap()].concat();
    let (message, _) = token.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point)
        .verify(message.as_bytes(), &part(token, 2))
        .unwrap();
}

#[tokio::test]
async fn each_algorithm_s_tokens_are_verified_by_the_published_set() {
    for algorithm in Algorithm::all() {
        let dir = tempfile::tempdir().unwrap();
        let made = create(&settings(dir.path(), algorithm)).unwrap();
        let published = made.set.json().to_owned();
        let set: Value = serde_json::from_str(&published).unwrap();
        assert_eq!(set["keys"][0]["alg"], algorithm.name());
        assert_eq!(set["keys"][0]["use"], "sig");
        let tokens = issue(&issuer(made, None), &["api.test"]).await.unwrap();
        verify(&tokens.jwt, &published);
        let header: Value = serde_json::from_slice(&part(&tokens.jwt, 0)).unwrap();
        let kid = &set["keys"][0]["kid"];
        assert_eq!(
            header,
            json!({"alg": algorithm.name(), "kid": kid, "typ": "JWT"})
        );
        // and by what is read back from the files
        let read = load_or_create(&settings(dir.path(), algorithm), Exposed::Refused).unwrap();
        assert_eq!(read.warnings, [""; 0]);
        let again = issue(&issuer(read, None), &[]).await.unwrap();
        verify(&again.jwt, &published);
    }
}

#[tokio::test]
async fn claims_are_those_of_sentry() {
    let dir = tempfile::tempdir().unwrap();
    let made = create(&settings(dir.path(), Algorithm::EDDSA)).unwrap();
    let issuer = issuer(made, Some("https://issuer.test"));
    let tokens = issue(&issuer, &["api.test", "example.org", "api.test"])
        .await
        .unwrap();
    let mut said = claims(&tokens.jwt);
    let jti = said["jti"].take();
    assert_eq!(jti.as_str().map(str::len), Some(32));
    let expected = json!({
        "sub": ID, "aud": ["example.org", "api.test"], "iss": "https://issuer.test", "jti": null,
        "iat": NOW, "nbf": NOW - 900, "exp": NOW + 3600, "use": "sig",
    });
    assert_eq!(said, expected);
    // daprd refuses an answer where they differ
    let named: Vec<_> = tokens.by_audience.keys().map(String::as_str).collect();
    assert_eq!(named, ["api.test", "example.org"]);
    for (audience, token) in &tokens.by_audience {
        let said = claims(token);
        assert_eq!(said["aud"], json!([audience]));
        assert_eq!(said["sub"], ID);
        assert_ne!(said["jti"], jti, "each has an ID of its own");
    }
    assert!(!format!("{tokens:?}").contains(&tokens.jwt));
}

#[tokio::test]
async fn without_an_issuer_there_is_no_claim_and_a_clock_before_1970_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let made = create(&settings(dir.path(), Algorithm::EDDSA)).unwrap();
    let ring = Arc::new(KeyRing::new(made));
    let tokens = issue(&issuer_at(&ring, None, UNIX_EPOCH), &[])
        .await
        .unwrap();
    assert_eq!(claims(&tokens.jwt).get("iss"), None);
    assert_eq!(claims(&tokens.jwt)["nbf"], 0);
    let early = issuer_at(&ring, None, UNIX_EPOCH - Duration::from_secs(1));
    assert!(matches!(issue(&early, &[]).await, Err(Refusal::Failed(_))));
}

#[tokio::test]
async fn keys_are_replaced_while_tokens_are_issued() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = dirs
        .each_ref()
        .map(|dir| create(&settings(dir.path(), Algorithm::ES256)).unwrap());
    let published = second.set.json().to_owned();
    let ring = Arc::new(KeyRing::new(first));
    let issuer = issuer_at(&ring, None, UNIX_EPOCH);
    ring.replace(second);
    verify(&issue(&issuer, &[]).await.unwrap().jwt, &published);
}

#[tokio::test]
async fn changed_files_are_taken_when_both_fit() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [ours, theirs] = dirs
        .each_ref()
        .map(|dir| settings(dir.path(), Algorithm::ES256));
    let ring = Arc::new(KeyRing::new(create(&ours).unwrap()));
    let (before, after) = (ring.now().key_id.clone(), create(&theirs).unwrap().key_id);
    fs::rename(&theirs.key, &ours.key).unwrap();
    assert!(load(&ours, Exposed::Refused).is_err(), "half of it");
    assert_eq!(ring.now().key_id, before);
    let every = Duration::from_millis(5);
    tokio::spawn(follow(
        ours.clone(),
        Exposed::Refused,
        Arc::clone(&ring),
        every,
    ));
    fs::rename(&theirs.jwks, &ours.jwks).unwrap();
    let taken = async {
        while ring.now().key_id != after {
            tokio::time::sleep(every).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, taken)
        .await
        .expect("it was never taken");
}

/// The example of RFC 7638 §3.1.
#[test]
fn the_key_s_id_is_its_thumbprint_in_ordinary_base64() {
    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let n = BASE64_URL_SAFE_NO_PAD.decode(N).unwrap();
    let integer = credence_ca::der::unsigned_integer;
    let key = credence_ca::der::sequence(&[&integer(&n), &integer(&[1, 0, 1])]);
    let jwk = jwk::PublicJwk::rsa(&key).unwrap();
    assert_eq!(jwk.key_id(), "NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs=");
    let other = json!({"kty": "RSA", "n": N, "e": "AAEAAQ"});
    assert!(jwk.is(other.as_object().unwrap()), "numbers are compared");
}

#[test]
fn files_are_made_once_and_only_for_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), Algorithm::RS256);
    let made = load_or_create(&settings, Exposed::Refused).unwrap();
    for path in [&settings.key, &settings.jwks] {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let read = load_or_create(&settings, Exposed::Refused).unwrap();
    assert_eq!(
        (read.key_id, read.set.json()),
        (made.key_id, made.set.json())
    );
    assert!(read.set.verifies(&made.key));
    assert!(
        matches!(create(&settings), Err(JwtFilesError::File(_))),
        "they stay"
    );
}

#[test]
fn a_configured_id_is_that_of_tokens_and_of_the_set() {
    let dir = tempfile::tempdir().unwrap();
    let named = JwtSettings {
        key_id: Some("mine".into()),
        ..settings(dir.path(), Algorithm::ES256)
    };
    let made = create(&named).unwrap();
    assert_eq!(made.key_id, "mine");
    assert_eq!(load(&named, Exposed::Refused).unwrap().key_id, "mine");
    let other = JwtSettings {
        key_id: Some("other".into()),
        ..named.clone()
    };
    let refused = load(&other, Exposed::Refused).unwrap_err().to_string();
    assert!(refused.contains("under the ID \"other\""), "{refused}");
    let unnamed = load(&settings(dir.path(), Algorithm::ES256), Exposed::Refused).unwrap();
    assert_eq!(unnamed.warnings.len(), 1, "{:?}", unnamed.warnings);
    assert_ne!(unnamed.key_id, "mine");
}

#[test]
fn one_without_the_other_is_refused_and_nothing_is_touched() {
    for gone in ["jwt.key", "jwks.json"] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), Algorithm::ES256);
        create(&settings).unwrap();
        fs::remove_file(dir.path().join(gone)).unwrap();
        let refused = load_or_create(&settings, Exposed::Refused).unwrap_err();
        assert!(
            matches!(refused, JwtFilesError::Partial { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains(gone));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), Algorithm::ES256);
    create(&settings).unwrap();
    fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = load(&settings, Exposed::Refused).unwrap_err().to_string();
    assert!(
        refused.contains("0644") && refused.contains("chmod 600"),
        "{refused}"
    );
    let taken = load(&settings, Exposed::Taken).unwrap();
    assert!(taken.warnings[0].contains("0644"));
    assert!(!format!("{taken:?}").contains("PRIVATE"));
}

#[test]
fn another_kind_of_key_is_refused() {
    for made in Algorithm::all() {
        let (_, pem) = JwtKey::generate(made).unwrap();
        for wanted in Algorithm::all() {
            let read = JwtKey::from_pem(pem.as_bytes(), wanted);
            assert_eq!(
                read.is_ok(),
                made.key() == wanted.key(),
                "{made:?} {wanted:?}"
            );
            if let Err(why) = read {
                assert!(why.to_string().contains(wanted.key().name()));
            }
        }
    }
    for bad in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let refused = JwtKey::from_pem(bad.as_bytes(), Algorithm::RS256).unwrap_err();
        assert_eq!(refused, KeyError::NotPem);
    }
}

fn openssl(arguments: &[&str], folder: &Path) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Keys in each form that Dapr's reader takes, made by another implementation, which also verifies what they sign.
#[test]
fn keys_of_openssl_are_read_in_their_old_forms_and_it_verifies_what_they_sign() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    openssl(&["genrsa", "-traditional", "-out", "pkcs1", "2048"], folder);
    openssl(&["genrsa", "-out", "pkcs8", "3072"], folder);
    openssl(
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "sec1",
        ],
        folder,
    );
    openssl(
        &["genpkey", "-algorithm", "ed25519", "-out", "ed25519"],
        folder,
    );
    openssl(&["genrsa", "-out", "short", "1024"], folder);
    let read =
        |name: &str, algorithm| JwtKey::from_pem(&fs::read(folder.join(name)).unwrap(), algorithm);
    assert!(read("sec1", Algorithm::ES256).is_ok());
    assert!(read("short", Algorithm::RS256).is_err());
    let pss: &[&str] = &[
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:digest",
    ];
    for (name, algorithm, extra) in [
        ("pkcs1", Algorithm::RS256, &[][..]),
        ("pkcs8", Algorithm::RS256, &[]),
        ("pkcs8", Algorithm::PS256, pss),
    ] {
        let key = read(name, algorithm).unwrap();
        fs::write(folder.join("message"), "a.b").unwrap();
        fs::write(folder.join("signature"), key.sign(b"a.b").unwrap()).unwrap();
        let verify = [
            "dgst",
            "-sha256",
            "-prverify",
            name,
            "-signature",
            "signature",
        ];
        openssl(&[&verify[..], extra, &["message"]].concat(), folder);
    }
    let key = read("ed25519", Algorithm::EDDSA).unwrap();
    fs::write(folder.join("signature"), key.sign(b"a.b").unwrap()).unwrap();
    openssl(
        &[
            "pkeyutl",
            "-verify",
            "-inkey",
            "ed25519",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "signature",
        ],
        folder,
    );
}

#[test]
fn a_set_that_could_not_be_published_is_refused() {
    let (key, _) = JwtKey::generate(Algorithm::ES256).unwrap();
    let (other, _) = JwtKey::generate(Algorithm::ES256).unwrap();
    let good: Value = serde_json::from_str(JwkSet::of(&key, "k").json()).unwrap();
    let own = &good["keys"][0];
    let parse = |set: &Value| JwkSet::parse(set.to_string().as_bytes(), &key, None);
    let with = |name: &str, value: Value| {
        let mut own = own.clone();
        own[name] = value;
        json!({"keys": [own]})
    };
    let theirs: Value = serde_json::from_str(JwkSet::of(&other, "k").json()).unwrap();
    assert!(parse(&json!({"keys": [theirs["keys"][0], own], "extra": 1})).is_ok());
    for (set, why) in [
        (json!({}), SetError::NotASet),
        (json!([]), SetError::NotASet),
        (json!({"keys": []}), SetError::NotASet),
        (json!({"keys": [1]}), SetError::NotASet),
        (json!({"keys": [{}]}), SetError::NotASet),
        (json!({"keys": vec![own; 65]}), SetError::NotASet),
        (with("d", json!("x")), SetError::Private),
        (
            json!({"keys": [own, {"kty": "oct", "k": "x"}]}),
            SetError::Private,
        ),
        (theirs, SetError::NotInIt),
        (with("use", json!("enc")), SetError::NotInIt),
        (with("x", json!("!")), SetError::NotInIt),
        (with("crv", json!("P-384")), SetError::NotInIt),
    ] {
        assert_eq!(parse(&set).unwrap_err(), why, "{set}");
    }
    assert_eq!(
        JwkSet::parse(&vec![b' '; set::LONGEST + 1], &key, None),
        Err(SetError::NotASet)
    );
    let (_, warnings) = parse(&with("alg", json!("ES384"))).unwrap();
    assert!(
        warnings.iter().any(|warning| warning.contains("ES384")),
        "{warnings:?}"
    );
}
