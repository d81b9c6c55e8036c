//! A token for each test, and what tests do with it.

use credence_ca::{custody::Custody as _, validity::Time};
use credence_host::custody::{
    Secret, TokenSettings,
    pkcs11::{Pkcs11Error, Pkcs11Key, Token},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    types::AuthPin,
};
use spiffe::SpiffeId;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const PIN: &str = "246810";
/// Set in the process that has a token.
const INSIDE: &str = "CREDENCE_TEST_TOKEN";

/// Runs `body` in a process of its own, with a new token; `test` is the caller's name.
pub(crate) fn with_token(test: &str, body: fn(&Path)) {
    if let Some(folder) = env::var_os(INSIDE) {
        return body(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let config = dir.path().join("softhsm2.conf");
    fs::write(
        &config,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    init_token(Some(&config));
    let again = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SOFTHSM2_CONF", &config)
        .env(INSIDE, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&again.stdout) + String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success(), "{text}");
    assert!(
        text.contains("1 passed"),
        "{test} is not a test's name: {text}"
    );
}

/// Another token of the same label, within [`with_token`].
pub(crate) fn make_token() {
    init_token(None);
}

fn init_token(config: Option<&Path>) {
    let mut command = Command::new("softhsm2-util");
    command
        .args(["--init-token", "--free", "--label", "credence"])
        .args(["--so-pin", "13579", "--pin", PIN]);
    if let Some(config) = config {
        command.env("SOFTHSM2_CONF", config);
    }
    let made = command
        .output()
        .expect("softhsm2-util, which scripts/setup --for-test brings (Debian: softhsm2)");
    assert!(made.status.success(), "{made:?}");
}

pub(crate) fn library() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|path| path.exists())
    .expect("SoftHSM2's library (Debian: softhsm2)")
}

pub(crate) fn settings() -> TokenSettings {
    TokenSettings {
        library: library(),
        token: "credence".into(),
        root_label: "credence root".into(),
        issuer_label: "credence issuer".into(),
    }
}

pub(crate) fn open(settings: TokenSettings, pin: &str) -> Result<Token, Pkcs11Error> {
    Token::open(settings, &Secret::from_line(pin.as_bytes()).unwrap())
}

pub(crate) fn token() -> Token {
    open(settings(), PIN).unwrap()
}

/// The token, seen by somebody else in this process.
pub(crate) fn other_user() -> (Pkcs11, Session) {
    let library = Pkcs11::new(library()).unwrap();
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(e) => panic!("{e}"),
    }
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    let session = library.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&AuthPin::from(PIN))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(e) => panic!("{e}"),
    }
    (library, session)
}

pub(crate) fn domain() -> SpiffeId {
    SpiffeId::new("spiffe://example.org").unwrap()
}

pub(crate) fn now() -> Time {
    Time::from_unix(NOW)
}

pub(crate) fn signs(key: &Pkcs11Key) {
    let request = credence_ca::csr::OwnRequest::for_key(key.public_key());
    let csr = key.sign_own_request(&request).unwrap();
    credence_host::possession::ProvenRequest::prove(&csr).unwrap();
}
