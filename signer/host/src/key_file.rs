//! A signing key in a file: PKCS#8 PEM, mode 0600, encrypted by a passphrase or not.

use crate::{
    custody::Secret,
    private_file::{self, FileError},
};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use credence_ca::{
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    guard::{Checked, TbsCertList, TbsCertificate},
    key::{KeyKind, PublicKey},
};
use pkcs8::{
    EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef,
    der::{Encode as _, pem},
    pkcs5::pbes2,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// RFC 5915 §4
const SEC1: &str = "EC PRIVATE KEY";
/// OpenSSL's for RFC 8017 §A.1.2
const PKCS1: &str = "RSA PRIVATE KEY";
/// What OpenSSL writes before an [`SEC1`] key: the curve, which the key has too.
const EC_PARAMETERS: [&[u8]; 2] = [
    b"-----BEGIN EC PARAMETERS-----",
    b"-----END EC PARAMETERS-----",
];

/// Why a key file is not taken. Never says anything of what is in it.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not one PEM block of a PKCS#8 key.
    #[error("{} is not one PEM block labelled {LABEL} or {ENCRYPTED} (PKCS#8)", .0.display())]
    NotPem(PathBuf),
    /// Not one PEM block of a key in any form that other tools write.
    #[error("{} is not one PEM block labelled {LABEL}, {ENCRYPTED}, {SEC1} or {PKCS1}; `openssl pkcs8 -topk8` makes one of other forms", .0.display())]
    NotForeignPem(PathBuf),
    /// Encrypted, and there is no passphrase.
    #[error("{} is encrypted, and no passphrase is configured ([custody] passphrase_file or passphrase_fd)", .0.display())]
    NeedsPassphrase(PathBuf),
    /// Not encrypted, though there is a passphrase.
    #[error("{} is not encrypted, though a passphrase is configured; encrypt it with `openssl pkcs8 -topk8 -scrypt`, or configure none", .0.display())]
    NotEncrypted(PathBuf),
    /// The passphrase does not open it, or it is damaged.
    #[error("{} cannot be decrypted: the passphrase is wrong, or the file is damaged or encrypted with something else than PBES2 (scrypt or PBKDF2, AES)", .0.display())]
    NotOpened(PathBuf),
    /// Not a key of an accepted kind.
    #[error("{} holds no P-256, P-384, Ed25519 or RSA (2048 to 4096 bits) private key in PKCS#8", .0.display())]
    NotAKey(PathBuf),
}

/// How a key is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Pkcs8,
    Encrypted,
    Sec1,
    Pkcs1,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
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
    /// If the file is missing, open to others, holds no key of an accepted kind, or is encrypted
    /// without a passphrase to open it, or not encrypted though there is one.
    pub fn load(path: &Path, passphrase: Option<&Secret>) -> Result<Self, KeyFileError> {
        let text = private_file::read_secret(path)?;
        let (label, contents) =
            decode(&text).ok_or_else(|| KeyFileError::NotPem(path.to_path_buf()))?;
        let form = match label {
            LABEL => Form::Pkcs8,
            ENCRYPTED => Form::Encrypted,
            _ => return Err(KeyFileError::NotPem(path.to_path_buf())),
        };
        Self::open(path, form, &contents, passphrase)
    }

    /// Takes a key that other tools wrote, also as SEC1 or PKCS#1. `path` is for messages.
    ///
    /// # Errors
    /// If it is no key of an accepted kind, or is encrypted without a passphrase to open it, or not encrypted though there is one.
    pub fn from_foreign(
        path: &Path,
        text: &[u8],
        passphrase: Option<&Secret>,
    ) -> Result<Self, KeyFileError> {
        let not_pem = || KeyFileError::NotForeignPem(path.to_path_buf());
        let (label, contents) = decode(without_ec_parameters(text)).ok_or_else(not_pem)?;
        let form = match label {
            LABEL => Form::Pkcs8,
            ENCRYPTED => Form::Encrypted,
            SEC1 => Form::Sec1,
            PKCS1 => Form::Pkcs1,
            _ => return Err(not_pem()),
        };
        Self::open(path, form, &contents, passphrase)
    }

    /// Takes a key that is handed over as PEM, in the one form in which keys are stored here unencrypted: PKCS#8.
    ///
    /// # Errors
    /// If it is of another form, encrypted, or not accepted.
    pub fn from_plain_pem(text: &[u8]) -> Result<Self, KeyFileError> {
        let path = Path::new("the key");
        match decode(text) {
            Some((LABEL, contents)) => Self::open(path, Form::Pkcs8, &contents, None),
            _ => Err(KeyFileError::NotPem(path.to_path_buf())),
        }
    }

    fn open(
        path: &Path,
        form: Form,
        contents: &[u8],
        passphrase: Option<&Secret>,
    ) -> Result<Self, KeyFileError> {
        let path = || path.to_path_buf();
        let pair = match (form, passphrase) {
            (Form::Encrypted, Some(passphrase)) => Pair::from_pkcs8(
                &decrypt(contents, passphrase).ok_or_else(|| KeyFileError::NotOpened(path()))?,
            ),
            (Form::Encrypted, None) => return Err(KeyFileError::NeedsPassphrase(path())),
            (_, Some(_)) => return Err(KeyFileError::NotEncrypted(path())),
            (Form::Pkcs8, None) => Pair::from_pkcs8(contents),
            (Form::Sec1, None) => Pair::from_sec1(contents),
            (Form::Pkcs1, None) => RsaKeyPair::from_der(contents).ok().map(Pair::Rsa),
        };
        pair.and_then(Self::from_pair)
            .ok_or_else(|| KeyFileError::NotAKey(path()))
    }

    /// Makes a new key; with it, what is to be stored, encrypted if there is a passphrase.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn generate(
        kind: KeyKind,
        passphrase: Option<&Secret>,
    ) -> Result<(Self, Zeroizing<String>), CustodyError> {
        let pkcs8 = new_pkcs8(kind)?;
        let key = Pair::from_pkcs8(&pkcs8)
            .and_then(Self::from_pair)
            .ok_or_else(|| CustodyError::Failed("a new key could not be read back".into()))?;
        let text = match passphrase {
            None => encode(LABEL, &pkcs8),
            Some(passphrase) => encode(ENCRYPTED, &encrypt(&pkcs8, passphrase)?),
        }?;
        Ok((key, text))
    }

    fn from_pair(pair: Pair) -> Option<Self> {
        let public = PublicKey::from_spki(&pair.spki()?).ok()?;
        Some(Self { pair, public })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&rng, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| CustodyError::Failed("ECDSA signing failed".into())),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .map_err(|_| CustodyError::Failed("RSA signing failed".into()))?;
                Ok(signature)
            }
        }
    }
}

impl Pair {
    /// Whichever kind it is.
    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok();
        ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .map(Self::Ecdsa)
            .or_else(|| Ed25519KeyPair::from_pkcs8(pkcs8).ok().map(Self::Ed25519))
            .or_else(|| RsaKeyPair::from_pkcs8(pkcs8).ok().map(Self::Rsa))
    }

    /// RFC 5915. The library would take PKCS#8 here too, which another label is for.
    fn from_sec1(sec1: &[u8]) -> Option<Self> {
        if Self::from_pkcs8(sec1).is_some() {
            return None;
        }
        let ecdsa = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, sec1).ok();
        ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .map(Self::Ecdsa)
    }

    fn spki(&self) -> Option<Vec<u8>> {
        let spki = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
        };
        Some(spki.ok()?.as_ref().to_vec())
    }
}

/// A new key, PKCS#8.
fn new_pkcs8(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let failed = |_| CustodyError::Failed("no key could be generated".into());
    let rng = SystemRandom::new();
    let wiped = |octets: &[u8]| Zeroizing::new(octets.to_vec());
    match kind {
        KeyKind::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng)
            .map(|pkcs8| wiped(pkcs8.as_ref()))
            .map_err(failed),
        KeyKind::P384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &rng)
            .map(|pkcs8| wiped(pkcs8.as_ref()))
            .map_err(failed),
        KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&rng)
            .map(|pkcs8| wiped(pkcs8.as_ref()))
            .map_err(failed),
        KeyKind::Rsa(bits) => {
            let size = match bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                4096 => KeySize::Rsa4096,
                _ => {
                    let why = format!("{kind} keys are not made; 2048, 3072 and 4096 bits are");
                    return Err(CustodyError::Failed(why));
                }
            };
            let pair = RsaKeyPair::generate(size).map_err(failed)?;
            AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
                .map(|pkcs8| wiped(pkcs8.as_ref()))
                .map_err(failed)
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

/// One PEM block, its lines of whatever width; straight into what is wiped.
fn decode(text: &[u8]) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let mut block = pem::Decoder::new_detect_wrap(text).ok()?;
    let mut contents = Zeroizing::new(Vec::with_capacity(block.remaining_len()));
    block.decode_to_end(&mut contents).ok()?;
    Some((block.type_label(), contents))
}

/// What follows the curve's block, if one comes first.
fn without_ec_parameters(text: &[u8]) -> &[u8] {
    let [begin, end] = EC_PARAMETERS;
    let rest = text.trim_ascii_start();
    if !rest.starts_with(begin) {
        return text;
    }
    rest.windows(end.len())
        .position(|window| window == end)
        .and_then(|at| rest.get(at + end.len()..))
        .map_or(text, <[u8]>::trim_ascii_start)
}

/// Without copies that nobody wipes.
fn encode(label: &str, contents: &[u8]) -> Result<Zeroizing<String>, CustodyError> {
    pem::encode_string(label, pem::LineEnding::LF, contents)
        .map(Zeroizing::new)
        .map_err(|_| CustodyError::Failed("a new key could not be written as PEM".into()))
}

/// Candid limit: the cipher leaves blocks of what it decrypts on the stack, which nobody wipes.
fn decrypt(der: &[u8], passphrase: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let opened = EncryptedPrivateKeyInfoRef::try_from(der)
        .ok()?
        .decrypt(passphrase.octets())
        .ok()?;
    Some(opened.to_bytes())
}

/// PBES2 with scrypt (N = 2^14, r = 8, p = 1: what OpenSSL takes by default) and AES-256-CBC.
fn encrypt(pkcs8: &[u8], passphrase: &Secret) -> Result<Vec<u8>, CustodyError> {
    let failed = || CustodyError::Failed("a new key could not be encrypted".into());
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| failed())?;
    aws_lc_rs::rand::fill(&mut iv).map_err(|_| failed())?;
    let strength = pkcs8::pkcs5::scrypt::Params::new(14, 8, 1).map_err(|_| failed())?;
    let parameters =
        pbes2::Parameters::generate_scrypt_aes256cbc(strength, &salt, iv).map_err(|_| failed())?;
    let encrypted = parameters
        .encrypt(passphrase.octets(), pkcs8)
        .map_err(|_| failed())?;
    EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetString::new(encrypted).map_err(|_| failed())?,
    }
    .to_der()
    .map_err(|_| failed())
}
