//! Signing keys: made and held here, PKCS#8 PEM outside.

use credence_ca::{
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    guard::{Checked, TbsCertList, TbsCertificate},
    key::{KeyError, PublicKey},
};
use ed25519_dalek::{
    Signer as _,
    pkcs8::{
        DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        spki::der::pem::LineEnding,
    },
};
use std::fmt;
use zeroize::Zeroizing;

/// A kind of key that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewKey {
    P256,
    Ed25519,
}

enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A signing key; the libraries wipe it when it goes.
pub(crate) struct Key {
    secret: Secret,
    public: PublicKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, private key not shown)", self.public)
    }
}

fn failed(what: &dyn fmt::Display) -> CustodyError {
    CustodyError::Failed(what.to_string())
}

impl Key {
    /// A new one, by the randomness that the runtime gives.
    pub(crate) fn generate(kind: NewKey) -> Result<Self, CustodyError> {
        loop {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut()).map_err(|e| failed(&e))?;
            let secret = match kind {
                NewKey::Ed25519 => Secret::Ed25519(Box::new((&*seed).into())),
                // one in 2^32 is not below the curve's order, and is drawn again
                NewKey::P256 => match p256::ecdsa::SigningKey::from_slice(seed.as_ref()) {
                    Ok(key) => Secret::P256(key),
                    Err(_) => continue,
                },
            };
            return Self::new(secret);
        }
    }

    /// From PKCS#8 PEM; none if it is neither kind.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let secret = match p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Secret::P256(key),
            Err(_) => Secret::Ed25519(Box::new(
                ed25519_dalek::SigningKey::from_pkcs8_pem(pem).ok()?,
            )),
        };
        Self::new(secret).ok()
    }

    fn new(secret: Secret) -> Result<Self, CustodyError> {
        let spki = match &secret {
            Secret::P256(key) => key.verifying_key().to_public_key_der(),
            Secret::Ed25519(key) => key.verifying_key().to_public_key_der(),
        }
        .map_err(|e| failed(&e))?;
        let public = PublicKey::from_spki(spki.as_bytes()).map_err(|e: KeyError| failed(&e))?;
        Ok(Self { secret, public })
    }

    /// PKCS#8 PEM.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, CustodyError> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Secret::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|e| failed(&e))
    }

    /// RFC 6979 and RFC 8032: neither needs randomness.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl Custody for Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError> {
        if tbs.issuer_key() != &self.public {
            return Err(CustodyError::OtherKey);
        }
        Ok(tbs.with_signature(&self.sign(tbs.der())))
    }

    fn sign_crl(&self, list: &Checked<TbsCertList>) -> Result<Vec<u8>, CustodyError> {
        if list.issuer_key() != &self.public {
            return Err(CustodyError::OtherKey);
        }
        Ok(list.with_signature(&self.sign(list.der())))
    }

    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError> {
        Ok(request.with_signature(&self.sign(request.info())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::possession;

    #[test]
    fn what_was_made_is_read_back_and_signs() {
        for kind in [NewKey::P256, NewKey::Ed25519] {
            let key = Key::generate(kind).unwrap();
            let again = Key::from_pem(&key.to_pem().unwrap()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let own = OwnRequest::for_key(key.public_key());
            let csr = again.sign_own_request(&own).unwrap();
            possession::prove(&csr).unwrap();
        }
        assert!(Key::from_pem("-----BEGIN PRIVATE KEY-----\n").is_none());
    }

    #[test]
    fn shows_nothing_of_itself() {
        let key = Key::generate(NewKey::P256).unwrap();
        let text = format!("{key:?}");
        assert!(text.contains("not shown") && text.len() < 200, "{text}");
    }
}
