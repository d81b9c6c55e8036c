//! The binary as it is typed: `--help`, `cert inspect`, and how it fails.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn credence(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What an SVID has.
fn svid() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://example.org/alice")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn inspect(&self, params: &CertificateParams) -> String {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let file = self.file("c.pem", certificate.pem().as_bytes());
        let output = credence(&["cert", "inspect", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }
}

#[test]
fn help_tells_a_newcomer_where_to_begin() {
    let help = stdout(&credence(&["--help"]));
    for part in ["To begin", "credence dev --config", "Exit codes", "cert"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    let dev = stdout(&credence(&["dev", "--help"]));
    for part in [
        "trust_domain",
        "leaf_life",
        "[[identities]]",
        "[[dns_templates]]",
        "ROOTCA",
    ] {
        assert!(dev.contains(part), "{part} in {dev}");
    }
}

/// The example in `--help` is a configuration that is taken: it gets as far as the socket's user.
#[test]
fn the_example_in_help_is_a_good_configuration() {
    let help = stdout(&credence(&["dev", "--help"]));
    let example: String = help
        .lines()
        .skip_while(|line| !line.contains("trust_domain"))
        .take_while(|line| !line.contains("On the first start"))
        .filter(|line| !line.contains("socket ="))
        .map(|line| format!("{line}\n"))
        .collect();
    let scratch = Scratch::new();
    let config = scratch.file(
        "c.toml",
        format!("{example}socket = \"missing/folder/s.sock\"").as_bytes(),
    );
    let output = credence(&["dev", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("missing/folder"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_svid_conforms() {
    let text = Scratch::new().inspect(&svid());
    for part in [
        "spiffe://example.org/alice",
        "P-256",
        "conforms",
        "Digital Signature",
        "server, client",
        "valid, ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("does not conform"));
}

#[test]
fn what_is_not_an_svid_is_told_why() {
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = svid();
        change(&mut params);
        Scratch::new().inspect(&params)
    };
    let two = with(&|p| p.subject_alt_names.push(uri("spiffe://example.org/bob")));
    assert!(two.contains("2 URI names"), "{two}");
    let none = with(&|p| p.subject_alt_names.clear());
    assert!(none.contains("0 URI names"), "{none}");
    let web = with(&|p| p.subject_alt_names = vec![uri("https://example.org/")]);
    assert!(web.contains("is not a SPIFFE ID"), "{web}");
    let bare = with(&|p| p.subject_alt_names = vec![uri("spiffe://example.org")]);
    assert!(bare.contains("has no path"), "{bare}");
    let ca = with(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(
        ca.contains("has a path") && ca.contains("keyCertSign"),
        "{ca}"
    );
    let signs = with(&|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign));
    assert!(signs.contains("neither keyCertSign nor cRLSign"), "{signs}");
    let no_usage = with(&|p| p.key_usages.clear());
    assert!(no_usage.contains("no key usage"), "{no_usage}");
    let one_way = with(&|p| p.extended_key_usages.truncate(1));
    assert!(one_way.contains("lacks server or client"), "{one_way}");
    let ended = with(&|p| p.not_after = date_time_ymd(2021, 1, 1));
    assert!(ended.contains("ended "), "{ended}");
    let future = with(&|p| p.not_before = date_time_ymd(2048, 1, 1));
    assert!(future.contains("not yet valid"), "{future}");
}

#[test]
fn a_chain_is_shown_whole_and_as_json() {
    let scratch = Scratch::new();
    let pem = |params: &CertificateParams| {
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .pem()
    };
    let file = scratch.file(
        "chain.pem",
        format!("text before\n{}{}", pem(&svid()), pem(&svid())).as_bytes(),
    );
    let output = credence(&["cert", "inspect", "--json", file.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[0]["uris"][0], "spiffe://example.org/alice");
    assert_eq!(json[1]["not_an_svid_because"].as_array().unwrap().len(), 0);
}

#[test]
fn der_and_standard_input_are_read_too() {
    let der = svid()
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(["cert", "inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&der).unwrap();
    assert!(stdout(&child.wait_with_output().unwrap()).contains("spiffe://example.org/alice"));
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
    let scratch = Scratch::new();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let der = svid()
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    for (bytes, why) in [
        (&b"hello"[..], "no certificate"),
        (b"", "no certificate"),
        (key.as_bytes(), "no certificate"),
        (&der[..der.len() - 1], "certificate 1"),
        (&[der.as_slice(), &[0]].concat(), "1 octets follow it"),
        (&vec![b'x'; (1 << 20) + 1], "longer than"),
    ] {
        let file = scratch.file("odd", bytes);
        let output = credence(&["cert", "inspect", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(
            text.contains("odd") && text.contains(why),
            "{why} in {text}"
        );
        assert!(!text.contains("PRIVATE"), "{text}");
    }
    let missing = credence(&["cert", "inspect", "/nowhere/c.pem"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("/nowhere/c.pem"));
}

#[test]
fn exit_codes_are_as_help_says() {
    assert_eq!(credence(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(
        credence(&["dev", "--config", "/nowhere", "--log-level", "a=b=c"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        credence(&["dev", "--config", "/nowhere"]).status.code(),
        Some(1)
    );
    let scratch = Scratch::new();
    let config = scratch.file("c.toml", b"trust_domain = 1");
    let output = credence(&["dev", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("c.toml"), "{}", stderr(&output));
}

/// Arguments and the environment can be seen by others: no secret is taken from there.
#[test]
fn no_secret_can_be_typed() {
    for option in [
        "--passphrase",
        "--passphrase-file",
        "--passphrase-fd",
        "--pin",
    ] {
        let output = credence(&["dev", "--config", "/nowhere", option, "246810"]);
        assert_eq!(output.status.code(), Some(2), "{option}");
        let text = stderr(&output);
        assert!(text.contains("unexpected argument"), "{text}");
        assert!(!text.contains("246810"), "{text}");
    }
    let help = stdout(&credence(&["dev", "--help"]));
    let environment: Vec<_> = help.lines().filter(|line| line.contains("[env:")).collect();
    assert!(
        matches!(environment.as_slice(), [one] if one.contains("CREDENCE_LOG")),
        "{environment:?}"
    );
}
