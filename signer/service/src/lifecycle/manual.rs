//! What operators do by hand with roots, issuers and the state: done by the thread that has it, so that nothing changes meanwhile.

use super::{Import, LifecycleError, thread::Thread, work::Worker};
use crate::{backup, requests::Requests};
use credence_ca::{
    chain::Terms,
    lifecycle::{Event, KeyPlace},
};
use credence_host::{
    authorities::KeyHome,
    chain::OwnChain,
    custody::{Role, SigningKey},
    founding,
    key_file::FileKey,
};
use credence_ledger::entry::By;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// An order that is more than an event.
pub enum Manual {
    /// A key and a request for an issuer's certificate, for somebody else's CA.
    IssuerCsr,
    /// The chain for such a request, PEM.
    ImportIssuer {
        /// The issuer first.
        chain: String,
        /// The trust anchors.
        roots: String,
    },
    /// A chain with its key, PEM.
    ImportChain {
        /// The issuer first.
        chain: String,
        /// The trust anchors.
        roots: String,
        /// PKCS#8, not encrypted.
        key: Zeroizing<String>,
    },
    /// A new root: with this key, or one that is made; with this life, or the usual one.
    NewRoot {
        /// PKCS#8, not encrypted.
        key: Option<Zeroizing<String>>,
        /// From now on.
        life: Option<Duration>,
    },
    /// The active root's key is no longer here.
    RemoveRootKey,
    /// A copy of the state in a new folder.
    Backup(PathBuf),
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuerCsr => "IssuerCsr",
            Self::ImportIssuer { .. } => "ImportIssuer",
            Self::ImportChain { .. } => "ImportChain",
            Self::NewRoot { .. } => "NewRoot",
            Self::RemoveRootKey => "RemoveRootKey",
            Self::Backup(_) => "Backup",
        })
    }
}

impl Thread {
    /// Does it; gives what there is to show.
    pub(super) fn manual(&mut self, order: Manual, by: &By) -> Result<String, LifecycleError> {
        match order {
            Manual::IssuerCsr => {
                let parts = self.worker().parts();
                let requests = Requests::below(folder(self.worker()));
                Ok(requests.make(&parts.custodian, &parts.trust_domain)?)
            }
            Manual::ImportIssuer { chain, roots } => self.import_issuer(&chain, &roots, by),
            Manual::ImportChain { chain, roots, key } => self.import_chain(&chain, &roots, key, by),
            Manual::NewRoot { key, life } => self.new_root(key, life, by),
            Manual::RemoveRootKey => self.remove_root_key(by),
            Manual::Backup(to) => {
                let (parts, from) = (self.worker().parts(), folder(self.worker()));
                backup::write(from, &to, &parts.book)?;
                Ok(String::new())
            }
        }
    }

    fn import_issuer(
        &mut self,
        chain: &str,
        roots: &str,
        by: &By,
    ) -> Result<String, LifecycleError> {
        let longest = self.state().settings().terms().longest_leaf_life;
        let parts = self.worker().parts();
        let terms = Terms {
            trust_domain: &parts.trust_domain,
            now: parts.clock.time(),
            longest_leaf_life: longest,
        };
        let requests = Requests::below(folder(self.worker()));
        let (own, home, done) = requests.take(
            &parts.custodian,
            (chain.as_bytes(), roots.as_bytes()),
            &terms,
        )?;
        let told = warnings(&own);
        self.import(Import::of(own, home, longest)?, by)?;
        Requests::done(&done);
        Ok(told)
    }

    fn import_chain(
        &mut self,
        chain: &str,
        roots: &str,
        key: Zeroizing<String>,
        by: &By,
    ) -> Result<String, LifecycleError> {
        let longest = self.state().settings().terms().longest_leaf_life;
        let parts = self.worker().parts();
        let terms = Terms {
            trust_domain: &parts.trust_domain,
            now: parts.clock.time(),
            longest_leaf_life: longest,
        };
        let signing = plain_key(&key)?;
        let pem = (chain.as_bytes(), roots.as_bytes());
        let own = credence_host::chain::with_key(signing, pem, &terms)
            .map_err(crate::requests::RequestError::from)?;
        let told = warnings(&own);
        self.import(Import::of(own, KeyHome::Stored(key), longest)?, by)?;
        Ok(told)
    }

    fn new_root(
        &mut self,
        key: Option<Zeroizing<String>>,
        life: Option<Duration>,
        by: &By,
    ) -> Result<String, LifecycleError> {
        // refused before a key is made that nobody wants
        self.state().room_for_a_root()?;
        let life = life.unwrap_or(self.state().settings().terms().root_life);
        let own = key
            .map(|key| Ok::<_, LifecycleError>((plain_key(&key)?, key)))
            .transpose()?;
        let now = self.worker().parts().clock.time();
        let name = format!("root-by-hand-{}", now.unix());
        let parts = self.worker_mut().parts_mut();
        let made = match own {
            None => founding::make_root(
                &parts.signer,
                &parts.custodian,
                &parts.trust_domain,
                life,
                now,
            )?,
            Some((signing, pem)) => founding::make_root_with(
                &parts.signer,
                (signing, pem),
                &parts.trust_domain,
                life,
                now,
            )?,
        };
        let one = parts.authorities.store(&name, Role::Root, made)?;
        self.worker().on_record(&one)?;
        let root = super::begin::root_facts(&one);
        self.step(Event::ImportRoot { root, issuer: None }, by)?;
        Ok(String::new())
    }

    fn remove_root_key(&mut self, by: &By) -> Result<String, LifecycleError> {
        let root = self.state().active().root.id;
        self.step(Event::RootKey(KeyPlace::Elsewhere), by)?;
        self.worker_mut().parts_mut().authorities.release(root)?;
        Ok(String::new())
    }
}

/// The state folder.
fn folder(worker: &Worker) -> &Path {
    worker.file().parent().unwrap_or(Path::new("."))
}

fn plain_key(pem: &Zeroizing<String>) -> Result<SigningKey, LifecycleError> {
    let key = FileKey::from_plain_pem(pem.as_bytes());
    let key = key.map_err(|error| LifecycleError::Key(error.to_string()))?;
    Ok(SigningKey::File(key))
}

fn warnings(own: &OwnChain) -> String {
    own.warnings
        .iter()
        .map(|warning| format!("{warning}\n"))
        .collect()
}
