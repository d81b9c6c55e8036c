//! Files: PEM in, PEM out, nothing overwritten.

use crate::{failure::Failure, keys::Key};
use credence_ca::{certificate::CaCertificate, custody::Custody as _};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::Path,
};
use zeroize::Zeroizing;

/// The longest file that is read: far more than a chain has.
const LONGEST: u64 = 256 * 1024;

pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|e| Failure::file(path, &e))?;
    let length = file
        .take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(|e| Failure::file(path, &e))?;
    if u64::try_from(length).is_ok_and(|length| length <= LONGEST) {
        Ok(text)
    } else {
        Err(Failure::file(
            path,
            &format!("longer than {LONGEST} octets"),
        ))
    }
}

/// Writes a new file.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(|e| Failure::file(folder, &e))?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| Failure::file(path, &e))
}

/// The blocks of a PEM file that bear this label.
pub(crate) fn blocks(path: &Path, label: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let text = read(path)?;
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once(&begin) {
        let Some((body, left)) = after.split_once(&end) else {
            return Err(Failure::file(path, &format!("a {label} has no end")));
        };
        let block = format!("{begin}{body}{end}\n");
        let (_, der) = pem_rfc7468::decode_vec(block.as_bytes())
            .map_err(|e| Failure::file(path, &format!("a {label} cannot be read: {e}")))?;
        found.push(der);
        rest = left;
    }
    if found.is_empty() {
        return Err(Failure::file(
            path,
            &format!("there is no {label} in it (PEM)"),
        ));
    }
    Ok(found)
}

pub(crate) fn to_pem(path: &Path, der: &[u8]) -> Result<String, Failure> {
    pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der)
        .map_err(|e| Failure::file(path, &e))
}

/// A CA's certificate with its key.
pub(crate) fn ca(dir: &Path, name: &str) -> Result<(CaCertificate, Key), Failure> {
    let certificate_path = dir.join(format!("{name}.pem"));
    let ders = blocks(&certificate_path, "CERTIFICATE")?;
    let [der] = ders.as_slice() else {
        return Err(Failure::file(
            &certificate_path,
            &"there is more than one certificate in it",
        ));
    };
    let certificate = CaCertificate::from_der(der)?;
    let key_path = dir.join(format!("{name}.key"));
    let key = Key::from_pem(&read(&key_path)?)
        .ok_or_else(|| Failure::file(&key_path, &"no P-256 or Ed25519 key in PKCS#8 PEM"))?;
    if key.public_key() == certificate.public_key() {
        Ok((certificate, key))
    } else {
        let beside = certificate_path.display();
        Err(Failure::file(
            &key_path,
            &format!("not the key of {beside}"),
        ))
    }
}
