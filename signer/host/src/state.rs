//! What a CA keeps on disk: a folder of its own, mode 0700, one daemon at a time.
//!
//! ```text
//! STATE/lock            held while a daemon runs
//! STATE/ca/root.pem     the trust anchor          STATE/ca/root.key
//! STATE/ca/issuer.pem   what signs leaves         STATE/ca/issuer.key
//! STATE/authorities/    roots and issuers of a CA that changes them: [`crate::authorities`]
//! STATE/ledger.db       what was issued           STATE/ledger.key
//! ```
//! The `.key` files below `ca` are not there if the keys are in a token.
//! The ledger is the binary's to open.
//!
//! The folder `ca` is made beside and moved into place whole, so that a crash leaves all of it
//! or none.

use crate::{
    custody::{Custodian, KeyError, Role, SigningKey},
    founding::Founding,
    possession,
    private_file::{self, FileError},
};
use credence_ca::{
    certificate::{CaCertificate, CertificateError},
    custody::Custody as _,
};
use spiffe::SpiffeId;
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a state folder cannot be used; the file is always named.
#[derive(Debug, Error)]
pub enum StateError {
    /// The folder cannot be made, read or written.
    #[error("the state folder {} cannot be {action}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Others may enter the folder.
    #[error("the state folder {} is open to others (mode {mode:04o}): chmod 700 {}", .path.display(), .path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another daemon holds the folder.
    #[error("the state folder {} is in use by another credence", .0.display())]
    InUse(PathBuf),
    /// A file in it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key in it, or in the token.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate in it.
    #[error("{} cannot be used: {source}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// A file of ours that says what none says.
    #[error("{} is damaged: restore a backup", .0.display())]
    Damaged(PathBuf),
    /// Not exactly one certificate.
    #[error("{} is not PEM with as many CERTIFICATE blocks as it should have", .0.display())]
    NotPem(PathBuf),
    /// A key and a certificate that do not belong together.
    #[error("{} does not belong to {}: their public keys differ", .key.display(), .certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The issuer's certificate is not the root's work.
    #[error("{} is not signed by {}", .issuer.display(), .root.display())]
    NotSignedBy {
        /// The issuer's file.
        issuer: PathBuf,
        /// The root's file.
        root: PathBuf,
    },
    /// The CA is another trust domain's.
    #[error("{} is not the CA of {expected}: its certificate does not bear that trust domain's ID; use another state folder for another trust domain", .path.display())]
    OtherTrustDomain {
        /// The certificate's file.
        path: PathBuf,
        /// The trust domain's ID.
        expected: SpiffeId,
    },
}

/// A CA as stored.
#[derive(Debug)]
pub struct StoredCa {
    /// The trust anchor.
    pub root: CaCertificate,
    /// Its key.
    pub root_key: SigningKey,
    /// What signs leaves.
    pub issuer: CaCertificate,
    /// Its key.
    pub issuer_key: SigningKey,
}

/// An open state folder. The lock is held for as long as this lives.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Opens the folder; makes it, mode 0700, if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or written, is open to others, or another daemon holds it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        make(path)?;
        let mode = fs::metadata(path)
            .map_err(folder(path, "read"))?
            .permissions()
            .mode()
            & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StateError::Exposed {
                path: path.to_path_buf(),
                mode,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock(path)?,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The CA in it, with the keys that this custodian holds; none if there is none yet.
    ///
    /// # Errors
    /// If any of its files is missing, exposed, damaged, or does not belong to the others.
    pub fn load_ca(
        &self,
        custodian: &Custodian,
        trust_domain: &SpiffeId,
    ) -> Result<Option<StoredCa>, StateError> {
        let ca = self.path.join("ca");
        if !ca.exists() {
            return Ok(None);
        }
        let (root, root_key) = load_pair(&ca, custodian, Role::Root)?;
        let (issuer, issuer_key) = load_pair(&ca, custodian, Role::Issuer)?;
        for (name, certificate) in [("root.pem", &root), ("issuer.pem", &issuer)] {
            if !certificate.names(trust_domain) {
                let expected = trust_domain.clone();
                return Err(StateError::OtherTrustDomain {
                    path: ca.join(name),
                    expected,
                });
            }
        }
        let chained = issuer.issuer_name() == root.name()
            && possession::signed_by(&issuer, root.public_key());
        if !chained {
            return Err(StateError::NotSignedBy {
                issuer: ca.join("issuer.pem"),
                root: ca.join("root.pem"),
            });
        }
        Ok(Some(StoredCa {
            root,
            root_key,
            issuer,
            issuer_key,
        }))
    }

    /// Stores a new CA, all of it or nothing.
    ///
    /// # Errors
    /// If one is there already, or it cannot be written.
    pub fn store_ca(&self, founding: &Founding) -> Result<(), StateError> {
        let beside = self.path.join("ca.new");
        match fs::remove_dir_all(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(folder(&beside, "removed")(e));
            }
            _ => {}
        }
        make(&beside)?;
        for (role, pair) in [
            (Role::Root, &founding.root),
            (Role::Issuer, &founding.issuer),
        ] {
            let name = role.name();
            private_file::write_new(
                &beside.join(format!("{name}.pem")),
                certificate_pem(&pair.certificate).as_bytes(),
            )?;
            if let Some(key) = &pair.key_pem {
                private_file::write_new(&beside.join(format!("{name}.key")), key.as_bytes())?;
            }
        }
        private_file::sync_folder(&beside)?;
        let place = self.path.join("ca");
        fs::rename(&beside, &place).map_err(folder(&place, "written"))?;
        Ok(private_file::sync_folder(&self.path)?)
    }

    /// Puts a new certificate for the issuer's key in the place of the old.
    ///
    /// # Errors
    /// If it cannot be written; the old one is still there then.
    pub fn replace_issuer(&self, certificate: &CaCertificate) -> Result<(), StateError> {
        let path = self.path.join("ca").join("issuer.pem");
        Ok(private_file::replace(
            &path,
            certificate_pem(certificate).as_bytes(),
        )?)
    }
}

pub(crate) fn certificate_pem(certificate: &CaCertificate) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", certificate.der()),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

pub(crate) fn folder(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_path_buf();
    move |source| StateError::Folder {
        path,
        action,
        source,
    }
}

pub(crate) fn make(path: &Path) -> Result<(), StateError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(folder(path, "made")),
    }
}

fn lock(path: &Path) -> Result<File, StateError> {
    let file = path.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&file)
        .map_err(folder(path, "written"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse(path.to_path_buf())),
        Err(TryLockError::Error(e)) => Err(folder(path, "locked")(e)),
    }
}

fn load_pair(
    ca: &Path,
    custodian: &Custodian,
    role: Role,
) -> Result<(CaCertificate, SigningKey), StateError> {
    let certificate_path = ca.join(format!("{}.pem", role.name()));
    let key_path = ca.join(format!("{}.key", role.name()));
    let certificate = load_certificate(&certificate_path)?;
    let key = custodian.load(role, &key_path, certificate.public_key())?;
    if key.public_key() != certificate.public_key() {
        return Err(StateError::Mismatch {
            key: key_path,
            certificate: certificate_path,
        });
    }
    Ok((certificate, key))
}

fn load_certificate(path: &Path) -> Result<CaCertificate, StateError> {
    let [certificate] = <[CaCertificate; 1]>::try_from(certificates(path)?)
        .map_err(|_| StateError::NotPem(path.to_path_buf()))?;
    Ok(certificate)
}

/// Every certificate in a file of PEM blocks, and nothing else.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CaCertificate>, StateError> {
    let text = private_file::read_public(path)?;
    let blocks = pem::parse_many(text).map_err(|_| StateError::NotPem(path.to_path_buf()))?;
    if blocks.is_empty() || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
        return Err(StateError::NotPem(path.to_path_buf()));
    }
    let read = |block: &pem::Pem| CaCertificate::from_der(block.contents());
    let read: Result<_, _> = blocks.iter().map(read).collect();
    read.map_err(|source| StateError::Certificate {
        path: path.to_path_buf(),
        source,
    })
}
