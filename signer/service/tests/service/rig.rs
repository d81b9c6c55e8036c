//! A CA without a network, over a real state folder.

use credence_attest::{Attested, Lineage, ProofKind, ProofRecord};
use credence_ca::{
    lifecycle::{Event, RootSchedule, Settings, Terms},
    profile::Profile,
    validity::Time,
};
use credence_daemon::{
    ports::{Frontend, Issued, Issuing as _, Order, Remote},
    refusal::Refusal,
};
use credence_host::{
    authorities::Authorities,
    custody::Custodian,
    signer::{Settings as SignerSettings, Signer},
    state::StateFolder,
};
use credence_ledger::{
    entry::By,
    sqlite::{Options, Reader},
};
use credence_service::{
    applicant::Applicant,
    book::{Book, checkpoint_key},
    clock::{Clock, Shared},
    current::Current,
    door::Door,
    lifecycle::{Beginning, Founder, Lifecycle, LifecycleError, Parts, Places},
    lists::Lists,
    operator::{Operator, Reach},
    publication::Publication,
    revocations::Revocations,
    tokens::Tokens,
};
use rcgen::{CertificateParams, KeyPair};
use spiffe::SpiffeId;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const LEAF: u64 = 600;
pub(crate) const HINT: u64 = 60;
pub(crate) const SKEW: u64 = 30;

/// A clock that stands until it is turned. The second is by how much the wall clock alone is ahead.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicU64, AtomicU64);

impl Clock for TestClock {
    fn wall(&self) -> SystemTime {
        let ahead = self.1.load(Ordering::SeqCst);
        UNIX_EPOCH + Duration::from_secs(START + ahead) + self.steady()
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn settings() -> Settings {
    Settings::try_from(Terms {
        longest_leaf_life: Duration::from_secs(LEAF),
        refresh_hint: Duration::from_secs(HINT),
        clock_skew: Duration::from_secs(SKEW),
        issuer_life: Duration::from_secs(86_400),
        root_life: Duration::from_secs(864_000),
        roots: RootSchedule::OnOrder,
    })
    .unwrap()
}

/// Compiling the module takes longest: it is done once.
fn signer() -> Arc<Signer> {
    static SIGNER: OnceLock<Arc<Signer>> = OnceLock::new();
    let open = || Arc::new(Signer::open(SignerSettings::default()).unwrap());
    Arc::clone(SIGNER.get_or_init(open))
}

pub(crate) fn domain() -> SpiffeId {
    SpiffeId::new("spiffe://example.org").unwrap()
}

pub(crate) struct Rig {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) book: Arc<Book>,
    pub(crate) current: Arc<Current>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) operator: Operator,
    pub(crate) door: Door,
    places: Arc<Places>,
    _state: StateFolder,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(folder, Arc::default(), &Options::default())
    }

    pub(crate) fn open(folder: Arc<TempDir>, clock: Arc<TestClock>, options: &Options) -> Self {
        Self::try_open(folder, clock, options).unwrap()
    }

    /// Opening blocks, and a runtime's thread may not.
    pub(crate) fn try_open(
        folder: Arc<TempDir>,
        clock: Arc<TestClock>,
        options: &Options,
    ) -> Result<Self, LifecycleError> {
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| Self::blocking(folder, clock, options));
            opened.join().unwrap()
        })
    }

    fn blocking(
        folder: Arc<TempDir>,
        clock: Arc<TestClock>,
        options: &Options,
    ) -> Result<Self, LifecycleError> {
        let shared = Shared(Arc::clone(&clock) as _);
        let path = folder.path().join("state");
        let state = StateFolder::open(&path)?;
        let mut authorities = Authorities::open(&state, &Custodian::default())?;
        let file = path.join("lifecycle.json");
        if !file.exists() {
            let mut founder = Founder {
                file: &file,
                trust_domain: &domain(),
                authorities: &mut authorities,
                custodian: &Custodian::default(),
                signer: &signer(),
                settings: settings(),
                clock: &shared,
            };
            Lifecycle::begin(&mut founder, Beginning::Found)?;
        }
        let ledger = path.join("ledger.db");
        let key = checkpoint_key(&path.join("ledger.key"), ledger.exists()).unwrap();
        let book = Book::open(&ledger, &domain(), &key, options, signer(), shared.clone()).unwrap();
        let book = Arc::new(book);
        let places = Arc::<Places>::default();
        let current = Arc::<Current>::default();
        let revocations = Arc::new(Revocations::read(&book.reader().unwrap()).unwrap());
        let numbers = path.join("revocations.json");
        let lists = Lists::open(numbers, Arc::clone(&revocations), shared.clone()).unwrap();
        let lists = Arc::new(lists);
        let publication = Publication::new(
            domain().trust_domain().clone(),
            Arc::clone(&places),
            Arc::clone(&lists),
        );
        let publication = Arc::new(publication);
        let parts = Parts {
            file,
            trust_domain: domain(),
            further_domains: credence_ca::domains::Domains::default(),
            authorities,
            custodian: Custodian::default(),
            signer: signer(),
            book: Arc::clone(&book),
            places: Arc::clone(&places),
            revocations: Arc::clone(&revocations),
            lists: Arc::clone(&lists),
            publication: Arc::clone(&publication),
            current: Arc::clone(&current),
            backdate: credence_ca::validity::BACKDATE,
            dns_templates: credence_ca::dns::DnsTemplates::default(),
            clock: shared.clone(),
        };
        let lifecycle = Arc::new(Lifecycle::start(parts, settings(), None)?);
        let reader = book.reader().unwrap();
        let tokens = Tokens::read(Arc::clone(&book), &reader, shared.clone()).unwrap();
        let operator = Operator::new(Reach {
            lifecycle: Arc::clone(&lifecycle),
            book: Arc::clone(&book),
            revocations: Arc::clone(&revocations),
            lists: Arc::clone(&lists),
            tokens: Arc::new(tokens),
            places: Arc::clone(&places),
            current: Arc::clone(&current),
        });
        let door = Door::new(
            Arc::clone(&current),
            Arc::clone(&book),
            Arc::clone(&places),
            Arc::clone(&revocations),
            shared,
            credence_daemon::limits::IssuanceLimits::default().signing,
        );
        Ok(Self {
            folder,
            clock,
            book,
            current,
            revocations,
            lifecycle,
            lists,
            operator,
            door,
            places,
            _state: state,
        })
    }

    /// Ends without a word, and comes up again.
    pub(crate) fn again(self) -> Self {
        let (folder, clock) = (Arc::clone(&self.folder), Arc::clone(&self.clock));
        drop(self);
        Self::open(folder, clock, &Options::default())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// How many leaves live.
    pub(crate) fn live(&self) -> usize {
        self.places.leaves()
    }

    pub(crate) fn reader(&self) -> Reader {
        self.book.reader().unwrap()
    }

    /// Time passes, and the lifecycle sees it, in steps as small as its own.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds.div_ceil(10) {
            self.clock.0.fetch_add(10, Ordering::SeqCst);
            self.lifecycle.tell(Event::Tick, By::Itself).await.unwrap();
        }
    }

    /// Time passes while nobody looks.
    pub(crate) fn sleep(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The wall clock jumps ahead.
    pub(crate) fn jump(&self, seconds: u64) {
        self.clock.1.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The lifecycle has looked at everything.
    pub(crate) async fn settle(&self) {
        self.lifecycle.look();
        self.lifecycle.status().await.unwrap();
    }

    pub(crate) async fn order(&self, event: Event) {
        self.lifecycle.tell(event, By::Uid(7)).await.unwrap();
    }

    pub(crate) async fn issue(&self, id: &str) -> Result<Issued, Refusal> {
        self.door.issue(applicant(id), order(Frontend::Istio)).await
    }

    /// The phases of all roots, and of all issuers.
    pub(crate) async fn phases(&self) -> (Vec<String>, Vec<String>) {
        let (status, _) = self.lifecycle.status().await.unwrap();
        let phases = |all: &[credence_ca::lifecycle::Standing]| {
            all.iter().map(|one| one.phase.to_string()).collect()
        };
        (phases(&status.roots), phases(&status.issuers))
    }
}

pub(crate) fn now() -> Time {
    Time::from_unix(START)
}

pub(crate) fn applicant(id: &str) -> Applicant {
    Applicant {
        attested: Attested {
            identity: SpiffeId::new(id).unwrap(),
            on_behalf: None,
            proof: ProofRecord {
                attestor: "tokens".into(),
                kind: ProofKind::Jwt,
                issuer: Some("https://kubernetes.test".into()),
                subject: Some("system:serviceaccount:shop:web".into()),
                audiences: vec!["istio-ca".into()],
                fingerprint: Some([7; 32]),
                expires: None,
            },
            renewal: None,
        },
        peer: "192.0.2.7:4711".parse().ok().map(Remote::Address),
    }
}

pub(crate) fn renewal(id: &str, lineage: Lineage) -> Applicant {
    let mut applicant = applicant(id);
    applicant.attested.renewal = Some(lineage);
    applicant
}

pub(crate) fn order(frontend: Frontend) -> Order {
    Order {
        frontend,
        profile: Profile::IstioWorkload,
        csr: csr(),
        life: Duration::from_secs(LEAF),
    }
}

pub(crate) fn csr() -> Vec<u8> {
    static CSR: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        params.serialize_request(&key).unwrap().der().to_vec()
    };
    CSR.get_or_init(make).clone()
}

/// The folder's files below a path, relative, sorted.
pub(crate) fn files(below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![below.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(below).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}
