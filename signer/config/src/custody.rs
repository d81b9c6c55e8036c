//! Section `[custody]`: where the CA's keys are.

use crate::{
    Faults, keep,
    raw::{RawCustody, RawToken},
};
use credence_ca::key::KeyKind;
use std::path::{Path, PathBuf};

/// Where a CA's keys are, and of which kind new ones are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyConfig {
    /// Of which kind new ones are.
    pub kind: KeyKind,
    /// In what they are.
    pub vault: VaultConfig,
}

/// In what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultConfig {
    /// In the state folder; encrypted, if a passphrase is named.
    Files(Option<SecretSource>),
    /// In a PKCS#11 token that this PIN opens.
    Token(TokenSettings, SecretSource),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file of mode 0600 or stricter.
    File(PathBuf),
    /// On a descriptor that the process was started with.
    Descriptor(u32),
}

/// Which PKCS#11 token, and the names of the keys in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// The token's PKCS#11 library.
    pub library: PathBuf,
    /// The token's label.
    pub token: String,
    /// CKA_LABEL of the root's key.
    pub root_label: String,
    /// CKA_LABEL of the issuer's key.
    pub issuer_label: String,
}

pub(crate) fn parse(raw: RawCustody, folder: &Path) -> Result<CustodyConfig, Faults> {
    let mut faults = Vec::new();
    let kind = keep(&mut faults, kind(raw.key.as_deref()));
    let passphrase = keep(
        &mut faults,
        secret(folder, "passphrase", raw.passphrase_file, raw.passphrase_fd),
    );
    let token = raw
        .pkcs11
        .map(|token| keep(&mut faults, self::token(token, folder)));
    let vault = match (passphrase, token) {
        (Some(None), Some(Some((settings, pin)))) => Some(VaultConfig::Token(settings, pin)),
        (Some(passphrase), None) => Some(VaultConfig::Files(passphrase)),
        (Some(Some(_)), Some(_)) => {
            faults
                .push("custody: a passphrase is for keys in files; custody.pkcs11 has none".into());
            None
        }
        _ => None,
    };
    match (kind, vault, faults.is_empty()) {
        (Some(kind), Some(vault), true) => Ok(CustodyConfig { kind, vault }),
        _ => Err(Faults(faults)),
    }
}

fn kind(name: Option<&str>) -> Result<KeyKind, String> {
    match name {
        None | Some("p256") => Ok(KeyKind::P256),
        Some("p384") => Ok(KeyKind::P384),
        Some("ed25519") => Ok(KeyKind::Ed25519),
        Some("rsa2048") => Ok(KeyKind::Rsa(2048)),
        Some("rsa3072") => Ok(KeyKind::Rsa(3072)),
        Some("rsa4096") => Ok(KeyKind::Rsa(4096)),
        Some(other) => Err(format!(
            "custody.key: {other:?} is none of p256, p384, ed25519, rsa2048, rsa3072, rsa4096"
        )),
    }
}

fn token(raw: RawToken, folder: &Path) -> Result<(TokenSettings, SecretSource), String> {
    if !cfg!(feature = "pkcs11") {
        return Err("custody.pkcs11: this credence was built without it (feature pkcs11)".into());
    }
    let pin = secret(folder, "pkcs11.pin", raw.pin_file, raw.pin_fd)?
        .ok_or("custody.pkcs11: pin_file or pin_fd is missing")?;
    if raw.root_label == raw.issuer_label {
        return Err("custody.pkcs11: root_label and issuer_label are the same".into());
    }
    let settings = TokenSettings {
        library: folder.join(raw.library),
        token: raw.token,
        root_label: raw.root_label,
        issuer_label: raw.issuer_label,
    };
    Ok((settings, pin))
}

fn secret(
    folder: &Path,
    name: &str,
    file: Option<PathBuf>,
    descriptor: Option<u32>,
) -> Result<Option<SecretSource>, String> {
    match (file, descriptor) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some(SecretSource::File(folder.join(path)))),
        (None, Some(number)) => Ok(Some(SecretSource::Descriptor(number))),
        (Some(_), Some(_)) => Err(format!(
            "custody.{name}_file and {name}_fd: one of them, not both"
        )),
    }
}
