//! The roots and issuers of a CA that changes them, on disk.
//!
//! ```text
//! STATE/authorities/NAME/certificate.pem   one root or issuer
//!                       /above.pem         the CAs between an issuer and its root, the nearest first; may be missing
//!                       /key.pem           its key, mode 0600; missing if it is in a token, or not ours
//!                       /request.der       the request that it was made of, and
//!                       /made              by which module and with which subject, for the record; missing if it was imported
//! ```
//! A name is that of the order that it was made for, so that carrying an order out twice finds what was made the first time. A folder
//! is made beside and moved into its place whole: a crash leaves all of it or none.

mod files;

use crate::{
    custody::{Custodian, Role, SigningKey},
    founding::{Certified, Made},
    private_file,
    state::{StateError, StateFolder},
};
use credence_ca::{certificate::CaCertificate, lifecycle::CertificateId};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// A root or an issuer.
#[derive(Debug)]
pub struct Authorized {
    /// The name of its folder.
    pub name: String,
    /// Which it is.
    pub role: Role,
    /// Its certificate.
    pub certificate: CaCertificate,
    /// The CAs between an issuer and its root, the nearest to the issuer first.
    pub above: Vec<CaCertificate>,
    /// Its key; none if it is not here.
    pub key: Option<Arc<SigningKey>>,
    /// What it was made of; none if it was imported.
    pub made: Option<Certified>,
}

impl Authorized {
    /// Its certificate's name.
    #[must_use]
    pub fn id(&self) -> CertificateId {
        CertificateId::of(self.certificate.der())
    }
}

/// A root or an issuer from elsewhere.
#[derive(Debug)]
pub struct Imported {
    /// Which it is.
    pub role: Role,
    /// Its certificate.
    pub certificate: CaCertificate,
    /// The CAs between an issuer and its root.
    pub above: Vec<CaCertificate>,
    /// Its key, and where that is kept; none if it is not here.
    pub key: Option<(SigningKey, KeyHome)>,
}

/// Where a key is kept that comes with a chain from elsewhere.
pub enum KeyHome {
    /// Here, in a file that is to be written: PKCS#8 PEM.
    Stored(Zeroizing<String>),
    /// In the custodian's token.
    Token,
    /// In somebody else's files: it is brought along at each start, and not written down here.
    Elsewhere,
}

impl fmt::Debug for KeyHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored(_) => "Stored",
            Self::Token => "Token",
            Self::Elsewhere => "Elsewhere",
        })
    }
}

/// All roots and issuers that are stored.
#[derive(Debug)]
pub struct Authorities {
    folder: PathBuf,
    known: BTreeMap<CertificateId, Arc<Authorized>>,
}

impl Authorities {
    /// Reads what is stored in a state folder, with the keys that this custodian holds. What a crash left half made is removed.
    ///
    /// # Errors
    /// If something of it cannot be read or does not belong together.
    pub fn open(state: &StateFolder, custodian: &Custodian) -> Result<Self, StateError> {
        let folder = state.path().join("authorities");
        crate::state::make(&folder)?;
        let mut authorities = Self {
            folder,
            known: BTreeMap::new(),
        };
        for (name, path) in files::folders(&authorities.folder)? {
            if name.ends_with(files::UNFINISHED) {
                remove(&path)?;
                continue;
            }
            authorities.keep(files::load(name, &path, custodian)?);
        }
        Ok(authorities)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: CertificateId) -> Option<Arc<Authorized>> {
        self.known.get(&id).cloned()
    }

    /// What was made under this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Authorized>> {
        let mut all = self.known.values();
        all.find(|one| one.name == name).cloned()
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Authorized>> {
        self.known.values()
    }

    /// Stores what was made; it is on disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written. Nothing of it is there then.
    pub fn store(
        &mut self,
        name: &str,
        role: Role,
        made: Made,
    ) -> Result<Arc<Authorized>, StateError> {
        let Made {
            certified,
            key,
            key_pem,
        } = made;
        let one = Authorized {
            name: name.to_owned(),
            role,
            certificate: certified.certificate.clone(),
            above: Vec::new(),
            key: Some(Arc::new(key)),
            made: Some(certified),
        };
        let home = key_pem.map_or(KeyHome::Token, KeyHome::Stored);
        self.write(one, &home)
    }

    /// Stores what comes from elsewhere, once. A key that is kept elsewhere is only remembered.
    ///
    /// # Errors
    /// If it cannot be written. Nothing of it is there then.
    pub fn import(&mut self, imported: Imported) -> Result<Arc<Authorized>, StateError> {
        let id = CertificateId::of(imported.certificate.der());
        let known = self.get(id);
        if let Some(known) = &known
            && (known.key.is_some() || imported.key.is_none())
        {
            return Ok(Arc::clone(known));
        }
        let (key, home) = imported
            .key
            .map_or((None, KeyHome::Elsewhere), |(key, home)| (Some(key), home));
        // a name of its own: one without its key may be there already
        let with = match home {
            KeyHome::Stored(_) | KeyHome::Token => "with-key",
            KeyHome::Elsewhere => "without-key",
        };
        let one = Authorized {
            name: format!("imported-{id}-{with}"),
            role: imported.role,
            certificate: imported.certificate,
            above: imported.above,
            key: key.map(Arc::new),
            made: known.as_ref().and_then(|known| known.made.clone()),
        };
        match home {
            KeyHome::Elsewhere if known.is_some() => Ok(self.keep(one)),
            home => self.write(one, &home),
        }
    }

    /// Forgets a key that nothing needs any more, and removes its file. One in a token stays there, and is the operator's to remove. Says
    /// whether there was one.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn release(&mut self, id: CertificateId) -> Result<bool, StateError> {
        let Some(one) = self.get(id).filter(|one| one.key.is_some()) else {
            return Ok(false);
        };
        let folder = self.folder.join(&one.name);
        files::remove_key(&folder)?;
        let without = Authorized {
            name: one.name.clone(),
            role: one.role,
            certificate: one.certificate.clone(),
            above: one.above.clone(),
            key: None,
            made: one.made.clone(),
        };
        self.known.insert(id, Arc::new(without));
        Ok(true)
    }

    fn write(&mut self, one: Authorized, home: &KeyHome) -> Result<Arc<Authorized>, StateError> {
        let beside = self
            .folder
            .join(format!("{}{}", one.name, files::UNFINISHED));
        remove(&beside)?;
        crate::state::make(&beside)?;
        files::write(&beside, &one, home)?;
        let place = self.folder.join(&one.name);
        fs::rename(&beside, &place).map_err(crate::state::folder(&place, "written"))?;
        private_file::sync_folder(&self.folder)?;
        Ok(self.keep(one))
    }

    /// Where one is there with its key and without, the one with it counts.
    fn keep(&mut self, one: Authorized) -> Arc<Authorized> {
        let id = one.id();
        match self.known.get(&id) {
            Some(known) if known.key.is_some() && one.key.is_none() => Arc::clone(known),
            _ => {
                let one = Arc::new(one);
                self.known.insert(id, Arc::clone(&one));
                one
            }
        }
    }
}

fn remove(path: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(crate::state::folder(path, "removed")(e))
        }
        _ => Ok(()),
    }
}
