//! A key in a token.

use super::{Pkcs11Error, may_be_lost, token::Token};
use crate::{custody::Role, possession::is_own_signature};
use credence_ca::{
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    der::{self, tag},
    guard::{Checked, TbsCertList, TbsCertificate},
    key::{KeyKind, PublicKey},
    oid,
};
use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use sha2::{Digest as _, Sha256, Sha384};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A signing key in a token.
pub struct Pkcs11Key {
    token: Arc<Token>,
    label: String,
    id: Vec<u8>,
    public: PublicKey,
    /// A session signs one thing at a time, and so does this key.
    session: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    key: ObjectHandle,
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Key({:?}, {:?})", self.label, self.public)
    }
}

impl Pkcs11Key {
    /// Makes a key in the token, sensitive and not extractable.
    ///
    /// # Errors
    /// If the token fails, or makes something else.
    pub fn generate(token: &Arc<Token>, role: Role, kind: KeyKind) -> Result<Self, Pkcs11Error> {
        let session = token.session()?;
        let label = token.label(role).to_owned();
        let mut id = vec![0; 16];
        session.generate_random_slice(&mut id)?;
        let common = [
            Attribute::Token(true),
            Attribute::Label(label.clone().into_bytes()),
            Attribute::Id(id.clone()),
        ];
        let public = [&common[..], &[Attribute::Verify(true)], &parameters(kind)].concat();
        let secret = [
            &common[..],
            &[
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Decrypt(false),
                Attribute::Unwrap(false),
                Attribute::Derive(false),
            ],
        ]
        .concat();
        let (public, _) = session.generate_key_pair(&generation(kind), &public, &secret)?;
        let public = octets(&session, public, kind)?
            .and_then(|octets| {
                PublicKey::from_spki(&der::sequence(&[
                    algorithm(kind),
                    &der::bit_string(&octets),
                ]))
                .ok()
            })
            .ok_or(Pkcs11Error::OddKey(kind))?;
        Self::open(token, label, id, public)
    }

    /// Finds the key that belongs to a certificate's: by its label, then by the public key, since a
    /// label is not unique.
    ///
    /// # Errors
    /// If there is none, it could be taken out of the token, or the token fails.
    pub fn find(token: &Arc<Token>, role: Role, public: &PublicKey) -> Result<Self, Pkcs11Error> {
        let session = token.session()?;
        let label = token.label(role).to_owned();
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(key_type(public.kind())),
            Attribute::Label(label.clone().into_bytes()),
        ];
        for object in session.find_objects(&template)? {
            if octets(&session, object, public.kind())?.as_deref() == Some(public.octets())
                && let Some(id) = id_of(&session, object)?
            {
                return Self::open(token, label, id, public.clone());
            }
        }
        Err(Pkcs11Error::NoKey { label })
    }

    fn open(
        token: &Arc<Token>,
        label: String,
        id: Vec<u8>,
        public: PublicKey,
    ) -> Result<Self, Pkcs11Error> {
        let key = Self {
            token: Arc::clone(token),
            label,
            id,
            public,
            session: Mutex::new(None),
        };
        let open = key.connect()?;
        *key.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(key)
    }

    /// A session with the private key in it.
    fn connect(&self) -> Result<Open, Pkcs11Error> {
        let session = self.token.session()?;
        let template = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(key_type(self.public.kind())),
            Attribute::Label(self.label.clone().into_bytes()),
            Attribute::Id(self.id.clone()),
        ];
        let key = match session.find_objects(&template)?.as_slice() {
            [key] => *key,
            _ => {
                return Err(Pkcs11Error::NoKey {
                    label: self.label.clone(),
                });
            }
        };
        if !stays_inside(&session, key)? {
            return Err(Pkcs11Error::Extractable(self.label.clone()));
        }
        Ok(Open { session, key })
    }

    /// Signs; if that fails, once more in a new session.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut signature = self.sign_in(&mut held, message);
        if let Err(error) = &signature
            && may_be_lost(error)
        {
            tracing::warn!(key = %self.label, %error, "the token did not sign; logging in anew");
            *held = None;
            signature = self.sign_in(&mut held, message);
        }
        signature.map_err(|e| CustodyError::Failed(e.to_string()))
    }

    fn sign_in(&self, held: &mut Option<Open>, message: &[u8]) -> Result<Vec<u8>, Pkcs11Error> {
        let open = match held {
            Some(open) => open,
            None => held.insert(self.connect()?),
        };
        let sign =
            |mechanism: &Mechanism<'_>, data: &[u8]| open.session.sign(mechanism, open.key, data);
        let signature = match self.public.kind() {
            KeyKind::P256 => ecdsa_value(&sign(&Mechanism::Ecdsa, &Sha256::digest(message))?),
            KeyKind::P384 => ecdsa_value(&sign(&Mechanism::Ecdsa, &Sha384::digest(message))?),
            KeyKind::Ed25519 => sign(&eddsa(), message)?,
            KeyKind::Rsa(_) => sign(&Mechanism::Sha256RsaPkcs, message)?,
        };
        // A library that was started anew gives its numbers out again: a session and an object that
        // are remembered may be another key's by now. And a fault in RSA may give the key away.
        if is_own_signature(&self.public, message, &signature) {
            Ok(signature)
        } else {
            Err(Pkcs11Error::WrongSignature(self.label.clone()))
        }
    }
}

impl Custody for Pkcs11Key {
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

fn eddsa() -> Mechanism<'static> {
    Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure))
}

fn generation(kind: KeyKind) -> Mechanism<'static> {
    match kind {
        KeyKind::P256 | KeyKind::P384 => Mechanism::EccKeyPairGen,
        KeyKind::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyKind::Rsa(_) => Mechanism::RsaPkcsKeyPairGen,
    }
}

fn key_type(kind: KeyKind) -> KeyType {
    match kind {
        KeyKind::P256 | KeyKind::P384 => KeyType::EC,
        KeyKind::Ed25519 => KeyType::EC_EDWARDS,
        KeyKind::Rsa(_) => KeyType::RSA,
    }
}

/// SubjectPublicKeyInfo's algorithm.
fn algorithm(kind: KeyKind) -> &'static [u8] {
    match kind {
        KeyKind::P256 => oid::algorithm::P256_KEY,
        KeyKind::P384 => oid::algorithm::P384_KEY,
        KeyKind::Ed25519 => oid::algorithm::ED25519,
        KeyKind::Rsa(_) => oid::algorithm::RSA_KEY,
    }
}

/// What kind of key is to be made, in the public template's terms.
fn parameters(kind: KeyKind) -> Vec<Attribute> {
    match kind {
        KeyKind::P256 => vec![Attribute::EcParams(vec![
            6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
        ])],
        KeyKind::P384 => vec![Attribute::EcParams(vec![6, 5, 0x2b, 0x81, 4, 0, 0x22])],
        // PrintableString "edwards25519" (PKCS#11 3.0 §2.3.5)
        KeyKind::Ed25519 => vec![Attribute::EcParams(
            [&[0x13, 12], &b"edwards25519"[..]].concat(),
        )],
        KeyKind::Rsa(bits) => vec![
            Attribute::ModulusBits(u64::from(bits).into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ],
    }
}

/// A public key object's key as subjectPublicKey has it; none if it does not say.
fn octets(
    session: &Session,
    object: ObjectHandle,
    kind: KeyKind,
) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    match kind {
        KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => ec_point(session, object),
        KeyKind::Rsa(_) => rsa_key(session, object),
    }
}

/// RSAPublicKey, RFC 8017 §A.1.1.
fn rsa_key(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    let asked = [AttributeType::Modulus, AttributeType::PublicExponent];
    let attributes = session.get_attributes(object, &asked)?;
    let modulus = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Modulus(octets) => Some(octets),
        _ => None,
    });
    let exponent = attributes.iter().find_map(|attribute| match attribute {
        Attribute::PublicExponent(octets) => Some(octets),
        _ => None,
    });
    Ok(modulus.zip(exponent).map(|(modulus, exponent)| {
        der::sequence(&[
            &der::unsigned_integer(modulus),
            &der::unsigned_integer(exponent),
        ])
    }))
}

/// CKA_EC_POINT is an OCTET STRING around the point.
fn ec_point(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    let attributes = session.get_attributes(object, &[AttributeType::EcPoint])?;
    Ok(attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => der::single(point, tag::OCTET_STRING)
            .ok()
            .map(|point| point.value.to_vec()),
        _ => None,
    }))
}

fn id_of(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    let attributes = session.get_attributes(object, &[AttributeType::Id])?;
    Ok(attributes
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Id(id) => Some(id),
            _ => None,
        }))
}

/// Sensitive, and not extractable: it can be used, but not read or wrapped.
fn stays_inside(session: &Session, key: ObjectHandle) -> Result<bool, Pkcs11Error> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    let attributes = session.get_attributes(key, &asked)?;
    Ok(attributes.contains(&Attribute::Sensitive(true))
        && attributes.contains(&Attribute::Extractable(false)))
}

/// CKM_ECDSA gives r and s side by side; certificates have them as ECDSA-Sig-Value (RFC 3279 §2.2.3).
fn ecdsa_value(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    der::sequence(&[&der::unsigned_integer(r), &der::unsigned_integer(s)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_and_s_are_positive_and_short() {
        assert_eq!(
            ecdsa_value(&[0, 1, 0xff, 2]),
            [0x30, 8, 2, 1, 1, 2, 3, 0, 0xff, 2]
        );
    }
}
