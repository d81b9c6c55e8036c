//! Requests for an issuer's certificate that wait for somebody else's CA: `STATE/requests/NAME/{request.pem,key.pem}`.

use credence_ca::chain::Terms;
use credence_ca::custody::CustodyError;
use credence_host::{
    authorities::KeyHome,
    chain::{self, BadChain, OwnChain},
    custody::Custodian,
    private_file::{self, FileError},
};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// As many may wait.
const MOST: usize = 16;

/// Why a request is not made, or its certificate not taken.
#[derive(Debug, Error)]
pub enum RequestError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder.
    #[error("{} cannot be {action}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] CustodyError),
    /// Too many wait.
    #[error("{MOST} requests wait already, in {}: remove those that nobody will answer", .0.display())]
    TooMany(PathBuf),
    /// None waits.
    #[error("no request waits for a certificate: make one with `credence ca issuer-csr`")]
    None,
    /// The chain is not a good one for any of the requests.
    #[error("the chain is not taken: {0}")]
    Bad(#[from] BadChain),
}

/// The requests of a state folder.
#[derive(Debug, Clone)]
pub struct Requests(PathBuf);

impl Requests {
    /// Below this state folder.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self(state.join("requests"))
    }

    /// Makes a key and a request; gives the request, PEM.
    ///
    /// # Errors
    /// If they cannot be made or stored, or too many wait.
    pub fn make(
        &self,
        custodian: &Custodian,
        trust_domain: &SpiffeId,
    ) -> Result<String, RequestError> {
        let failed = |action| {
            move |source| RequestError::Folder {
                path: self.0.clone(),
                action,
                source,
            }
        };
        fs::create_dir_all(&self.0).map_err(failed("made"))?;
        if self.waiting()?.len() >= MOST {
            return Err(RequestError::TooMany(self.0.clone()));
        }
        let request = chain::issuer_csr(custodian, trust_domain)?;
        let digest: [u8; 32] = Sha256::digest(request.csr.as_bytes()).into();
        let name = credence_ca::hex(&digest);
        let (beside, place) = (self.0.join(format!("{name}.new")), self.0.join(&name));
        fs::create_dir(&beside).map_err(failed("made"))?;
        private_file::write_new(&beside.join("request.pem"), request.csr.as_bytes())?;
        if let Some(key) = &request.key_pem {
            private_file::write_new(&beside.join("key.pem"), key.as_bytes())?;
        }
        private_file::sync_folder(&beside)?;
        fs::rename(&beside, &place).map_err(failed("written"))?;
        private_file::sync_folder(&self.0)?;
        Ok(request.csr)
    }

    /// The chain for one of the requests: checked, with its key, and where that is.
    ///
    /// # Errors
    /// If it is good for none of them; then what is wrong with it for the last one.
    pub fn take(
        &self,
        custodian: &Custodian,
        (chain, roots): (&[u8], &[u8]),
        terms: &Terms<'_>,
    ) -> Result<(OwnChain, KeyHome, PathBuf), RequestError> {
        let mut worst = RequestError::None;
        for folder in self.waiting()? {
            let file = folder.join("key.pem");
            match chain::import(custodian, &file, chain, roots, terms) {
                Ok(own) => {
                    let home = match private_file::read_secret(&file) {
                        Ok(pem) => KeyHome::Stored(text(&pem)),
                        Err(FileError::Missing(_)) => KeyHome::Token,
                        Err(error) => return Err(error.into()),
                    };
                    return Ok((own, home, folder));
                }
                Err(bad) => worst = bad.into(),
            }
        }
        Err(worst)
    }

    /// The request is answered.
    pub fn done(folder: &Path) {
        if let Err(error) = fs::remove_dir_all(folder) {
            tracing::warn!(folder = %folder.display(), %error, "an answered request could not be removed");
        }
    }

    fn waiting(&self) -> Result<Vec<PathBuf>, RequestError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|source| RequestError::Folder {
                path: self.0.clone(),
                action: "read",
                source,
            })?,
        };
        let whole = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            path.join("request.pem").exists().then_some(path)
        });
        let mut whole: Vec<_> = whole.filter(|path| path.extension().is_none()).collect();
        whole.sort();
        Ok(whole)
    }
}

fn text(pem: &Zeroizing<Vec<u8>>) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(pem).into_owned())
}
