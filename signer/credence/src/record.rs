//! What `credence dev` puts on record: each certificate before it leaves, and what it takes to make it again.

use crate::{
    clock::{Clocks, WallClock},
    failure::Failure,
};
use credence_ca::{certificate::CaCertificate, profile::Profile};
use credence_host::{
    authorities::Authorized,
    authority::{IssueError, IssuedSvid},
    custody::Role,
    signer::Signer,
    state::StoredCa,
};
use credence_ledger::{
    entry::{Asker, Refused},
    octets::Digest,
    sqlite::Options,
};
use credence_service::{
    book::{Book, KEY, LEDGER, Leaf, Unrecorded, checkpoint_key},
    clock::Shared,
};
use spiffe::SpiffeId;
use std::{path::Path, sync::Arc};

/// The ledger of a state folder.
pub(crate) struct Record {
    book: Book,
    /// The SHA-256 of the certificate of what signs leaves.
    issuer: Digest,
}

impl Record {
    /// Opens `ledger.db` in the state folder, or begins it, and puts the CA on record if it is not.
    pub(crate) fn open(
        state: &Path,
        trust_domain: &SpiffeId,
        signer: Arc<Signer>,
        ca: &StoredCa,
        clock: WallClock,
    ) -> Result<Self, Failure> {
        let path = state.join(LEDGER);
        let key = checkpoint_key(&state.join(KEY), path.exists())?;
        let clock = Shared(Arc::new(Clocks::start(clock)));
        let book = Book::open(
            &path,
            trust_domain,
            &key,
            &Options::default(),
            signer,
            clock,
        )?;
        for (role, certificate) in [(Role::Root, &ca.root), (Role::Issuer, &ca.issuer)] {
            book.authority(&known(role, certificate), trust_domain, None)?;
        }
        book.module()?;
        Ok(Self {
            book,
            issuer: Digest::of(ca.issuer.der()),
        })
    }

    /// The key that its checkpoints verify by, in the form of a C2SP signed note's.
    pub(crate) fn key(&self) -> String {
        self.book.ledger().key().text()
    }

    /// Puts a certificate on record; only then may it leave.
    pub(crate) async fn issued(
        &self,
        identity: &SpiffeId,
        csr: &[u8],
        svid: &IssuedSvid,
    ) -> Result<(), Unrecorded> {
        let leaf = Leaf {
            asker: asker(),
            identity,
            profile: Profile::X509Svid,
            csr: csr.to_vec(),
            svid,
            issuer: self.issuer,
            // the configuration says it anew each time
            lineage_start: self.book.now(),
            bundle: None,
        };
        self.book.issued(leaf).await
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
        self.book.refused(refused).await
    }
}

/// How it was made is not known here.
fn known(role: Role, certificate: &CaCertificate) -> Authorized {
    Authorized {
        name: role.name().to_owned(),
        role,
        certificate: certificate.clone(),
        above: Vec::new(),
        key: None,
        made: None,
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
