//! Keys in files: encrypted or not, and each fault named without a word of what is in the file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{custody::Custody as _, key::KeyKind, validity::Time};
use credence_host::{
    custody::{Custodian, KeyError, Secret},
    founding,
    key_file::{FileKey, KeyFileError},
    private_file::write_new,
    signer::{Settings, Signer},
    state::{StateError, StateFolder},
};
use spiffe::SpiffeId;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn secret(text: &str) -> Secret {
    Secret::from_line(text.as_bytes()).unwrap()
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        write_new(&path, text.as_bytes()).unwrap();
        path
    }

    /// Runs openssl in the folder.
    fn openssl(&self, arguments: &[&str]) -> String {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A key that openssl made, mode 0600.
    fn openssls(&self, name: &str, arguments: &[&str]) -> PathBuf {
        self.openssl(arguments);
        let path = self.path(name);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }
}

fn fault(path: &Path, passphrase: Option<&Secret>) -> KeyFileError {
    FileKey::load(path, passphrase).unwrap_err()
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase_and_no_other() {
    let scratch = Scratch::new();
    let passphrase = secret("correct horse");
    for (name, kind) in [
        ("p256", KeyKind::P256),
        ("p384", KeyKind::P384),
        ("ed25519", KeyKind::Ed25519),
        ("rsa", KeyKind::Rsa(2048)),
    ] {
        let (key, text) = FileKey::generate(kind, Some(&passphrase)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let path = scratch.file(name, &text);
        let again = FileKey::load(&path, Some(&passphrase)).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(matches!(
            fault(&path, Some(&secret("wrong"))),
            KeyFileError::NotOpened(_)
        ));
        assert!(matches!(
            fault(&path, None),
            KeyFileError::NeedsPassphrase(_)
        ));
    }
}

#[test]
fn openssl_reads_what_we_encrypt_and_we_read_what_openssl_encrypts() {
    let scratch = Scratch::new();
    scratch.file("pass", "correct horse\n");
    let passphrase = secret("correct horse");
    let (key, text) = FileKey::generate(KeyKind::P256, Some(&passphrase)).unwrap();
    scratch.file("ours.key", &text);
    let public = scratch.openssl(&["pkey", "-in", "ours.key", "-passin", "file:pass", "-pubout"]);
    assert_eq!(
        pem::parse(public).unwrap().contents(),
        key.public_key().spki()
    );
    // as docs/custody.md has it
    let algorithm = scratch.openssl(&["asn1parse", "-i", "-in", "ours.key"]);
    for part in [
        ":PBES2",
        "scrypt",
        "INTEGER           :4000",
        "INTEGER           :08",
        "INTEGER           :01",
        ":aes-256-cbc",
    ] {
        assert!(algorithm.contains(part), "no {part} in {algorithm}");
    }
    scratch.openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        "plain.key",
    ]);
    for (name, how) in [
        ("scrypt", &["-scrypt"][..]),
        (
            "pbkdf2",
            &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"],
        ),
    ] {
        let convert = [
            &[
                "pkcs8",
                "-topk8",
                "-in",
                "plain.key",
                "-passout",
                "file:pass",
                "-out",
                name,
            ],
            how,
        ]
        .concat();
        let path = scratch.openssls(name, &convert);
        FileKey::load(&path, Some(&passphrase)).expect(name);
    }
}

#[test]
fn a_plain_key_is_refused_where_a_passphrase_is_configured() {
    let scratch = Scratch::new();
    let (_, text) = FileKey::generate(KeyKind::P256, None).unwrap();
    let path = scratch.file("plain.key", &text);
    let error = fault(&path, Some(&secret("x")));
    assert!(matches!(error, KeyFileError::NotEncrypted(_)));
    assert!(error.to_string().contains("openssl pkcs8"), "{error}");
}

#[test]
fn a_whole_ca_is_kept_encrypted_and_opened_again() {
    let scratch = Scratch::new();
    let domain = SpiffeId::new("spiffe://example.org").unwrap();
    let signer = Signer::open(Settings::default()).unwrap();
    let custodian = |passphrase| Custodian::files(KeyKind::P256, Some(secret(passphrase)));
    let state = StateFolder::open(&scratch.path("state")).unwrap();
    let now = Time::from_unix(1_800_000_000);
    let founded = founding::found(&signer, &custodian("right"), &domain, now).unwrap();
    state.store_ca(&founded).unwrap();
    for name in ["root.key", "issuer.key"] {
        let text = fs::read_to_string(scratch.path("state/ca").join(name)).unwrap();
        assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{name}");
    }
    assert!(
        state
            .load_ca(&custodian("right"), &domain)
            .unwrap()
            .is_some()
    );
    assert!(matches!(
        state.load_ca(&custodian("wrong"), &domain),
        Err(StateError::Key(KeyError::File(KeyFileError::NotOpened(_))))
    ));
    assert!(matches!(
        state.load_ca(&Custodian::default(), &domain),
        Err(StateError::Key(KeyError::File(
            KeyFileError::NeedsPassphrase(_)
        )))
    ));
}

/// One block, whatever the width of its lines.
#[test]
fn a_key_file_is_one_block() {
    let scratch = Scratch::new();
    let (key, text) = FileKey::generate(KeyKind::P256, None).unwrap();
    let (_, other) = FileKey::generate(KeyKind::P256, None).unwrap();
    let body = text.lines().filter(|line| !line.starts_with('-'));
    let one_line = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        body.collect::<String>()
    );
    for (name, good) in [("as-made", text.as_str()), ("one-line", one_line.as_str())] {
        let loaded = FileKey::load(&scratch.file(name, good), None).unwrap();
        assert_eq!(loaded.public_key(), key.public_key());
    }
    let sec1 = text.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let two = format!("{}{}", *text, *other);
    for (name, bad) in [("two", two.as_str()), ("sec1", &sec1), ("empty", "")] {
        let error = fault(&scratch.file(name, bad), None);
        assert!(matches!(error, KeyFileError::NotPem(_)), "{name}: {error}");
    }
}
