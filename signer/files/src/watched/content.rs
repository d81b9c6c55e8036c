//! What stands in certificate files, held together.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pem_rfc7468::LineEnding;
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::PrivateKeyDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize as _, Zeroizing};

/// The most certificates in a chain, and among roots.
const MOST_IN_CHAIN: usize = 8;
const MOST_ROOTS: usize = 128;

/// What is served of files.
#[derive(Clone, Debug)]
pub enum Content {
    /// A certificate and its key.
    Pair(Pair),
    /// Root certificates, DER.
    Roots(Vec<Vec<u8>>),
}

/// A certificate with its issuers, and the key that it was made for.
#[derive(Clone)]
pub struct Pair {
    /// The certificates, DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The key, PKCS #8 PEM; overwritten when it is dropped.
    pub key: Zeroizing<String>,
    /// When the leaf ends.
    pub not_after: SystemTime,
    /// The leaf's serial number in hexadecimal.
    pub serial: String,
}

/// Why files are not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// PEM that ends in the middle, or is none.
    #[error("the {0} is not PEM from its first block to its last; is it being written?")]
    Pem(&'static str),
    /// Too few or too many.
    #[error("the {part} has {count} certificates, it must have 1 to {most}")]
    Count {
        /// Which file.
        part: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A block that is no certificate.
    #[error("block {position} of the {part} is not an X.509 certificate in DER")]
    NotACertificate {
        /// Which file.
        part: &'static str,
        /// Which block, from 1.
        position: usize,
    },
    /// No key, more than one, or one that cannot be used.
    #[error(
        "the key's file must have one private key: PKCS #8, PKCS #1 or SEC 1, of RSA, P-256, P-384 or Ed25519, not encrypted"
    )]
    Key,
    /// Half of a rotation.
    #[error("the key is not the certificate's; is the other file still to come?")]
    Mismatch,
    /// It is over.
    #[error("the certificate ended at {}", humantime::format_rfc3339_seconds(*.0))]
    Ended(SystemTime),
    /// It is not time yet.
    #[error("the certificate is not valid before {}; is this machine's clock slow?", humantime::format_rfc3339_seconds(*.0))]
    NotYetValid(SystemTime),
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({}, ..)", self.serial)
    }
}

impl Pair {
    /// From the two files.
    ///
    /// # Errors
    /// [`Fault`], the first that is found.
    pub fn parse(certificate: &[u8], key: &[u8], now: SystemTime) -> Result<Self, Fault> {
        let chain = certificates("certificate", certificate, MOST_IN_CHAIN)?;
        let mut pair = private_key(key)?;
        let key = pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, pair.serialized_der());
        let (key, public) = (key.map(Zeroizing::new), pair.subject_public_key_info());
        pair.zeroize();
        let leaf = chain.first().map(|der| X509Certificate::from_der(der));
        let Some(Ok((_, leaf))) = leaf else {
            return Err(Fault::NotACertificate {
                part: "certificate",
                position: 1,
            });
        };
        if leaf.public_key().raw != public {
            return Err(Fault::Mismatch);
        }
        let moment = |time: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0));
        let validity = leaf.validity();
        let not_before = moment(validity.not_before.timestamp());
        let not_after = moment(validity.not_after.timestamp());
        if now < not_before {
            return Err(Fault::NotYetValid(not_before));
        }
        if now >= not_after {
            return Err(Fault::Ended(not_after));
        }
        let serial = leaf.raw_serial();
        let serial = serial.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Self {
            serial,
            not_after,
            key: key.map_err(|_| Fault::Key)?,
            chain,
        })
    }
}

/// Root certificates of PEM, DER.
///
/// # Errors
/// [`Fault`], the first that is found.
pub fn roots(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    certificates("root certificates", text, MOST_ROOTS)
}

/// Comments between the blocks are let pass, as everybody does; a block that does not end is not.
fn certificates(part: &'static str, text: &[u8], most: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let blocks = blocks(text).ok_or(Fault::Pem(part))?;
    if blocks.is_empty() || blocks.len() > most {
        let count = blocks.len();
        return Err(Fault::Count { part, count, most });
    }
    let certificate = |(position, (label, der)): (usize, (String, Vec<u8>))| {
        let fault = Fault::NotACertificate { part, position };
        let whole = matches!(X509Certificate::from_der(&der), Ok(([], _)));
        if label == "CERTIFICATE" && whole {
            Ok(der)
        } else {
            Err(fault)
        }
    };
    (1..).zip(blocks).map(certificate).collect()
}

/// Every block with its label; none if one of them is not whole.
fn blocks(text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let block = rest.get(begin..)?;
        let end = block.find("-----END ")?;
        let line = block
            .get(end..)?
            .find('\n')
            .map_or(block.len(), |at| end + at + 1);
        let (label, der) = pem_rfc7468::decode_vec(block.get(..line)?.as_bytes()).ok()?;
        blocks.push((label.to_owned(), der));
        rest = block.get(line..)?;
    }
    (!rest.contains("-----END ")).then_some(blocks)
}

/// `openssl ecparam -genkey` writes the curve in a block of its own first.
fn private_key(text: &[u8]) -> Result<KeyPair, Fault> {
    let mut blocks = blocks(text).ok_or(Fault::Key)?;
    blocks.retain(|(label, _)| label != "EC PARAMETERS");
    let Some((label, der)) = blocks.pop().filter(|_| blocks.is_empty()) else {
        return Err(Fault::Key);
    };
    let mut key = match label.as_str() {
        "PRIVATE KEY" => PrivateKeyDer::Pkcs8(der.into()),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => return Err(Fault::Key),
    };
    let pair = KeyPair::try_from(&key);
    key.zeroize();
    pair.map_err(|_| Fault::Key)
}
