//! A signing key in a file: PKCS#8 PEM, mode 0600.

use crate::private_file::{self, FileError};
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use credence_ca::{
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    guard::{Checked, TbsCertList, TbsCertificate},
    key::{KeyError, KeyKind, PublicKey},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL: &str = "PRIVATE KEY";

/// Why a key file is not taken. Never says anything of what is in it.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not one PEM block of an unencrypted PKCS#8 key.
    #[error("{} is not one PEM block labelled {LABEL} (PKCS#8)", .0.display())]
    NotPem(PathBuf),
    /// Not a key of an accepted kind.
    #[error("{} holds no P-256 or Ed25519 private key in PKCS#8", .0.display())]
    NotAKey(PathBuf),
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A signing key. What it was read from is wiped; the library keeps the key itself.
pub struct FileKey {
    pair: Pair,
    public: PublicKey,
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileKey({:?}, private key not shown)", self.public)
    }
}

impl FileKey {
    /// Reads a key.
    ///
    /// # Errors
    /// If the file is missing, open to others, or holds no key of an accepted kind.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = private_file::read_secret(path)?;
        let block =
            pem::parse(text.as_slice()).map_err(|_| KeyFileError::NotPem(path.to_path_buf()))?;
        let label_is_right = block.tag() == LABEL;
        let pkcs8 = Zeroizing::new(block.into_contents());
        if !label_is_right {
            return Err(KeyFileError::NotPem(path.to_path_buf()));
        }
        Self::from_pkcs8(&pkcs8).ok_or_else(|| KeyFileError::NotAKey(path.to_path_buf()))
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn generate(kind: KeyKind) -> Result<(Self, Zeroizing<String>), CustodyError> {
        let failed = |_| CustodyError::Failed("no key could be generated".into());
        let rng = SystemRandom::new();
        let pkcs8 = match kind {
            KeyKind::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng),
            KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&rng),
            KeyKind::P384 | KeyKind::Rsa(_) => {
                let why = format!("{kind} keys cannot be generated in a file yet");
                return Err(CustodyError::Failed(why));
            }
        }
        .map_err(failed)?;
        let key = Self::from_pkcs8(pkcs8.as_ref())
            .ok_or_else(|| CustodyError::Failed("a new key could not be read back".into()))?;
        let text = pem::encode(&pem::Pem::new(LABEL, pkcs8.as_ref()));
        Ok((key, Zeroizing::new(text)))
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).ok();
        let (pair, spki) = match p256 {
            Some(pair) => {
                let spki = pair.public_key().as_der().ok()?.as_ref().to_vec();
                (Pair::P256(pair), spki)
            }
            None => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                let spki = pair.public_key().as_der().ok()?.as_ref().to_vec();
                (Pair::Ed25519(pair), spki)
            }
        };
        let public = PublicKey::from_spki(&spki).map_err(|e: KeyError| e).ok()?;
        Some(Self { pair, public })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CustodyError> {
        match &self.pair {
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| CustodyError::Failed("ECDSA signing failed".into())),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl Custody for FileKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError> {
        if tbs.issuer_key() != &self.public {
            return Err(CustodyError::OtherKey);
        }
        Ok(tbs.with_signature(&self.sign(tbs.der())?))
    }

    fn sign_crl(&self, list: &Checked<TbsCertList>) -> Result<Vec<u8>, CustodyError> {
        if list.issuer_key() != &self.public {
            return Err(CustodyError::OtherKey);
        }
        Ok(list.with_signature(&self.sign(list.der())?))
    }

    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError> {
        Ok(request.with_signature(&self.sign(request.info())?))
    }
}
