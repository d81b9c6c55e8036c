//! What the tests share: a small world of identities, a CA that signs with Ed25519, and ledgers.

#![allow(dead_code, unreachable_pub, reason = "shared; no test uses all of it")]

use credence_ca::{
    der::{self, tag},
    serial::Serial,
    validity::Time,
};
use credence_ledger::{
    checkpoint::{CheckpointKey, CheckpointSigner, MemorySigner},
    entry::{
        Admin, Asker, By, Entry, Event, Issued, Lifecycle, Refused, Reinstated, Restored, Revoked,
        Subject, Takeover, TokenMade, TokenUsed,
    },
    octets::Digest,
    port::{Clock, Draft},
    sqlite::{Authority, Ledger, Options, ReadError, Reader},
    verify::{Checks, Fault, Replay, Report, Signatures, Wrong},
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// When everything begins.
pub const START: u64 = 1_800_000_000;
pub const DOMAIN: &str = "example.org";
/// What stands for a signing module.
pub const MODULE: &[u8] = b"a signing module";
/// SHA-256 with ECDSA, so that the field is filled.
const ALGORITHM: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

pub fn at(seconds: u64) -> Time {
    Time::from_unix(START + seconds)
}

/// A clock that a test sets; time passes for waits, too.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<(u64, Duration)>>);

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((START, Duration::ZERO))))
    }
}

impl TestClock {
    pub fn advance(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        now.0 += seconds;
        now.1 += Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Time {
        Time::from_unix(self.0.lock().unwrap().0)
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// The real one, where a test waits for something to recover by itself.
pub struct RealClock(Instant);

impl RealClock {
    #[allow(clippy::disallowed_methods, reason = "the clock itself")]
    pub fn boxed() -> Box<dyn Clock> {
        Box::new(Self(Instant::now()))
    }
}

impl Clock for RealClock {
    fn wall(&self) -> Time {
        at(self.elapsed().as_secs())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

pub fn signer() -> MemorySigner {
    MemorySigner::new(&Zeroizing::new([42; 32]))
}

pub fn authority(clock: Box<dyn Clock>) -> Authority<'static> {
    Authority {
        trust_domain: DOMAIN,
        random: [7; 16],
        signer: Box::new(signer()),
        former_keys: &[],
        clock,
    }
}

/// Quick to checkpoint, so that small ledgers have some.
pub fn options() -> Options {
    Options {
        checkpoint_every: 5,
        ..Options::default()
    }
}

pub fn open(path: &Path) -> Ledger {
    Ledger::open(path, &options(), authority(Box::new(TestClock::default()))).unwrap()
}

pub fn keys() -> Vec<CheckpointKey> {
    let origin = credence_ledger::chain::Origin::new(DOMAIN, [7; 16]).unwrap();
    vec![CheckpointKey::new(origin, &signer().public_key()).unwrap()]
}

/// A CA: what stands for its certificate is its public key.
pub fn ca() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

pub fn issuer() -> Vec<u8> {
    ca().verifying_key().to_bytes().to_vec()
}

pub fn asker() -> Asker {
    Asker {
        frontend: "istio".into(),
        attestor: "jwt".into(),
        proof: "jwt".into(),
        claims: BTreeMap::from([
            ("aud".into(), "credence".into()),
            ("iss".into(), "https://issuer.example.org".into()),
            ("sub".into(), "system:serviceaccount:shop:cart".into()),
        ]),
        peer: Some("192.0.2.7:31000".into()),
    }
}

/// Serial number `number`, of identity `number % 7`, from `at(number)` for an hour.
pub fn issued(number: u64) -> Issued {
    issued_to(number, &identity(number % 7), number)
}

pub fn identity(number: u64) -> String {
    format!("spiffe://example.org/ns/shop/sa/workload-{number}")
}

pub fn serial(number: u64) -> Serial {
    let mut octets = [0x5a; 16];
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    octets[..8].copy_from_slice(&mixed);
    octets[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_random(octets)
}

pub fn issued_to(number: u64, identity: &str, start: u64) -> Issued {
    let mut issued = Issued {
        asker: asker(),
        csr: vec![0x30; 300].into(),
        identity: identity.to_owned(),
        profile: "x509-svid".into(),
        permitted_dns_names: vec!["cart.shop.svc".into()],
        subject: None,
        not_before: at(start),
        not_after: at(start + 3600),
        serial: serial(number),
        issuer: Some(Digest::of(&issuer())),
        module: Digest::of(MODULE),
        tbs: Vec::new().into(),
        signature: Vec::new().into(),
        lineage_start: at(start),
        bundle: None,
    };
    sign(&mut issued);
    issued
}

/// What the module and the key make of it.
pub fn sign(issued: &mut Issued) {
    issued.tbs = tbs(issued).into();
    issued.signature = ca().sign(&issued.tbs.0).to_bytes().to_vec().into();
}

/// The signing module of this world.
pub fn tbs(issued: &Issued) -> Vec<u8> {
    let validity = der::sequence(&[&issued.not_before.to_der(), &issued.not_after.to_der()]);
    let name = der::encode(tag::OCTET_STRING, issued.identity.as_bytes());
    let extension = der::sequence(&[&[6, 3, 0x55, 0x1d, 0x11], &name]);
    let csr = der::encode(tag::OCTET_STRING, &Digest::of(&issued.csr.0).0);
    der::sequence(&[
        &[0xa0, 3, 2, 1, 2],
        &issued.serial.to_der(),
        ALGORITHM,
        &[0x30, 0],
        &validity,
        &[0x30, 0],
        &der::sequence(&[&csr]),
        &der::encode(tag::context_constructed(3), &der::sequence(&[&extension])),
    ])
}

/// Verifies what `sign` signs.
pub struct TestSignatures;

impl Signatures for TestSignatures {
    fn verify(&self, issuer: Option<&[u8]>, issued: &Issued) -> Result<(), String> {
        let key: &[u8; 32] = issuer.and_then(|i| i.try_into().ok()).ok_or("no issuer")?;
        let key = VerifyingKey::from_bytes(key).map_err(|error| error.to_string())?;
        let signature = ed25519_dalek::Signature::from_slice(&issued.signature.0)
            .map_err(|error| error.to_string())?;
        key.verify_strict(&issued.tbs.0, &signature)
            .map_err(|error| error.to_string())
    }
}

/// Runs the module of this world.
#[derive(Default)]
pub struct TestReplay {
    pub modules: u64,
}

impl Replay for TestReplay {
    fn has_module(&self, digest: &Digest) -> bool {
        self.modules > 0 && *digest == Digest::of(MODULE)
    }

    fn module(&mut self, _: &Digest, octets: &[u8]) -> Result<(), String> {
        self.modules += 1;
        (octets == MODULE).then_some(()).ok_or("another".into())
    }

    fn again(&mut self, issued: &Issued, issuer: Option<&[u8]>) -> Result<Vec<u8>, String> {
        issuer.ok_or("no issuer")?;
        Ok(tbs(issued))
    }
}

pub fn entry(seconds: u64, event: impl Into<Event>) -> Entry {
    Entry::new(at(seconds), event)
}

pub fn issue(number: u64) -> Draft {
    entry(number, issued(number)).into()
}

/// The objects that certificates name.
pub fn beginning() -> Vec<Draft> {
    vec![
        Draft::ca_added(at(0), "issuer", &issuer(), at(1_000_000)),
        Draft::module_taken(at(0), "built in", MODULE),
    ]
}

/// One entry of each kind that a daemon writes.
pub fn every_kind() -> Vec<Entry> {
    let token = Digest::of(b"secret");
    let uid = By::Uid(1000);
    let mut all: Vec<_> = beginning()
        .into_iter()
        .map(|draft| draft.entry().clone())
        .collect();
    all.extend([
        entry(1, issued(1)),
        entry(2, refused()),
        entry(3, revoked(Subject::Serial(serial(1)), Some(at(4000)))),
        entry(4, revoked(Subject::Identity(identity(3)), None)),
        entry(
            5,
            Lifecycle {
                step: "activate".into(),
                about: "root 1".into(),
                by: By::Itself,
                forced: vec!["refresh hints".into()],
                detail: String::new(),
            },
        ),
        entry(6, token_made(token, uid.clone())),
        entry(
            7,
            TokenUsed {
                token,
                identity: identity(4),
                expires: at(900),
            },
        ),
        entry(
            8,
            Admin {
                uid: 0,
                command: "revoke".into(),
                arguments: BTreeMap::from([("serial".into(), "5a".into())]),
                outcome: "done".into(),
            },
        ),
        entry(
            9,
            Takeover {
                from: "process 1".into(),
                to: "process 2".into(),
            },
        ),
        entry(
            10,
            Restored {
                size: 7,
                head: Digest::of(b"head"),
                by: uid.clone(),
            },
        ),
        entry(11, reinstated(identity(3))),
    ]);
    all
}

pub fn refused() -> Refused {
    Refused {
        asker: asker(),
        identity: Some(identity(2)),
        reason: "other-name".into(),
        detail: "the request asks for spiffe://example.org/admin".into(),
        csr: Some(vec![0x30, 0].into()),
        profile: None,
    }
}

pub fn revoked(subject: Subject, ends: Option<Time>) -> Revoked {
    Revoked {
        subject,
        reason: "key compromise".into(),
        by: By::Uid(0),
        ends,
    }
}

pub fn reinstated(identity: String) -> Reinstated {
    Reinstated {
        identity,
        reason: "a new key".into(),
        by: By::Uid(0),
    }
}

pub fn token_made(token: Digest, by: By) -> TokenMade {
    TokenMade {
        token,
        identity: identity(4),
        expires: at(900),
        by,
    }
}

/// A ledger with objects and this many certificates, closed again.
pub fn filled(folder: &Path, certificates: u64) -> PathBuf {
    let path = folder.join("ledger.db");
    let ledger = open(&path);
    ledger.append_blocking(beginning()).unwrap();
    for number in 1..=certificates {
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    path
}

/// Everything that can be verified.
pub fn verify(path: &Path) -> Result<Report, ReadError> {
    let keys = keys();
    let mut replay = TestReplay::default();
    let checks = Checks {
        signatures: Some(&TestSignatures),
        replay: Some(&mut replay),
        ..Checks::chain(&keys)
    };
    Reader::open(path)?.verify(checks, &mut |_| {})
}

/// The fault that verifying finds.
pub fn fault(path: &Path) -> Fault {
    match verify(path) {
        Err(ReadError::Damaged { fault, .. }) => *fault,
        other => panic!("{other:?}"),
    }
}

/// What is wrong there.
pub fn wrong(path: &Path) -> Wrong {
    fault(path).wrong
}

/// Waits for something that happens by itself.
#[allow(clippy::disallowed_methods, reason = "a test that waits has a limit")]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
