//! The files of one root or issuer.

use super::{Authorized, KeyHome};
use crate::{
    custody::{Custodian, Role, SigningKey},
    founding::Certified,
    private_file::{self, FileError},
    sandbox::ModuleDigest,
    state::{StateError, certificate_pem, certificates},
};
use credence_ca::{
    certificate::CaCertificate, custody::Custody as _, hex, name::DistinguishedName,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How the name of a folder ends that is not whole yet.
pub(super) const UNFINISHED: &str = ".new";
/// No more than can ever be in use: retired ones stay as certificates.
const MOST: usize = 4096;

/// Every folder with its name, in the order of the names.
pub(super) fn folders(all: &Path) -> Result<Vec<(String, PathBuf)>, StateError> {
    let failed = |e| crate::state::folder(all, "read")(e);
    let mut found = Vec::new();
    for entry in fs::read_dir(all).map_err(failed)?.take(MOST) {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn load(
    name: String,
    folder: &Path,
    custodian: &Custodian,
) -> Result<Authorized, StateError> {
    let path = folder.join("certificate.pem");
    let [certificate] = <[CaCertificate; 1]>::try_from(certificates(&path)?)
        .map_err(|_| StateError::NotPem(path.clone()))?;
    let above = optional(certificates(&folder.join("above.pem")))?.unwrap_or_default();
    let role = role(folder)?;
    let key = key(folder, role, &certificate, custodian)?;
    let made = made(folder, &certificate)?;
    Ok(Authorized {
        name,
        role,
        certificate,
        above,
        key: key.map(Arc::new),
        made,
    })
}

pub(super) fn write(folder: &Path, one: &Authorized, home: &KeyHome) -> Result<(), StateError> {
    let file = |name: &str, octets: &[u8]| private_file::write_new(&folder.join(name), octets);
    file("role", format!("{}\n", one.role.name()).as_bytes())?;
    file(
        "certificate.pem",
        certificate_pem(&one.certificate).as_bytes(),
    )?;
    if !one.above.is_empty() {
        let above: String = one.above.iter().map(certificate_pem).collect();
        file("above.pem", above.as_bytes())?;
    }
    match home {
        KeyHome::Stored(key) => file("key.pem", key.as_bytes())?,
        KeyHome::Token => file("key-in-token", b"")?,
        KeyHome::Elsewhere => {}
    }
    if let Some(made) = &one.made {
        file("request.der", &made.csr)?;
        let text = format!(
            "{}\n{}\n{}\n",
            hex(made.module.octets()),
            made.subject.organization,
            made.subject.common_name
        );
        file("made", text.as_bytes())?;
    }
    Ok(private_file::sync_folder(folder)?)
}

pub(super) fn remove_key(folder: &Path) -> Result<(), StateError> {
    for name in ["key.pem", "key-in-token"] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(crate::state::folder(&path, "removed")(e));
            }
            _ => {}
        }
    }
    Ok(private_file::sync_folder(folder)?)
}

fn role(folder: &Path) -> Result<Role, StateError> {
    let path = folder.join("role");
    match private_file::read_public(&path)?.as_slice() {
        b"root\n" => Ok(Role::Root),
        b"issuer\n" => Ok(Role::Issuer),
        _ => Err(StateError::Damaged(path)),
    }
}

fn key(
    folder: &Path,
    role: Role,
    certificate: &CaCertificate,
    custodian: &Custodian,
) -> Result<Option<SigningKey>, StateError> {
    let file = folder.join("key.pem");
    if !file.exists() && !folder.join("key-in-token").exists() {
        return Ok(None);
    }
    let key = custodian.load(role, &file, certificate.public_key())?;
    if key.public_key() != certificate.public_key() {
        return Err(StateError::Mismatch {
            key: file,
            certificate: folder.join("certificate.pem"),
        });
    }
    Ok(Some(key))
}

fn made(folder: &Path, certificate: &CaCertificate) -> Result<Option<Certified>, StateError> {
    let path = folder.join("made");
    let Some(text) = optional(private_file::read_public(&path).map_err(StateError::from))? else {
        return Ok(None);
    };
    let csr = private_file::read_public(&folder.join("request.der"))?;
    let read = || {
        let text = str::from_utf8(&text).ok()?;
        let mut lines = text.lines();
        let module = ModuleDigest::from_hex(lines.next()?)?;
        let (organization, common_name) = (lines.next()?, lines.next()?);
        lines.next().is_none().then(|| Certified {
            certificate: certificate.clone(),
            csr: csr.clone(),
            subject: DistinguishedName {
                organization: organization.to_owned(),
                common_name: common_name.to_owned(),
            },
            module,
        })
    };
    read().map(Some).ok_or(StateError::Damaged(path))
}

fn optional<T>(read: Result<T, StateError>) -> Result<Option<T>, StateError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StateError::File(FileError::Missing(_))) => Ok(None),
        Err(error) => Err(error),
    }
}
