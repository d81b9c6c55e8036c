//! The signing module in use: where it comes from, how it does, and how another takes its place.

mod source;
mod tally;

pub use source::{ModuleError, ModuleSource};
pub use tally::Health;

use crate::{
    authority::{Authority, IssueError, mint},
    custody::Custodian,
    founding,
    metrics::Sample,
    possession::ProvenRequest,
    sandbox::{Limits, ModuleDigest, Sandbox},
};
use credence_ca::{csr::OwnRequest, custody::Custody, issuance::Issuance, validity::Time};
use spiffe::SpiffeId;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tally::Tally;

/// How the module is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub module: ModuleSource,
    /// What it may use.
    pub limits: Limits,
    /// After how many misbehaviours in a row the signer calls itself degraded.
    pub patience: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            module: ModuleSource::BuiltIn,
            limits: Limits::default(),
            patience: 5,
        }
    }
}

/// The module in use. Another takes its place only once it has shown that it works.
#[derive(Debug)]
pub struct Signer {
    settings: Settings,
    current: RwLock<Arc<Sandbox>>,
    tally: Tally,
}

/// A certificate, and by whose proposal.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) der: Vec<u8>,
    pub(crate) module: ModuleDigest,
}

impl Signer {
    /// Loads the module and tries it.
    ///
    /// # Errors
    /// If it cannot be read or loaded, or does not pass its self-test.
    pub fn open(settings: Settings) -> Result<Self, ModuleError> {
        let sandbox = settings.module.load(settings.limits)?;
        Self::with(sandbox, settings)
    }

    /// Takes a module that is loaded already, and tries it.
    ///
    /// # Errors
    /// If it does not pass its self-test.
    pub fn with(sandbox: Sandbox, settings: Settings) -> Result<Self, ModuleError> {
        let sandbox = Arc::new(sandbox);
        self_test(&sandbox, &settings)?;
        let signer = Self::untried(sandbox, settings);
        signer.tally.took();
        Ok(signer)
    }

    fn untried(sandbox: Arc<Sandbox>, settings: Settings) -> Self {
        Self {
            tally: Tally::new(settings.patience),
            current: RwLock::new(sandbox),
            settings,
        }
    }

    /// Reads the module's file again, and puts it in the place of the one in use if it is good.
    /// What has begun ends with the old one.
    ///
    /// # Errors
    /// If it cannot be read or loaded, or does not pass its self-test. The old one goes on then.
    pub fn reload(&self) -> Result<ModuleDigest, ModuleError> {
        let tried = self.settings.module.load(self.settings.limits);
        let taken = tried.and_then(|sandbox| {
            let sandbox = Arc::new(sandbox);
            self_test(&sandbox, &self.settings)?;
            Ok(sandbox)
        });
        match taken {
            Ok(sandbox) => {
                let digest = sandbox.digest();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = sandbox;
                self.tally.took();
                Ok(digest)
            }
            Err(error) => {
                self.tally.turned_down();
                Err(error)
            }
        }
    }

    /// The module in use.
    #[must_use]
    pub fn module(&self) -> Arc<Sandbox> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it is run.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How the module does.
    #[must_use]
    pub fn health(&self) -> Health {
        self.tally.health()
    }

    /// Everything that is counted, by name.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.tally.samples(&self.module())
    }

    /// The one door: module, guard, key.
    pub(crate) fn mint(
        &self,
        key: &dyn Custody,
        request: &ProvenRequest<'_>,
        issuance: &Issuance<'_>,
    ) -> Result<Minted, IssueError> {
        let sandbox = self.module();
        let outcome = mint(&sandbox, key, request, issuance);
        self.tally.count(outcome.as_ref().err());
        Ok(Minted {
            der: outcome?,
            module: sandbox.digest(),
        })
    }
}

/// The moment at which self-tests play: 2026-01-01T00:00:00Z.
const SELF_TEST: u64 = 1_767_225_600;

/// Has the module make a root, an issuer and a leaf, with keys that are thrown away, through
/// possession and guard as everything goes.
fn self_test(sandbox: &Arc<Sandbox>, settings: &Settings) -> Result<(), ModuleError> {
    let probation = Signer::untried(Arc::clone(sandbox), settings.clone());
    try_out(Arc::new(probation)).map_err(|e| ModuleError::SelfTest(Box::new(e)))
}

fn try_out(signer: Arc<Signer>) -> Result<(), IssueError> {
    let id = |text: &str| {
        SpiffeId::new(text).map_err(|e| {
            credence_ca::custody::CustodyError::Failed(format!("the self-test's identity: {e}"))
        })
    };
    let trust_domain = id("spiffe://self-test.example")?;
    let workload = id("spiffe://self-test.example/workload")?;
    let now = Time::from_unix(SELF_TEST);
    let founded = founding::found(&signer, &Custodian::default(), &trust_domain, now)?;
    let (root, issuer) = (founded.root.certificate, founded.issuer);
    let csr = issuer
        .key
        .sign_own_request(&OwnRequest::for_key(issuer.key.public_key()))?;
    Authority::new(signer, trust_domain, root, issuer.certificate, issuer.key)
        .issue_svid(&workload, &csr, Duration::from_secs(3600), now)
        .map(drop)
}
