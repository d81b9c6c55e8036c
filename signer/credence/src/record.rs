//! What `credence dev` puts on record: each certificate before it leaves, and what it takes to make it again.

use crate::{
    clock::{Clocks, WallClock},
    failure::Failure,
};
use credence_ca::{
    certificate::CaCertificate,
    der::{self, DerError, Reader, tag},
    hex,
    profile::Profile,
};
use credence_host::{
    authority::{IssueError, IssuedSvid},
    private_file::{self, FileError},
    sandbox::ModuleDigest,
    signer::Signer,
    state::{StateError, StoredCa},
};
use credence_ledger::{
    checkpoint::MemorySigner,
    entry::{Asker, Entry, Issued, Refused},
    octets::Digest,
    port::{Append as _, AppendError, Draft},
    sqlite::{About, Authority, Ledger, Options, Query},
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why something is not on record, and therefore does not leave. Waiting helps.
#[derive(Debug, Error)]
pub(crate) enum Unrecorded {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the signing module {0} was replaced before it was on record")]
    Replaced(ModuleDigest),
    #[error("what was signed cannot be read: {0}")]
    Unreadable(#[from] DerError),
}

/// The ledger of a state folder.
pub(crate) struct Record {
    ledger: Ledger,
    signer: Arc<Signer>,
    /// The SHA-256 of the certificate of what signs leaves.
    issuer: Digest,
    clock: WallClock,
    /// Modules that are on record, octets and all.
    modules: Mutex<BTreeSet<Digest>>,
}

impl Record {
    /// Opens `ledger.db` in the state folder, or begins it, and puts the CA and the module on record if they are not.
    pub(crate) fn open(
        state: &Path,
        trust_domain: &SpiffeId,
        signer: Arc<Signer>,
        ca: &StoredCa,
        clock: WallClock,
    ) -> Result<Self, Failure> {
        let path = state.join("ledger.db");
        let mut random = [0; 16];
        fill(&mut random)?;
        let authority = Authority {
            trust_domain: trust_domain.trust_domain_name(),
            random,
            signer: Box::new(MemorySigner::new(&key(state, path.exists())?)),
            former_keys: &[],
            clock: Box::new(Clocks::start(clock)),
        };
        let ledger = Ledger::open(&path, &Options::default(), authority)?;
        let record = Self {
            ledger,
            signer,
            issuer: Digest::of(ca.issuer.der()),
            clock,
            modules: Mutex::default(),
        };
        record.begin(ca)?;
        Ok(record)
    }

    /// The key that its checkpoints verify by, in the form of a C2SP signed note's.
    pub(crate) fn key(&self) -> String {
        self.ledger.key().text()
    }

    fn begin(&self, ca: &StoredCa) -> Result<(), Failure> {
        let mut drafts = Vec::new();
        for (role, certificate) in [("root", &ca.root), ("issuer", &ca.issuer)] {
            if !self.knows(&Digest::of(certificate.der()))? {
                drafts.push(self.ca_added(role, certificate));
            }
        }
        let sandbox = self.signer.module();
        let module = Digest(*sandbox.digest().octets());
        if !self.knows(&module)? {
            drafts.push(self.module_taken(sandbox.octets()));
        }
        if !drafts.is_empty() {
            self.ledger.append_blocking(drafts)?;
        }
        self.modules().insert(module);
        Ok(())
    }

    fn knows(&self, object: &Digest) -> Result<bool, Failure> {
        let query = Query {
            limit: 1,
            ..Query::about(About::Object(*object))
        };
        Ok(!self.ledger.reader()?.list(&query)?.records.is_empty())
    }

    fn ca_added(&self, role: &str, certificate: &CaCertificate) -> Draft {
        let ends = certificate.validity().not_after;
        Draft::ca_added(self.clock.time(), role, certificate.der(), ends)
    }

    fn module_taken(&self, octets: &[u8]) -> Draft {
        let source = self.signer.settings().module.to_string();
        Draft::module_taken(self.clock.time(), &source, octets)
    }

    /// Puts a certificate on record; only then may it leave.
    pub(crate) async fn issued(
        &self,
        identity: &SpiffeId,
        csr: &[u8],
        svid: &IssuedSvid,
    ) -> Result<(), Unrecorded> {
        let module = Digest(*svid.module.octets());
        let mut drafts = self.new_module(svid.module, &module)?;
        let now = self.clock.time();
        let (tbs, signature) = split(svid.chain.first().map_or(&[], Vec::as_slice))?;
        let issued = Issued {
            asker: asker(),
            csr: csr.to_vec().into(),
            identity: identity.to_string(),
            profile: Profile::X509Svid.name().to_owned(),
            permitted_dns_names: svid
                .permitted_dns_names
                .iter()
                .map(ToString::to_string)
                .collect(),
            subject: None,
            not_before: svid.validity.not_before,
            not_after: svid.validity.not_after,
            serial: svid.serial.clone(),
            issuer: Some(self.issuer),
            module,
            tbs: tbs.to_vec().into(),
            signature: signature.to_vec().into(),
            // the configuration says it anew each time
            lineage_start: now,
            bundle: None,
        };
        drafts.push(Entry::new(now, issued).into());
        self.ledger.append(drafts).await?;
        self.modules().insert(module);
        Ok(())
    }

    /// Puts a refusal on record.
    pub(crate) async fn refused(
        &self,
        identity: &SpiffeId,
        csr: &[u8],
        error: &IssueError,
    ) -> Result<(), Unrecorded> {
        let refused = Refused {
            asker: asker(),
            identity: Some(identity.to_string()),
            reason: error.name().to_owned(),
            detail: error.to_string(),
            csr: Some(csr.to_vec().into()),
            profile: Some(Profile::X509Svid.name().to_owned()),
        };
        let entry = Entry::new(self.clock.time(), refused);
        self.ledger.append(vec![entry.into()]).await?;
        Ok(())
    }

    /// A module's entry, if it has none: it goes in front of the first certificate that it made.
    fn new_module(&self, digest: ModuleDigest, module: &Digest) -> Result<Vec<Draft>, Unrecorded> {
        if self.modules().contains(module) {
            return Ok(Vec::new());
        }
        let sandbox = self.signer.module();
        if sandbox.digest() != digest {
            return Err(Unrecorded::Replaced(digest));
        }
        Ok(vec![self.module_taken(sandbox.octets())])
    }

    fn modules(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing was shown: the configuration says who is served on which socket.
fn asker() -> Asker {
    Asker {
        frontend: "local".into(),
        attestor: "configuration".into(),
        proof: "none".into(),
        ..Asker::default()
    }
}

/// tbsCertificate, whole, and signatureValue's octets (RFC 5280 §4.1).
fn split(certificate: &[u8]) -> Result<(&[u8], &[u8]), DerError> {
    let mut fields = Reader::new(der::single(certificate, tag::SEQUENCE)?.value);
    let tbs = fields.expect(tag::SEQUENCE)?.raw;
    fields.expect(tag::SEQUENCE)?;
    let signature = der::bit_string_octets(fields.expect(tag::BIT_STRING)?.value)?;
    fields.finish()?;
    Ok((tbs, signature))
}

/// The Ed25519 key of checkpoints: `ledger.key`, 64 hexadecimal digits, mode 0600.
fn key(state: &Path, has_ledger: bool) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let path = state.join("ledger.key");
    match private_file::read_secret(&path) {
        Ok(text) => seed(&text).ok_or_else(|| {
            let what = "it is not 64 lower-case hexadecimal digits and a line's end";
            Failure::BadInput(path, what.into())
        }),
        Err(FileError::Missing(_)) if has_ledger => {
            let what = "the key of ledger.db's checkpoints is missing; put it back, or move ledger.db away to begin another";
            Err(Failure::BadInput(path, what.into()))
        }
        Err(FileError::Missing(_)) => new_key(&path),
        Err(error) => Err(StateError::from(error).into()),
    }
}

fn new_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    fill(&mut *seed)?;
    let text = Zeroizing::new(format!("{}\n", hex(&*seed)));
    private_file::write_new(path, text.as_bytes()).map_err(StateError::from)?;
    private_file::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(StateError::from)?;
    Ok(seed)
}

fn seed(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 2 * seed.len() {
        return None;
    }
    for (octet, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?;
        *octet = value(high)? << 4 | value(low)?;
    }
    Some(seed)
}

fn fill(octets: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(octets)
        .map_err(|e| Failure::Start("system's randomness", io::Error::other(e.to_string())))
}
