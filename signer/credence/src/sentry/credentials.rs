//! Root and issuer as sentry keeps them: the files of a folder, which are made where not one of them is there.

use super::error::SentryError;
use credence_ca::{custody::Custody, key::KeyKind, validity::Time};
use credence_host::{
    chain::{
        DaprNames, Existing, Layout, Material, Reading, WriteError, certificates_pem,
        finish_writing, write_dapr,
    },
    custody::Custodian,
    founding,
    private_file::{self, Readers},
    signer::Signer,
};
use credence_sentry::settings::Credentials;
use spiffe::SpiffeId;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};
use tracing::{info, warn};
use zeroize::Zeroizing;

/// How long a root and an issuer that are made here live: a year, as sentry's do.
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// What new credentials are made of.
pub(super) struct Maker<'a> {
    pub(super) signer: &'a Signer,
    pub(super) trust_domain: &'a SpiffeId,
    /// How much earlier they begin.
    pub(super) clock_skew: Duration,
    pub(super) now: Time,
}

/// Who may read the key's file: anyone, as with sentry, since Kubernetes mounts secrets so; nobody else may write it.
pub(super) fn reading() -> Reading {
    Reading {
        readers: Readers::Anyone,
        passphrase: None,
    }
}

/// Where the credentials are. If none of them is there, they are made first. Says whether they were.
pub(super) fn ready(
    credentials: &Credentials,
    maker: &Maker<'_>,
) -> Result<(Layout, bool), SentryError> {
    let names = names(credentials);
    if names.is_some() {
        // what a crash has left; in a folder that is not ours to write there is nothing of it
        finish_writing(&credentials.folder)?;
    }
    let made = !paths(credentials)
        .iter()
        .any(|path| path.symlink_metadata().is_ok());
    if made {
        make(credentials, names.as_ref(), maker)?;
        info!(folder = %credentials.folder.display(), "there were no credentials: a root and an issuer were made, for a year; the root's key is not kept");
    }
    warn_of_readers(&credentials.key);
    Ok((layout(credentials, names), made))
}

fn paths(credentials: &Credentials) -> [&Path; 3] {
    [&credentials.key, &credentials.certificate, &credentials.ca]
}

/// The names in the folder, if all three are in it.
fn names(credentials: &Credentials) -> Option<DaprNames> {
    let name = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        (path == credentials.folder.join(name)).then(|| name.to_owned())
    };
    Some(DaprNames {
        roots: name(&credentials.ca)?,
        chain: name(&credentials.certificate)?,
        key: name(&credentials.key)?,
    })
}

fn layout(credentials: &Credentials, names: Option<DaprNames>) -> Layout {
    match names {
        Some(names) => Layout::Dapr {
            folder: credentials.folder.clone(),
            names,
        },
        None => Layout::Files {
            roots: credentials.ca.clone(),
            chain: credentials.certificate.clone(),
            issuer_key: credentials.key.clone(),
            root_key: None,
        },
    }
}

/// The root's key is forgotten, as sentry forgets it: another root comes with another set of files.
fn make(
    credentials: &Credentials,
    names: Option<&DaprNames>,
    maker: &Maker<'_>,
) -> Result<(), SentryError> {
    let custodian = Custodian::files(KeyKind::Ed25519, None);
    let (begin, life) = (maker.now.minus(maker.clock_skew), LIFE + maker.clock_skew);
    let domain = maker.trust_domain;
    let root = founding::make_root(maker.signer, &custodian, domain, life, begin)?;
    let above = (&root.certified.certificate, &root.key as &dyn Custody);
    let issuer = founding::make_issuer(maker.signer, &custodian, domain, above, life, begin)?;
    let roots = certificates_pem([&root.certified.certificate]);
    let chain = certificates_pem([&issuer.certified.certificate]);
    let key = issuer.key_pem.ok_or(WriteError::KeyInToken)?;
    match names {
        Some(names) => {
            let material = Material::new(roots, chain, key)?;
            fs::create_dir_all(&credentials.folder)
                .map_err(|error| WriteError::from(io(&credentials.folder, error)))?;
            write_dapr(&credentials.folder, names, &material, Existing::Keep)?;
        }
        None => write_each(credentials, (&roots, &chain, &key))?,
    }
    Ok(())
}

/// Files all over the place cannot be written as one: what a crash leaves is partial, and refused.
fn write_each(
    credentials: &Credentials,
    (roots, chain, key): (&str, &str, &Zeroizing<String>),
) -> Result<(), SentryError> {
    let contents = [key.as_bytes(), chain.as_bytes(), roots.as_bytes()];
    for (path, octets) in paths(credentials).into_iter().zip(contents) {
        private_file::write_new(path, octets)?;
        if let Some(folder) = path.parent() {
            private_file::sync_folder(folder)?;
        }
    }
    Ok(())
}

fn io(path: &Path, source: std::io::Error) -> private_file::FileError {
    private_file::FileError::Io {
        path: path.to_path_buf(),
        action: "made",
        source,
    }
}

fn warn_of_readers(key: &Path) {
    let mode = fs::metadata(key).map(|of| of.permissions().mode() & 0o777);
    if let Ok(mode) = mode
        && mode & 0o044 != 0
    {
        warn!(path = %key.display(), mode = format_args!("{mode:04o}"), "the issuer's private key can be read by others: give the volume a defaultMode of 0400, or chmod 600");
    }
}
