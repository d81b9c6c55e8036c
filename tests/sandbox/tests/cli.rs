//! `credence_signer_cli.wasm` under hosts that others wrote: the Python package wasmtime, and
//! Node's own WASI.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_sandbox_tests::{csr_by, modest};
use rcgen::{KeyPair, SanType};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use x509_parser::prelude::*;

const CLI: &str = env!("CREDENCE_SIGNER_CLI_WASM");
const ALICE: &str = "spiffe://lab.example/alice";

/// Whose WASI runs the command.
#[derive(Debug, Clone, Copy)]
enum Runtime {
    Python,
    Node,
}

const RUNTIMES: [Runtime; 2] = [Runtime::Python, Runtime::Node];

/// Exit status, what it printed, and what it complained of.
#[derive(Debug)]
struct Answer {
    status: i32,
    out: String,
    err: String,
}

impl Runtime {
    fn run(self, folder: &Path, line: &str) -> Answer {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match self {
            Self::Python => {
                let mut python = Command::new(here.join("../../.tools/wasmtime/bin/python"));
                python.arg(here.join("hosts/wasi.py"));
                python
            }
            Self::Node => {
                let mut node = Command::new("node");
                node.arg("--no-warnings").arg(here.join("hosts/wasi.mjs"));
                node
            }
        };
        let output = command
            .arg(CLI)
            .arg(folder)
            .args(line.split_whitespace())
            .output()
            .expect("the runtime starts: scripts/setup brings it");
        Answer {
            status: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn succeed(self, folder: &Path, line: &str) -> String {
        let answer = self.run(folder, line);
        assert_eq!(answer.status, 0, "{self:?} {line}: {answer:?}");
        answer.out
    }

    fn fail(self, folder: &Path, line: &str, status: i32, why: &str) {
        let answer = self.run(folder, line);
        assert_eq!(answer.status, status, "{self:?} {line}: {answer:?}");
        assert!(answer.err.contains(why), "{self:?} {line}: {answer:?}");
        assert!(answer.out.is_empty(), "{answer:?}");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A request as PEM in the folder.
fn write_request(folder: &Path, name: &str, csr: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let text = ::pem::encode(&::pem::Pem::new("CERTIFICATE REQUEST", csr));
    fs::write(&path, text).unwrap();
    path
}

fn certificates(text: &str) -> Vec<Vec<u8>> {
    ::pem::parse_many(text)
        .unwrap()
        .into_iter()
        .map(::pem::Pem::into_contents)
        .collect()
}

fn chains(chain: &[Vec<u8>], root: &[u8]) {
    let ders: Vec<&[u8]> = chain.iter().map(Vec::as_slice).chain([root]).collect();
    for pair in ders.windows(2) {
        let (_, below) = X509Certificate::from_der(pair[0]).unwrap();
        let (_, above) = X509Certificate::from_der(pair[1]).unwrap();
        assert_eq!(below.issuer(), above.subject());
        below.verify_signature(Some(above.public_key())).unwrap();
    }
}

#[test]
fn makes_a_root_and_signs_for_every_kind_of_key_that_it_says() {
    for runtime in RUNTIMES {
        for issuer in ["p256", "ed25519"] {
            let folder = folder();
            let path = folder.path();
            runtime.succeed(
                path,
                &format!("init --trust-domain lab.example --key {issuer}"),
            );
            let root = certificates(&fs::read_to_string(path.join("root.pem")).unwrap());
            for kind in [
                &rcgen::PKCS_ECDSA_P256_SHA256,
                &rcgen::PKCS_ECDSA_P384_SHA384,
                &rcgen::PKCS_ED25519,
            ] {
                let csr = csr_by(&modest(), &KeyPair::generate_for(kind).unwrap());
                write_request(path, "a.csr", &csr);
                let out = runtime.succeed(path, &format!("sign --id {ALICE} --csr a.csr"));
                let chain = certificates(&out);
                assert_eq!(chain.len(), 2);
                chains(&chain, &root[0]);
                let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
                let san = leaf.subject_alternative_name().unwrap().unwrap();
                assert!(matches!(
                    san.value.general_names.as_slice(),
                    [GeneralName::URI(ALICE)]
                ));
            }
        }
    }
}

/// What one runtime made, the other goes on with: the folder is all there is.
#[test]
fn a_folder_goes_from_one_runtime_to_the_other() {
    let folder = folder();
    let path = folder.path();
    Runtime::Node.succeed(path, "init --trust-domain lab.example --dir ca");
    let mut params = modest();
    params.subject_alt_names = vec![SanType::DnsName("db.lab.example".try_into().unwrap())];
    let csr = csr_by(&params, &KeyPair::generate().unwrap());
    write_request(path, "a.csr", &csr);
    let line = "--dir ca --csr a.csr --out leaf.pem --dns db.lab.example --hours 1";
    Runtime::Python.succeed(path, &format!("sign --id {ALICE} {line}"));
    let text = Runtime::Node.succeed(path, "inspect leaf.pem");
    for part in [
        ALICE,
        "dns:db.lab.example",
        "P-256",
        "server, client",
        "Credence issuer",
        "yes, with 0 CAs below it",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text, Runtime::Python.succeed(path, "inspect leaf.pem"));
}

#[test]
fn refuses_with_a_status_and_a_reason() {
    for runtime in RUNTIMES {
        let folder = folder();
        let path = folder.path();
        runtime.fail(path, "sign --id spiffe://a/b --csr a.csr", 1, "issuer.pem");
        runtime.succeed(path, "init --trust-domain lab.example");
        runtime.fail(
            path,
            "init --trust-domain lab.example",
            1,
            "there is one already",
        );
        let key = KeyPair::generate().unwrap();
        write_request(path, "a.csr", &csr_by(&modest(), &key));
        for (line, status, why) in [
            ("", 2, "say init, sign or inspect"),
            ("sign --id spiffe://lab.example/a", 2, "--csr is needed"),
            (
                "sign --id spiffe://other/a --csr a.csr",
                1,
                "not of the trust domain",
            ),
            (
                "sign --id spiffe://lab.example --csr a.csr",
                1,
                "has no path",
            ),
            ("sign --id spiffe://lab.example/a --csr b.csr", 1, "b.csr"),
            (
                "sign --id spiffe://lab.example/a --csr a.csr --hours 9999",
                1,
                "rule longest-life",
            ),
            ("inspect ../secret.pem", 1, "secret.pem"),
        ] {
            runtime.fail(path, line, status, why);
        }
        let help = runtime.succeed(path, "--help");
        assert!(help.contains("exit status"), "{help}");
    }
}

#[test]
fn refuses_requests_that_are_bad() {
    let runtime = Runtime::Python;
    let folder = folder();
    let path = folder.path();
    runtime.succeed(path, "init --trust-domain lab.example");
    let key = KeyPair::generate().unwrap();
    let mut forged = csr_by(&modest(), &key);
    *forged.last_mut().unwrap() ^= 1;
    let mut other = modest();
    other.subject_alt_names = vec![SanType::URI("spiffe://lab.example/bob".try_into().unwrap())];
    let other = csr_by(&other, &key);
    let mut named = modest();
    named.subject_alt_names = vec![SanType::DnsName("evil.example".try_into().unwrap())];
    let named = csr_by(&named, &key);
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa = csr_by(&modest(), &rsa);
    for (csr, why) in [
        (&forged, "does not verify with its own key"),
        (&other, "names another identity"),
        (&named, "a name that is not granted"),
        (&rsa, "RSA-2048 keys cannot be verified by this command"),
    ] {
        write_request(path, "bad.csr", csr);
        runtime.fail(path, &format!("sign --id {ALICE} --csr bad.csr"), 1, why);
    }
}
