//! Where a CA's own keys are made and held: in files, or in a PKCS#11 token.

#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod secret;

pub use secret::{Secret, SecretError, SecretSource};

use crate::key_file::{FileKey, KeyFileError};
use credence_ca::{
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    guard::{Checked, TbsCertList, TbsCertificate},
    key::{KeyKind, PublicKey},
};
#[cfg(feature = "pkcs11")]
use pkcs11::{Pkcs11Error, Pkcs11Key, Token};
use std::path::{Path, PathBuf};
#[cfg(feature = "pkcs11")]
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// Which of a CA's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The trust anchor's.
    Root,
    /// What signs leaves.
    Issuer,
}

impl Role {
    /// Its name in files and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuer => "issuer",
        }
    }
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

impl TokenSettings {
    /// CKA_LABEL of a key.
    #[must_use]
    pub fn label(&self, role: Role) -> &str {
        match role {
            Role::Root => &self.root_label,
            Role::Issuer => &self.issuer_label,
        }
    }
}

/// Why a key cannot be had.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A key in a file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A key in a token.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Token(#[from] Pkcs11Error),
}

/// A signing key, wherever it is.
#[derive(Debug)]
pub enum SigningKey {
    /// In a file, and in this process' memory.
    File(FileKey),
    /// In a token, which does the signing.
    #[cfg(feature = "pkcs11")]
    Token(Pkcs11Key),
}

impl SigningKey {
    fn custody(&self) -> &dyn Custody {
        match self {
            Self::File(key) => key,
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key,
        }
    }
}

impl Custody for SigningKey {
    fn public_key(&self) -> &PublicKey {
        self.custody().public_key()
    }

    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError> {
        self.custody().sign_certificate(tbs)
    }

    fn sign_crl(&self, list: &Checked<TbsCertList>) -> Result<Vec<u8>, CustodyError> {
        self.custody().sign_crl(list)
    }

    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError> {
        self.custody().sign_own_request(request)
    }
}

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) key: SigningKey,
    /// What is to be stored: PKCS#8 PEM. None if the key is in a token.
    pub(crate) file: Option<Zeroizing<String>>,
}

/// Who makes and holds a CA's keys.
#[derive(Debug)]
pub struct Custodian {
    kind: KeyKind,
    vault: Vault,
}

#[derive(Debug)]
enum Vault {
    Files(Option<Secret>),
    #[cfg(feature = "pkcs11")]
    Token(Arc<Token>),
}

impl Default for Custodian {
    /// P-256 keys in files that are not encrypted.
    fn default() -> Self {
        Self::files(KeyKind::P256, None)
    }
}

impl Custodian {
    /// Keys in files; encrypted, if there is a passphrase. New ones are of this kind.
    #[must_use]
    pub fn files(kind: KeyKind, passphrase: Option<Secret>) -> Self {
        Self {
            kind,
            vault: Vault::Files(passphrase),
        }
    }

    /// Keys in a token. New ones are of this kind, and cannot be taken out.
    #[cfg(feature = "pkcs11")]
    #[must_use]
    pub fn token(kind: KeyKind, token: Token) -> Self {
        Self {
            kind,
            vault: Vault::Token(Arc::new(token)),
        }
    }

    /// Makes a key.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(
            unused_variables,
            reason = "a token's keys have labels, a file has its path"
        )
    )]
    pub(crate) fn make(&self, role: Role) -> Result<NewKey, CustodyError> {
        match &self.vault {
            Vault::Files(passphrase) => {
                let (key, file) = FileKey::generate(self.kind, passphrase.as_ref())?;
                Ok(NewKey {
                    key: SigningKey::File(key),
                    file: Some(file),
                })
            }
            #[cfg(feature = "pkcs11")]
            Vault::Token(token) => Pkcs11Key::generate(token, role, self.kind)
                .map(|key| NewKey {
                    key: SigningKey::Token(key),
                    file: None,
                })
                .map_err(|e| CustodyError::Failed(e.to_string())),
        }
    }

    /// Finds the key of a certificate again: in this file, or in the token.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(
            unused_variables,
            reason = "a token's keys have labels, a file has its path"
        )
    )]
    pub(crate) fn load(
        &self,
        role: Role,
        file: &Path,
        public: &PublicKey,
    ) -> Result<SigningKey, KeyError> {
        match &self.vault {
            Vault::Files(passphrase) => {
                Ok(SigningKey::File(FileKey::load(file, passphrase.as_ref())?))
            }
            #[cfg(feature = "pkcs11")]
            Vault::Token(token) => Ok(SigningKey::Token(Pkcs11Key::find(token, role, public)?)),
        }
    }
}
