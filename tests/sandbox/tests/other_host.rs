//! Our module under a host that is not ours: `docs/signer-in-python.py`, that very file, under the Python package
//! wasmtime. What it signs is judged by OpenSSL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_host::BUILTIN_MODULE;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use x509_parser::prelude::*;

const ALICE: &str = "spiffe://lab.example/alice";
/// The host's side is to stay short enough to be read at once: fewer lines than this.
const LINES: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn script() -> PathBuf {
    root().join("docs/signer-in-python.py")
}

/// A folder with the module, an issuer that OpenSSL made, and requests.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        fs::write(lab.0.path().join("module.wasm"), BUILTIN_MODULE).unwrap();
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        lab.openssl(&format!(
            "req -x509 {new_key} -keyout ca.key -out ca.pem -subj /O=lab/CN=issuer -days 1 -addext keyUsage=critical,keyCertSign"
        ));
        lab.openssl(&format!(
            "req -new {new_key} -keyout alice.key -out alice.csr -subj / -addext subjectAltName=URI:{ALICE}"
        ));
        lab
    }

    fn openssl(&self, line: &str) -> String {
        let output = self.run(Command::new("openssl").args(line.split(' ')));
        assert!(output.status.success(), "openssl {line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, command: &mut Command) -> Output {
        command.current_dir(self.0.path()).output().unwrap()
    }

    fn sign(&self, csr: &str) -> Output {
        let mut python = Command::new(root().join(".tools/wasmtime/bin/python"));
        let files = ["module.wasm", "ca.pem", "ca.key", csr];
        self.run(python.arg(script()).args(files).args([ALICE, "leaf.pem"]))
    }

    /// Nothing is signed, and the error output says why.
    fn refused(&self, csr: &str, why: &str) {
        let output = self.sign(csr);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("Traceback"), "{told}");
        assert!(!self.0.path().join("leaf.pem").exists());
    }
}

#[test]
fn the_hosts_side_is_under_sixty_lines() {
    let text = fs::read_to_string(script()).unwrap();
    let written = text.lines().filter(|line| !line.trim().is_empty());
    assert!(text.lines().count() < LINES);
    assert!(written.count() < LINES);
    assert!(text.lines().all(|line| line.len() <= 120));
}

#[test]
fn what_it_signs_is_verified_by_openssl_and_names_the_identity() {
    let lab = Lab::new();
    let output = lab.sign("alice.csr");
    assert!(output.status.success(), "{output:?}");
    let verdict = lab.openssl("verify -x509_strict -CAfile ca.pem leaf.pem");
    assert_eq!(verdict.trim(), "leaf.pem: OK");
    let pem = fs::read(lab.0.path().join("leaf.pem")).unwrap();
    let (_, pem) = parse_x509_pem(&pem).unwrap();
    let leaf = pem.parse_x509().unwrap();
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(matches!(
        san.value.general_names.as_slice(),
        [GeneralName::URI(ALICE)]
    ));
    assert!(!leaf.is_ca());
    let asked = lab.openssl("req -in alice.csr -noout -pubkey");
    assert_eq!(lab.openssl("x509 -in leaf.pem -noout -pubkey"), asked);
}

/// Up to version 3.3, `openssl req -verify` tells of a bad signature and exits with 0 all the same.
#[test]
fn a_request_whose_signature_is_broken_is_refused() {
    let lab = Lab::new();
    lab.openssl("req -in alice.csr -outform DER -out alice.der");
    let mut der = fs::read(lab.0.path().join("alice.der")).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let broken = ::pem::encode(&::pem::Pem::new("CERTIFICATE REQUEST", der));
    fs::write(lab.0.path().join("broken.csr"), broken).unwrap();
    lab.refused("broken.csr", "verify failure");
}

#[test]
fn the_modules_rejection_is_told() {
    let lab = Lab::new();
    let bob = "-subj / -addext subjectAltName=URI:spiffe://lab.example/bob";
    lab.openssl(&format!("req -new -key alice.key {bob} -out bob.csr"));
    lab.refused("bob.csr", "other-identity");
}

#[test]
fn what_is_no_request_is_refused() {
    let lab = Lab::new();
    fs::write(lab.0.path().join("odd.csr"), "hello").unwrap();
    lab.refused("odd.csr", "openssl req");
}
