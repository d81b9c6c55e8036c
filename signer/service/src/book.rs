//! What goes on record, and how: each certificate before it leaves, with all that it takes to make it again.

mod key;

pub use key::{KeyFileError, checkpoint_key};

use crate::clock::Shared;
use credence_ca::{
    certificate::Signed,
    der::{self, DerError, tag},
    profile::Profile,
    serial::Serial,
    tbs::Tbs,
    validity::Time,
};
use credence_host::{
    authorities::Authorized, authority::IssuedSvid, custody::Role, sandbox::ModuleDigest,
    signer::Signer,
};
use credence_ledger::{
    checkpoint::MemorySigner,
    entry::{Asker, Entry, Event, Issued, Name, Refused, Takeover},
    octets::Digest,
    port::{Append as _, AppendError, Draft, Health},
    sqlite::{About, Authority, Ledger, OpenError, Options, Previous, Query, ReadError, Reader},
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use thiserror::Error;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// The ledger's file in a state folder.
pub const LEDGER: &str = "ledger.db";
/// The file of its checkpoints' key.
pub const KEY: &str = "ledger.key";

/// Why something is not on record, and therefore does not leave. Waiting helps.
#[derive(Debug, Error)]
pub enum Unrecorded {
    /// The ledger.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The ledger, reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another module took its place in between.
    #[error("the signing module {0} was replaced before it was on record")]
    Replaced(ModuleDigest),
    /// A fault of ours.
    #[error("what was signed cannot be read: {0}")]
    Unreadable(#[from] DerError),
}

/// A leaf, as it goes on record.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Who asked.
    pub asker: Asker,
    /// For which identity.
    pub identity: &'a SpiffeId,
    /// Of which kind.
    pub profile: Profile,
    /// The request, DER.
    pub csr: Vec<u8>,
    /// What was signed.
    pub svid: &'a IssuedSvid,
    /// By whom.
    pub issuer: Digest,
    /// When its chain of renewals began.
    pub lineage_start: Time,
    /// The bundle that goes along.
    pub bundle: Option<String>,
}

/// The ledger, and what of it is known to be there.
pub struct Book {
    ledger: Ledger,
    signer: Arc<Signer>,
    clock: Shared,
    modules: Mutex<BTreeSet<Digest>>,
}

impl Book {
    /// Opens the ledger, or begins it. `seed` is the checkpoint key's.
    ///
    /// # Errors
    /// If it cannot be opened, or another daemon has it.
    pub fn open(
        path: &Path,
        trust_domain: &SpiffeId,
        seed: &Zeroizing<[u8; 32]>,
        options: &Options,
        signer: Arc<Signer>,
        clock: Shared,
    ) -> Result<Self, OpenError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|e| OpenError::Thread(std::io::Error::other(e.to_string())))?;
        let authority = Authority {
            trust_domain: trust_domain.trust_domain_name(),
            random,
            signer: Box::new(MemorySigner::new(seed)),
            former_keys: &[],
            clock: Box::new(clock.clone()),
        };
        let ledger = Ledger::open(path, options, authority)?;
        if let Previous::Left(from) = ledger.previous() {
            let takeover = Takeover {
                from: from.clone(),
                to: options.holder.clone(),
            };
            let entry = Entry::new(clock.time(), takeover);
            // a disk that is full now is told by the ledger's health, and by every answer
            if let Err(error) = ledger.append_blocking(vec![entry.into()]) {
                tracing::error!(%error, "that the last daemon ended without a word is not on record");
            }
        }
        Ok(Self {
            ledger,
            signer,
            clock,
            modules: Mutex::default(),
        })
    }

    /// The ledger itself.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The time by which entries are written.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.time()
    }

    /// A reader of its own.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        self.ledger.reader()
    }

    /// How the ledger is, and what it changes to.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.ledger.watch()
    }

    /// Puts the signing module on record, unless it is there. One that is taken later goes on record with the first certificate that it
    /// makes. Blocks.
    ///
    /// # Errors
    /// If it is not on record.
    pub fn module(&self) -> Result<(), Unrecorded> {
        let digest = self.signer.module().digest();
        let module = Digest(*digest.octets());
        if let Some(draft) = self.module_draft(digest, &module)? {
            self.ledger.append_blocking(vec![draft])?;
            self.modules().insert(module);
        }
        Ok(())
    }

    /// Puts a root or issuer on record, unless it is there: its certificate, and how it was made. Blocks.
    ///
    /// # Errors
    /// If it is not on record.
    pub fn authority(
        &self,
        one: &Authorized,
        trust_domain: &SpiffeId,
        root: Option<&Authorized>,
    ) -> Result<(), Unrecorded> {
        let mut drafts = Vec::new();
        for (role, certificate) in std::iter::once((one.role.name(), &one.certificate))
            .chain(one.above.iter().map(|above| ("intermediate", above)))
        {
            if !self.knows(&Digest::of(certificate.der()))? {
                let ends = certificate.validity().not_after;
                drafts.push(Draft::ca_added(
                    self.clock.time(),
                    role,
                    certificate.der(),
                    ends,
                ));
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        if let Some(made) = &one.made {
            let module = Digest(*made.module.octets());
            drafts.splice(0..0, self.module_draft(made.module, &module)?);
            drafts.push(self.own(one, made, trust_domain, root)?);
            self.ledger.append_blocking(drafts)?;
            self.modules().insert(module);
        } else {
            self.ledger.append_blocking(drafts)?;
        }
        Ok(())
    }

    /// A CA's own certificate, as an issuance.
    fn own(
        &self,
        one: &Authorized,
        made: &credence_host::founding::Certified,
        trust_domain: &SpiffeId,
        root: Option<&Authorized>,
    ) -> Result<Draft, Unrecorded> {
        let (tbs, signature) = split(one.certificate.der())?;
        let profile = match one.role {
            Role::Root => Profile::Root,
            Role::Issuer => Profile::Issuer,
        };
        let validity = one.certificate.validity();
        let now = self.clock.time();
        let issued = Issued {
            asker: Asker {
                frontend: "lifecycle".into(),
                attestor: "itself".into(),
                proof: "none".into(),
                ..Asker::default()
            },
            csr: made.csr.clone().into(),
            identity: trust_domain.to_string(),
            profile: profile.name().to_owned(),
            permitted_dns_names: Vec::new(),
            subject: Some(Name {
                organization: made.subject.organization.clone(),
                common_name: made.subject.common_name.clone(),
            }),
            not_before: validity.not_before,
            not_after: validity.not_after,
            serial: serial(tbs)?,
            issuer: root.map(|root| Digest::of(root.certificate.der())),
            module: Digest(*made.module.octets()),
            tbs: tbs.to_vec().into(),
            signature: signature.to_vec().into(),
            lineage_start: now,
            bundle: None,
        };
        Ok(Entry::new(now, issued).into())
    }

    /// Puts a leaf on record; only then may it leave.
    ///
    /// # Errors
    /// If it is not on record.
    pub async fn issued(&self, leaf: Leaf<'_>) -> Result<(), Unrecorded> {
        let svid = leaf.svid;
        let module = Digest(*svid.module.octets());
        let mut drafts: Vec<Draft> = self
            .module_draft(svid.module, &module)?
            .into_iter()
            .collect();
        let (tbs, signature) = split(svid.chain.first().map_or(&[], Vec::as_slice))?;
        let issued = Issued {
            asker: leaf.asker,
            csr: leaf.csr.into(),
            identity: leaf.identity.to_string(),
            profile: leaf.profile.name().to_owned(),
            permitted_dns_names: svid
                .permitted_dns_names
                .iter()
                .map(ToString::to_string)
                .collect(),
            subject: None,
            not_before: svid.validity.not_before,
            not_after: svid.validity.not_after,
            serial: svid.serial.clone(),
            issuer: Some(leaf.issuer),
            module,
            tbs: tbs.to_vec().into(),
            signature: signature.to_vec().into(),
            lineage_start: leaf.lineage_start,
            bundle: leaf.bundle,
        };
        drafts.push(Entry::new(self.clock.time(), issued).into());
        let first = drafts.len() > 1;
        self.ledger.append(drafts).await?;
        if first {
            self.modules().insert(module);
        }
        Ok(())
    }

    /// Puts a refusal of an authenticated caller on record.
    ///
    /// # Errors
    /// If it is not on record.
    pub async fn refused(&self, refused: Refused) -> Result<(), Unrecorded> {
        self.event(refused).await
    }

    /// Puts anything else on record.
    ///
    /// # Errors
    /// If it is not on record.
    pub async fn event(&self, event: impl Into<Event>) -> Result<(), Unrecorded> {
        let entry = Entry::new(self.clock.time(), event);
        self.ledger.append(vec![entry.into()]).await?;
        Ok(())
    }

    /// The same, and waits for it without a runtime.
    ///
    /// # Errors
    /// If it is not on record.
    pub fn event_blocking(&self, event: impl Into<Event>) -> Result<(), Unrecorded> {
        let entry = Entry::new(self.clock.time(), event);
        self.ledger.append_blocking(vec![entry.into()])?;
        Ok(())
    }

    /// A module's entry, if it has none: it goes in front of the first certificate that it made.
    fn module_draft(
        &self,
        digest: ModuleDigest,
        module: &Digest,
    ) -> Result<Option<Draft>, Unrecorded> {
        if self.modules().contains(module) {
            return Ok(None);
        }
        if self.knows(module)? {
            self.modules().insert(*module);
            return Ok(None);
        }
        let sandbox = self.signer.module();
        if sandbox.digest() != digest {
            return Err(Unrecorded::Replaced(digest));
        }
        let source = self.signer.settings().module.to_string();
        Ok(Some(Draft::module_taken(
            self.clock.time(),
            &source,
            sandbox.octets(),
        )))
    }

    fn knows(&self, object: &Digest) -> Result<bool, ReadError> {
        let query = Query {
            limit: 1,
            ..Query::about(About::Object(*object))
        };
        Ok(!self.reader()?.list(&query)?.records.is_empty())
    }

    fn modules(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// tbsCertificate, whole, and signatureValue's octets (RFC 5280 §4.1).
fn split(certificate: &[u8]) -> Result<(&[u8], &[u8]), DerError> {
    let signed = Signed::split(certificate)?;
    Ok((signed.tbs, signed.signature))
}

fn serial(tbs: &[u8]) -> Result<Serial, DerError> {
    let tbs = Tbs::read(tbs)?;
    let octets = der::unsigned(der::single(tbs.serial, tag::INTEGER)?.value)?;
    Serial::from_octets(octets).map_err(|_| DerError::Value("serial number"))
}

/// The serial number of a certificate, DER.
///
/// # Errors
/// If it is not one.
pub fn serial_of(certificate: &[u8]) -> Result<Serial, DerError> {
    serial(split(certificate)?.0)
}
