//! The OIDC server's certificate: files of somebody else's PKI, read again when they change.

use crate::{settings::TlsFiles, watch};
use credence_daemon::tls::{Serving, ServingError};
use credence_host::private_file::{self, FileError};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not PEM of that kind.
    #[error("{} holds no {what} in PEM", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The two do not go together.
    #[error("{} and {}: {why}", .files.certificate.display(), .files.key.display())]
    Pair {
        /// The files.
        files: TlsFiles,
        /// What is wrong.
        why: ServingError,
    },
}

/// A certificate as it was read.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads both files. A key that others may read is taken, with a warning: it is not ours, and Kubernetes mounts secrets so.
    ///
    /// # Errors
    /// If one is missing, or is not what it should be.
    pub fn load(files: &TlsFiles) -> Result<Self, CertificateError> {
        let text = private_file::read_public(&files.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let wrong = |path: &Path, what| CertificateError::Pem {
            path: path.to_path_buf(),
            what,
        };
        let chain = chain.ok_or_else(|| wrong(&files.certificate, "certificates"))?;
        let text = key_text(&files.key)?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| wrong(&files.key, "private key without a passphrase"))?;
        Ok(Self { chain, key })
    }

    /// Serves it.
    ///
    /// # Errors
    /// If the key is not its key.
    pub fn serve(self, files: &TlsFiles) -> Result<Arc<Serving>, CertificateError> {
        let serving = Serving::new(self.chain, self.key).map_err(pair(files))?;
        Ok(Arc::new(serving))
    }
}

fn pair(files: &TlsFiles) -> impl FnOnce(ServingError) -> CertificateError {
    let files = files.clone();
    move |why| CertificateError::Pair { files, why }
}

fn key_text(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    match private_file::read_secret(path) {
        Err(FileError::Exposed { path, mode }) => {
            tracing::warn!(path = %path.display(), mode = format_args!("{mode:04o}"), "a private key can be read by others");
            private_file::read_public(&path).map(Zeroizing::new)
        }
        read => read,
    }
}

/// Looks at the files every `interval`, and serves what has changed. A change that cannot be used is logged, and what was served before
/// goes on. Runs until it is dropped.
pub async fn follow(files: TlsFiles, serving: Arc<Serving>, interval: Duration) {
    let paths = vec![files.certificate.clone(), files.key.clone()];
    watch::follow(paths, interval, move || reload(&files, &serving)).await;
}

/// Reads both files again, and serves what they hold from now on.
///
/// # Errors
/// If they cannot be served; what was served before goes on.
pub fn reload(files: &TlsFiles, serving: &Serving) -> Result<(), CertificateError> {
    let Certificate { chain, key } = Certificate::load(files)?;
    serving.replace(chain, key).map_err(pair(files))
}
