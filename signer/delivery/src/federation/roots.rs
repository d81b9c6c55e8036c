//! What is read from files: bundles, and CA certificates for https. Blocks.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use credence_attest::Roots;
use rustix::fs::{Mode, OFlags};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::document::LONGEST;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: it cannot be read", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: it is not a file of at most {LONGEST} bytes", .0.display())]
    NotAFile(PathBuf),
    #[error("the CA certificates for https cannot be used: {0}")]
    Certificates(String),
    #[error("this system has no CA certificates that https could rest on; name a file of them")]
    NoSystem,
}

/// All of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    // without waiting: a pipe would keep whoever opens it
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(file.map_err(io::Error::from).map_err(failed)?);
    let is_file = file.metadata().map_err(failed)?.is_file();
    let mut octets = Vec::new();
    if is_file {
        let longest = LONGEST as u64 + 1;
        file.take(longest)
            .read_to_end(&mut octets)
            .map_err(failed)?;
    }
    if !is_file || octets.len() > LONGEST {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    Ok(octets)
}

/// The CA certificates by which a server on the web is known, DER.
pub(super) fn of_the_web(roots: &Roots) -> Result<Vec<Vec<u8>>, FileError> {
    match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs().certs;
            let found: Vec<_> = found.iter().map(|der| der.to_vec()).collect();
            match found.is_empty() {
                true => Err(FileError::NoSystem),
                false => Ok(found),
            }
        }
        Roots::File(path) => from_pem(&read(path)?),
        Roots::Pem(pem) => from_pem(pem.as_bytes()),
    }
}

fn from_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, FileError> {
    let certificates = CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec()));
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|error| FileError::Certificates(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(FileError::Certificates("there is none in PEM".to_owned())),
        false => Ok(certificates),
    }
}
