use std::time::UNIX_EPOCH;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::testca::TestCa;

fn root() -> Vec<u8> {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    TestCa::new(now).bundle().remove(0)
}

fn key(der: &[u8]) -> String {
    let x5c = STANDARD.encode(der);
    format!(r#"{{"use":"x509-svid","kty":"EC","x5c":["{x5c}"]}}"#)
}

fn document(keys: &[String], rest: &str) -> String {
    format!(r#"{{"keys":[{}]{rest}}}"#, keys.join(","))
}

fn parse(text: &str) -> Result<Document, DocumentError> {
    Document::parse(text.as_bytes())
}

#[test]
fn what_a_bundle_endpoint_says_is_read() {
    let (one, two) = (root(), root());
    let rest = r#","spiffe_sequence":7,"spiffe_refresh_hint":300,"other":{}"#;
    let read = parse(&document(&[key(&one), key(&two), key(&one)], rest)).unwrap();
    assert_eq!(read.roots, [one.clone(), two]);
    assert_eq!(read.sequence, Some(7));
    assert_eq!(read.refresh_hint, Some(Duration::from_secs(300)));
    let read = parse(&document(&[key(&one)], "")).unwrap();
    assert_eq!((read.sequence, read.refresh_hint), (None, None));
}

#[test]
fn keys_for_other_uses_are_let_pass() {
    let others = [
        r#"{"use":"jwt-svid","kid":"a","kty":"EC","x5c":7}"#,
        r#"{"use":"wit-svid"}"#,
        r#"{"kty":"EC","x5c":["bad"]}"#,
        "{}",
    ]
    .map(str::to_owned);
    assert_eq!(parse(&document(&others, "")), Err(DocumentError::NoRoots));
    let with = [&others[..], &[key(&root())]].concat();
    assert_eq!(parse(&document(&with, "")).unwrap().roots.len(), 1);
}

#[test]
fn nothing_is_taken_of_what_is_partly_bad() {
    let good = key(&root());
    let leaf = {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    };
    let trailing = [root(), vec![0]].concat();
    for bad in [
        leaf,
        trailing,
        b"rubbish".to_vec(),
        vec![0; LONGEST_CERTIFICATE + 1],
    ] {
        let refused = parse(&document(&[good.clone(), key(&bad)], ""));
        assert_eq!(refused, Err(DocumentError::NotARoot(2)));
    }
    let x5c = STANDARD.encode(root());
    for bad in [
        String::new(),
        r#","x5c":[]"#.to_owned(),
        r#","x5c":null"#.to_owned(),
        r#","x5c":["*"]"#.to_owned(),
        format!(r#","x5c":["{x5c}","{x5c}"]"#),
        format!(r#","x5c":"{x5c}""#),
    ] {
        let key = format!(r#"{{"use":"x509-svid"{bad}}}"#);
        let refused = parse(&document(&[good.clone(), key], ""));
        assert_eq!(refused, Err(DocumentError::NotOne(2)), "{bad}");
    }
    for (name, bad) in [
        ("spiffe_sequence", "-1"),
        ("spiffe_sequence", "1.5"),
        ("spiffe_sequence", "\"1\""),
        ("spiffe_sequence", "18446744073709551616"),
        ("spiffe_refresh_hint", "null"),
    ] {
        let refused = parse(&document(
            std::slice::from_ref(&good),
            &format!(r#","{name}":{bad}"#),
        ));
        assert_eq!(refused, Err(DocumentError::NotANumber(name)), "{bad}");
    }
}

#[test]
fn no_name_stands_twice() {
    let good = key(&root());
    for twice in [
        document(
            std::slice::from_ref(&good),
            r#","spiffe_sequence":1,"spiffe_sequence":2"#,
        ),
        document(std::slice::from_ref(&good), r#","keys":[]"#),
        document(&[good.replacen('{', r#"{"use":"jwt-svid","#, 1)], ""),
    ] {
        assert_eq!(parse(&twice), Err(DocumentError::NotJson), "{twice}");
    }
    for other in ["", "[]", "null", "<html>", "{} {}"] {
        assert_eq!(parse(other), Err(DocumentError::NotJson), "{other}");
    }
    for none in [r#"{"keys":{}}"#, "{}", r#"{"keys":[1]}"#] {
        assert_eq!(parse(none), Err(DocumentError::NoKeys), "{none}");
    }
}

#[test]
fn a_document_has_bounds() {
    let good = key(&root());
    let many = document(&vec![good.clone(); MOST + 1], "");
    assert_eq!(parse(&many), Err(DocumentError::TooMany));
    assert!(parse(&document(&vec![good.clone(); MOST], "")).is_ok());
    let long = document(&[good], &" ".repeat(LONGEST));
    assert_eq!(parse(&long), Err(DocumentError::TooLong));
    assert_eq!(
        Document::parse_file(long.as_bytes()),
        Err(DocumentError::TooLong)
    );
}

#[test]
fn a_file_has_json_or_pem() {
    let root = root();
    let pem = crate::pem::certificates(std::slice::from_ref(&root)).unwrap();
    let read = Document::parse_file(pem.as_bytes()).unwrap();
    assert_eq!(
        (&read.roots[..], read.sequence),
        (&[root.clone()][..], None)
    );
    let json = format!("\n {}", document(&[key(&root)], r#","spiffe_sequence":3"#));
    assert_eq!(
        Document::parse_file(json.as_bytes()).unwrap().sequence,
        Some(3)
    );
    for bad in ["", "rubbish", pem.get(..pem.len() / 2).unwrap()] {
        let refused = Document::parse_file(bad.as_bytes());
        assert!(
            matches!(refused, Err(DocumentError::Pem(_))),
            "{bad}: {refused:?}"
        );
    }
}
