//! The files of a chain, read together.
//!
//! Files that are written one after the other are a set only when all are: whether they belong together is for the chain's check to say,
//! which takes no certificate with another's key. A Kubernetes volume is exchanged as a whole, by the link `..data`; all files are
//! read from where it led to at the beginning, and again if it leads elsewhere at the end.

use super::{
    Chain, OwnChain, check,
    error::{BadChain, Why, of_chain},
    layout::{Plan, Reading},
    pem,
};
use crate::{
    custody::SigningKey,
    key_file::FileKey,
    private_file::{self, FileError},
};
use credence_ca::{chain::Terms, custody::Custody as _};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// How often a folder that is exchanged while it is read is tried.
const TRIES: usize = 3;

/// Which content a set of files had: a digest, of a key among others, and therefore not shown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark([u8; 32]);

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(not shown)")
    }
}

type Content = Result<Zeroizing<Vec<u8>>, FileError>;

/// A file as it was found.
struct Found {
    path: PathBuf,
    content: Content,
}

impl Found {
    fn public(path: PathBuf) -> Self {
        let content = private_file::read_public(&path).map(Zeroizing::new);
        Self { path, content }
    }

    fn secret(path: PathBuf, reading: &Reading) -> Self {
        let content = private_file::read_secret_of(&path, reading.readers);
        Self { path, content }
    }

    fn is_missing(&self) -> bool {
        matches!(self.content, Err(FileError::Missing(_)))
    }
}

/// A file of certificates, and whether it may have none.
struct Certificates {
    file: Found,
    may_be_empty: bool,
}

/// What was found where the files of a chain have to be.
pub(super) struct Set {
    roots: Found,
    chain: Vec<Certificates>,
    issuer_key: Found,
    root_key: Option<Found>,
}

/// A set, and whether it is known to have been exchanged as a whole.
pub(super) struct Snapshot {
    pub(super) set: Set,
    pub(super) is_whole: bool,
}

/// Reads all files, from one generation of a Kubernetes volume if it is one.
pub(super) fn read(
    folder: Option<&Path>,
    plan: impl Fn(Option<&Path>) -> Plan,
    reading: &Reading,
) -> Result<Snapshot, Why> {
    for _ in 0..TRIES {
        let before = folder.and_then(generation);
        let base = before.as_deref().or(folder);
        let set = Set::read(plan(base), reading);
        if folder.and_then(generation) == before {
            let is_whole = before.is_some();
            return Ok(Snapshot { set, is_whole });
        }
    }
    let folder = folder.map(Path::to_path_buf).unwrap_or_default();
    Err(Why::Moving(folder))
}

/// Where a Kubernetes volume's `..data` leads to.
fn generation(folder: &Path) -> Option<PathBuf> {
    folder.join("..data").canonicalize().ok()
}

impl Set {
    fn read(plan: Plan, reading: &Reading) -> Self {
        let chain = plan
            .chain
            .into_iter()
            .map(|(path, may_be_empty)| Certificates {
                file: Found::public(path),
                may_be_empty,
            });
        Self {
            chain: chain.collect(),
            roots: Found::public(plan.roots),
            issuer_key: Found::secret(plan.issuer_key, reading),
            root_key: plan.root_key.map(|path| Found::secret(path, reading)),
        }
    }

    fn files(&self) -> impl Iterator<Item = &Found> {
        let chain = self.chain.iter().map(|certificates| &certificates.file);
        [&self.roots, &self.issuer_key]
            .into_iter()
            .chain(chain)
            .chain(&self.root_key)
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files().map(|file| file.path.clone()).collect()
    }

    /// Whether not one of them is there.
    pub(super) fn is_absent(&self) -> bool {
        self.files().all(Found::is_missing)
    }

    /// Of all contents and errors.
    pub(super) fn mark(&self) -> Mark {
        let mut digest = Sha256::new();
        let mut part = |octets: &[u8]| {
            digest.update((octets.len() as u64).to_be_bytes());
            digest.update(octets);
        };
        for file in self.files() {
            match &file.content {
                Ok(content) => part(content),
                Err(error) => part(error.to_string().as_bytes()),
            }
        }
        Mark(digest.finalize().into())
    }

    /// The chain that the files are, if nothing is wrong with it.
    pub(super) fn into_chain(
        self,
        reading: &Reading,
        terms: &Terms<'_>,
    ) -> Result<OwnChain, BadChain> {
        let mark = self.mark();
        let mut why = Vec::new();
        self.check_complete(&mut why);
        let chain = read_chain(self.roots, self.chain, &mut why);
        let mut key = |found| read_key(found, reading, &mut why);
        let issuer_key = key(self.issuer_key);
        let root_key = self.root_key.and_then(key);
        let Some(chain) = chain else {
            return Err(BadChain::new(why));
        };
        match issuer_key {
            Some(issuer_key) if why.is_empty() => {
                let mut own = OwnChain::check(&chain, issuer_key, root_key, terms)?;
                own.mark = Some(mark);
                Ok(own)
            }
            issuer_key => {
                // what can be said without a key is said too
                let public =
                    |key: &Option<SigningKey>| key.as_ref().map(|k| k.public_key().clone());
                let (issuer, root) = (public(&issuer_key), public(&root_key));
                let faults = check(&chain, issuer.as_ref(), root.as_ref(), terms).err();
                why.extend(faults.into_iter().flat_map(of_chain));
                Err(BadChain::new(why))
            }
        }
    }

    fn check_complete(&self, why: &mut Vec<Why>) {
        let (missing, there): (Vec<_>, Vec<_>) = self.files().partition(|file| file.is_missing());
        let paths = |files: Vec<&Found>| files.iter().map(|file| file.path.clone()).collect();
        if !missing.is_empty() && !there.is_empty() {
            why.push(Why::Incomplete {
                there: paths(there),
                missing: paths(missing),
            });
        } else if there.is_empty() {
            why.extend(
                missing
                    .into_iter()
                    .map(|file| FileError::Missing(file.path.clone()).into()),
            );
        }
    }
}

/// The certificates, without those that are said twice: an anchor at the end of the chain, or the first of Istio's files again in
/// the second.
fn read_chain(roots: Found, files: Vec<Certificates>, why: &mut Vec<Why>) -> Option<Chain> {
    let roots = read_certificates(roots, false, why);
    let mut chain: Vec<Vec<u8>> = Vec::new();
    let mut all = true;
    for Certificates { file, may_be_empty } in files {
        match read_certificates(file, may_be_empty, why) {
            Some(found) => {
                let further = found.into_iter().skip_while(|der| chain.contains(der));
                let further: Vec<_> = further.collect();
                chain.extend(further);
            }
            None => all = false,
        }
    }
    put_together(chain, roots.filter(|_| all)?)
}

/// An issuer and what is above it, without the anchors at its end.
pub(super) fn put_together(mut chain: Vec<Vec<u8>>, roots: Vec<Vec<u8>>) -> Option<Chain> {
    while chain.len() > 1 && chain.last().is_some_and(|last| roots.contains(last)) {
        chain.pop();
    }
    let mut chain = chain.into_iter();
    Some(Chain {
        issuer: chain.next()?,
        above: chain.collect(),
        roots,
    })
}

/// A missing file has been told already.
fn readable(content: Content, why: &mut Vec<Why>) -> Option<Zeroizing<Vec<u8>>> {
    match content {
        Ok(content) => Some(content),
        Err(FileError::Missing(_)) => None,
        Err(error) => {
            why.push(Why::File(error));
            None
        }
    }
}

fn read_certificates(found: Found, may_be_empty: bool, why: &mut Vec<Why>) -> Option<Vec<Vec<u8>>> {
    let text = readable(found.content, why)?;
    let read = if may_be_empty {
        pem::any_certificates(&text)
    } else {
        pem::certificates(&text)
    };
    let path = found.path;
    read.map_err(|source| why.push(Why::Pem { path, source }))
        .ok()
}

fn read_key(found: Found, reading: &Reading, why: &mut Vec<Why>) -> Option<SigningKey> {
    let text = readable(found.content, why)?;
    FileKey::from_foreign(&found.path, &text, reading.passphrase.as_ref())
        .map(SigningKey::File)
        .map_err(|error| why.push(error.into()))
        .ok()
}
