//! How a CA begins: founded anew, with a chain from elsewhere, or from what is stored.

use super::{Lifecycle, LifecycleError, Places, stored, thread::Thread, work::Worker};
use crate::{
    book::Book, clock::Shared, current::Current, lists::Lists, publication::Publication,
    revocations::Revocations,
};
use credence_ca::{
    certificate::CaCertificate,
    dns::DnsTemplates,
    domains::Domains,
    lifecycle::{
        Active, Event, IssuerCertificate, KeyPlace, RootCertificate, RunId, Settings, State, World,
    },
    validity::Time,
};
use credence_host::{
    authorities::{Authorities, Authorized, Imported, KeyHome},
    chain::OwnChain,
    custody::{Custodian, Role, SigningKey},
    founding,
    signer::Signer,
};
use spiffe::SpiffeId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A chain from elsewhere that has been verified.
#[derive(Debug)]
pub struct Import {
    /// The root.
    pub root: CaCertificate,
    /// The root's key, if it is here.
    pub root_key: Option<(SigningKey, KeyHome)>,
    /// The CAs between the issuer and the root, the nearest to the issuer first.
    pub above: Vec<CaCertificate>,
    /// The issuer, with its key; none: the root only.
    pub issuer: Option<(CaCertificate, SigningKey, KeyHome)>,
    /// Further roots that are trusted, and below which leaves are out there.
    pub anchors: Vec<CaCertificate>,
    /// The longest life of a leaf that others have signed below these roots.
    pub others: Duration,
}

impl Import {
    /// A chain that was checked, with its issuer's key and where that is kept. A root's key that came along is somebody else's to keep.
    ///
    /// # Errors
    /// If it has no root.
    pub fn of(own: OwnChain, home: KeyHome, others: Duration) -> Result<Self, LifecycleError> {
        let OwnChain {
            roots,
            above,
            issuer,
            issuer_key,
            root_key,
            ..
        } = own;
        let mut roots = roots.into_iter();
        let missing = || LifecycleError::Missing("a root".into());
        Ok(Self {
            root: roots.next().ok_or_else(missing)?,
            root_key: root_key.map(|key| (key, KeyHome::Elsewhere)),
            above,
            issuer: Some((issuer, issuer_key, home)),
            anchors: roots.collect(),
            others,
        })
    }

    /// Stores the further roots, but for those that have ended: nothing lives below them.
    pub(super) fn take_anchors(
        &mut self,
        authorities: &mut Authorities,
        now: Time,
    ) -> Result<Vec<Arc<Authorized>>, LifecycleError> {
        let mut taken = Vec::new();
        for certificate in std::mem::take(&mut self.anchors) {
            if certificate.validity().not_after < now {
                continue;
            }
            taken.push(authorities.import(Imported {
                role: Role::Root,
                certificate,
                above: Vec::new(),
                key: None,
            })?);
        }
        Ok(taken)
    }
}

/// Where a new CA gets its root and issuer from.
#[derive(Debug)]
pub enum Beginning {
    /// It makes them.
    Found,
    /// Another CA's.
    Import(Box<Import>),
}

/// What the lifecycle works with.
pub struct Parts {
    /// `lifecycle.json`.
    pub file: PathBuf,
    /// The trust domain's own ID.
    pub trust_domain: SpiffeId,
    /// Trust domains whose workloads get certificates too.
    pub further_domains: Domains,
    /// Stored roots and issuers.
    pub authorities: Authorities,
    /// Makes keys.
    pub custodian: Custodian,
    /// Signs.
    pub signer: Arc<Signer>,
    /// The record.
    pub book: Arc<Book>,
    /// Where leaves are used.
    pub places: Arc<Places>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// The lists of it.
    pub lists: Arc<Lists>,
    /// What is published.
    pub publication: Arc<Publication>,
    /// What holds now.
    pub current: Arc<Current>,
    /// How much earlier leaves begin.
    pub backdate: Duration,
    /// DNS names that leaves may have.
    pub dns_templates: DnsTemplates,
    /// The time.
    pub clock: Shared,
}

impl Lifecycle {
    /// Goes on from what is stored, and from a chain that is brought along at each start, if there is one. When this returns, there is an issuer, and a bundle is published.
    ///
    /// # Errors
    /// If it cannot be made, read, stored or put on record.
    pub fn start(
        parts: Parts,
        settings: Settings,
        brought: Option<Import>,
    ) -> Result<Self, LifecycleError> {
        let run = run()?;
        let missing = || LifecycleError::Missing(parts.file.display().to_string());
        let state = stored::load(&parts.file)?.ok_or_else(missing)?;
        let (orders, incoming) = Self::channel();
        parts.publication.nudged_by(super::nudge(&orders));
        let worker = Worker::new(parts)?;
        let (thread, reports) = Thread::new(state, (settings, run), worker, incoming, brought)?;
        let thread = std::thread::Builder::new()
            .name("lifecycle".into())
            .spawn(move || thread.run())
            .map_err(|_| LifecycleError::Ended)?;
        Ok(Self {
            orders,
            reports,
            thread: Some(thread),
        })
    }

    /// The ledger was lost, and with it what is known of leaves: gates stay shut as after a restore. To be told before [`Lifecycle::start`].
    ///
    /// # Errors
    /// If the state cannot be read or stored.
    pub fn ledger_lost(file: &Path, clock: &Shared) -> Result<(), LifecycleError> {
        let missing = || LifecycleError::Missing(file.display().to_string());
        let state = stored::load(file)?.ok_or_else(missing)?;
        let world = World {
            reading: clock.reading(run()?),
            holders: None,
        };
        let (state, _) = state.step(world, Event::Restored)?;
        Ok(stored::store(file, &state)?)
    }

    /// Begins a CA, and stores its state: with a root and an issuer that it makes, or with those of a chain from elsewhere.
    ///
    /// # Errors
    /// If they cannot be made or stored. What was made is found again the next time.
    pub fn begin(founder: &mut Founder<'_>, beginning: Beginning) -> Result<(), LifecycleError> {
        let state = begin(founder, beginning, run()?)?;
        Ok(stored::store(founder.file, &state)?)
    }
}

/// What a CA is founded with.
pub struct Founder<'a> {
    /// `lifecycle.json`.
    pub file: &'a Path,
    /// The trust domain's own ID.
    pub trust_domain: &'a SpiffeId,
    /// Stored roots and issuers.
    pub authorities: &'a mut Authorities,
    /// Makes keys.
    pub custodian: &'a Custodian,
    /// Signs.
    pub signer: &'a Signer,
    /// Lives and hints.
    pub settings: Settings,
    /// The time.
    pub clock: &'a Shared,
}

fn run() -> Result<RunId, LifecycleError> {
    let mut octets = [0; 16];
    let drawn = getrandom::fill(&mut octets);
    drawn.map_err(|_| LifecycleError::Missing("the system's randomness".into()))?;
    Ok(RunId::from_random(octets))
}

/// Each step of it finds what was done before a crash: the names are the same every time.
fn begin(
    parts: &mut Founder<'_>,
    beginning: Beginning,
    run: RunId,
) -> Result<State, LifecycleError> {
    let (root, issuer, others, anchors) = match beginning {
        Beginning::Found => {
            let root = founded_root(parts)?;
            let issuer = founded_issuer(parts, &root)?;
            (root, issuer, None, Vec::new())
        }
        Beginning::Import(mut chain) => {
            let others = chain.others;
            let anchors = chain.take_anchors(parts.authorities, parts.clock.time())?;
            let (root, issuer) = import(parts.authorities, *chain)?;
            let issuer =
                issuer.ok_or_else(|| LifecycleError::Missing("an issuer to begin with".into()))?;
            (root, issuer, Some(others), anchors)
        }
    };
    let root_facts = root_facts(&root);
    let pair = Active {
        root: root_facts,
        issuer: IssuerCertificate::of(&issuer.certificate, &issuer.above, &root_facts),
    };
    let world = World {
        reading: parts.clock.reading(run),
        holders: None,
    };
    let mut state = State::found(parts.settings, pair, others, world)?;
    for anchor in anchors {
        let event = Event::ImportAnchor {
            root: self::root_facts(&anchor),
            longest_leaf_life: others.unwrap_or_default(),
        };
        state = state.step(world, event)?.0;
    }
    Ok(state)
}

pub(super) fn root_facts(root: &Authorized) -> RootCertificate {
    let place = match root.key {
        Some(_) => KeyPlace::Here,
        None => KeyPlace::Elsewhere,
    };
    RootCertificate::of(&root.certificate, place)
}

/// Stores a chain; gives the root and the issuer, if it has one.
pub(super) fn import(
    authorities: &mut Authorities,
    chain: Import,
) -> Result<(Arc<Authorized>, Option<Arc<Authorized>>), LifecycleError> {
    let root = authorities.import(Imported {
        role: Role::Root,
        certificate: chain.root,
        above: Vec::new(),
        key: chain.root_key,
    })?;
    let issuer = chain.issuer.map(|(certificate, key, home)| {
        authorities.import(Imported {
            role: Role::Issuer,
            certificate,
            above: chain.above,
            key: Some((key, home)),
        })
    });
    Ok((root, issuer.transpose()?))
}

fn founded_root(parts: &mut Founder<'_>) -> Result<Arc<Authorized>, LifecycleError> {
    const NAME: &str = "founding-root";
    if let Some(root) = parts.authorities.named(NAME) {
        return Ok(root);
    }
    let life = parts.settings.terms().root_life;
    let now = parts.clock.time();
    let made = founding::make_root(parts.signer, parts.custodian, parts.trust_domain, life, now)?;
    Ok(parts.authorities.store(NAME, Role::Root, made)?)
}

fn founded_issuer(
    parts: &mut Founder<'_>,
    root: &Authorized,
) -> Result<Arc<Authorized>, LifecycleError> {
    const NAME: &str = "founding-issuer";
    if let Some(issuer) = parts.authorities.named(NAME) {
        return Ok(issuer);
    }
    let key = root
        .key
        .as_ref()
        .ok_or_else(|| LifecycleError::Missing("the root's key".into()))?;
    let above = (
        &root.certificate,
        key.as_ref() as &dyn credence_ca::custody::Custody,
    );
    let life = parts.settings.terms().issuer_life;
    let now = parts.clock.time();
    let made = founding::make_issuer(
        parts.signer,
        parts.custodian,
        parts.trust_domain,
        above,
        life,
        now,
    )?;
    Ok(parts.authorities.store(NAME, Role::Issuer, made)?)
}
