//! A CA on disk: founded whole, read back, and each fault named with its file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{key::KeyKind, validity::Time};
use credence_host::{
    custody::{Custodian, KeyError},
    founding::{self, Founding},
    key_file::{FileKey, KeyFileError},
    private_file::FileError,
    signer::{Settings, Signer},
    state::{StateError, StateFolder},
};
use spiffe::SpiffeId;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::open(Settings::default()).unwrap());

fn files() -> Custodian {
    Custodian::default()
}

const NOW: u64 = 1_800_000_000;

fn domain() -> SpiffeId {
    SpiffeId::new("spiffe://example.org").unwrap()
}

fn founded() -> Founding {
    founding::found(&SIGNER, &files(), &domain(), Time::from_unix(NOW)).unwrap()
}

/// A state folder with a CA in it, closed again.
fn stored() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    StateFolder::open(&path)
        .unwrap()
        .store_ca(&founded())
        .unwrap();
    (dir, path)
}

fn load(path: &Path) -> StateError {
    StateFolder::open(path)
        .unwrap()
        .load_ca(&files(), &domain())
        .unwrap_err()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_founded_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let state = StateFolder::open(&path).unwrap();
    assert!(state.load_ca(&files(), &domain()).unwrap().is_none());
    let new = founded();
    state.store_ca(&new).unwrap();
    let ca = state.load_ca(&files(), &domain()).unwrap().unwrap();
    assert_eq!(ca.root, new.root.certificate);
    assert_eq!(ca.issuer, new.issuer.certificate);
}

#[test]
fn nobody_else_may_look_in() {
    let (_dir, path) = stored();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("ca")), 0o700);
    for name in ["root.key", "issuer.key", "root.pem", "issuer.pem"] {
        assert_eq!(mode(&path.join("ca").join(name)), 0o600, "{name}");
    }
}

#[test]
fn nothing_is_left_beside() {
    let (_dir, path) = stored();
    let mut names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ca", "lock"]);
}

/// A crash while the CA was written leaves `ca.new`, which counts for nothing.
#[test]
fn a_half_written_ca_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let state = StateFolder::open(&path).unwrap();
    fs::create_dir(path.join("ca.new")).unwrap();
    fs::write(path.join("ca.new/root.pem"), "half").unwrap();
    assert!(state.load_ca(&files(), &domain()).unwrap().is_none());
    state.store_ca(&founded()).unwrap();
    assert!(state.load_ca(&files(), &domain()).unwrap().is_some());
}

#[test]
fn a_ca_is_never_overwritten() {
    let (_dir, path) = stored();
    let before = fs::read(path.join("ca/root.key")).unwrap();
    assert!(
        StateFolder::open(&path)
            .unwrap()
            .store_ca(&founded())
            .is_err()
    );
    assert_eq!(fs::read(path.join("ca/root.key")).unwrap(), before);
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let (_dir, path) = stored();
    let first = StateFolder::open(&path).unwrap();
    assert!(matches!(StateFolder::open(&path), Err(StateError::InUse(at)) if at == path));
    drop(first);
    StateFolder::open(&path).unwrap();
}

#[test]
fn a_folder_open_to_others_is_refused() {
    let (_dir, path) = stored();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let error = StateFolder::open(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateFolder::open(&file.join("state")).unwrap_err();
    assert!(matches!(error, StateError::Folder { .. }));
    assert!(error.to_string().contains("file/state"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    for name in ["root.pem", "root.key", "issuer.pem", "issuer.key"] {
        let (_dir, path) = stored();
        fs::remove_file(path.join("ca").join(name)).unwrap();
        let error = load(&path).to_string();
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let (_dir, path) = stored();
    fs::set_permissions(path.join("ca/issuer.key"), Permissions::from_mode(0o640)).unwrap();
    let error = load(&path);
    assert!(
        matches!(
            error,
            StateError::Key(KeyError::File(KeyFileError::File(FileError::Exposed {
                mode: 0o640,
                ..
            })))
        ),
        "{error}"
    );
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let (_dir, path) = stored();
    let (_, other) = FileKey::generate(KeyKind::P256, None).unwrap();
    fs::write(path.join("ca/issuer.key"), other.as_bytes()).unwrap();
    let error = load(&path);
    assert!(matches!(error, StateError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("issuer.key") && error.to_string().contains("issuer.pem"));
}

#[test]
fn a_key_of_ed25519_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let (key, pem) = FileKey::generate(KeyKind::Ed25519, None).unwrap();
    credence_host::private_file::write_new(&path, pem.as_bytes()).unwrap();
    let loaded = FileKey::load(&path, None).unwrap();
    assert_eq!(format!("{loaded:?}"), format!("{key:?}"));
}

#[test]
fn what_is_not_a_key_is_refused_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let pem = |label: &str, contents: &[u8]| pem::encode(&pem::Pem::new(label, contents));
    for text in [
        "sesame".to_owned(),
        String::new(),
        pem("PRIVATE KEY", b"sesame"),
        pem("EC PRIVATE KEY", b"sesame"),
        pem("ENCRYPTED PRIVATE KEY", b"sesame"),
    ] {
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = FileKey::load(&path, None).unwrap_err().to_string();
        assert!(
            error.contains("/key") && !error.contains("sesame"),
            "{error}"
        );
    }
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let (key, pem) = FileKey::generate(KeyKind::P256, None).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("not shown"));
    assert!(
        pem.lines()
            .filter(|line| line.len() > 20)
            .all(|line| !shown.contains(line))
    );
}

#[test]
fn a_damaged_certificate_is_named() {
    let (_dir, path) = stored();
    fs::write(path.join("ca/root.pem"), "-----BEGIN NOTHING-----").unwrap();
    assert!(matches!(load(&path), StateError::NotPem(at) if at.ends_with("root.pem")));
    fs::write(
        path.join("ca/root.pem"),
        pem::encode(&pem::Pem::new("CERTIFICATE", *b"nothing")),
    )
    .unwrap();
    assert!(
        matches!(load(&path), StateError::Certificate { path, .. } if path.ends_with("root.pem"))
    );
}

#[test]
fn an_issuer_of_another_root_is_refused() {
    let (_dir, path) = stored();
    let (_other_dir, other) = stored();
    for name in ["root.pem", "root.key"] {
        fs::copy(other.join("ca").join(name), path.join("ca").join(name)).unwrap();
    }
    assert!(matches!(load(&path), StateError::NotSignedBy { .. }));
}

#[test]
fn another_trust_domains_ca_is_refused() {
    let (_dir, path) = stored();
    let other = SpiffeId::new("spiffe://example.net").unwrap();
    let error = StateFolder::open(&path)
        .unwrap()
        .load_ca(&files(), &other)
        .unwrap_err();
    assert!(matches!(error, StateError::OtherTrustDomain { .. }));
    assert!(
        error.to_string().contains("spiffe://example.net"),
        "{error}"
    );
}

#[test]
fn an_issuers_new_certificate_takes_the_olds_place() {
    let (_dir, path) = stored();
    let state = StateFolder::open(&path).unwrap();
    let ca = state.load_ca(&files(), &domain()).unwrap().unwrap();
    let later = Time::from_unix(NOW + 200 * 86_400);
    let root = (&ca.root, &ca.root_key);
    let renewed =
        founding::certify_issuer(&SIGNER, &domain(), root, &ca.issuer_key, later).unwrap();
    state.replace_issuer(&renewed).unwrap();
    let read = state.load_ca(&files(), &domain()).unwrap().unwrap();
    assert_eq!(read.issuer, renewed);
    assert!(read.issuer.validity().not_after > ca.issuer.validity().not_after);
    assert_eq!(read.issuer.public_key(), ca.issuer.public_key());
}
