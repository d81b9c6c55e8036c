//! An issuer below somebody else's CA: the request for it, and the chain that comes back.

use super::{
    OwnChain,
    error::{BadChain, Why},
    pem,
    set::put_together,
};
use crate::{
    custody::{Custodian, Role, SigningKey},
    founding,
};
use credence_ca::{
    chain::{Chain, Fault, Finding, Place, Terms},
    csr::OwnRequest,
    custody::{Custody as _, CustodyError},
    key::PublicKey,
    tbs::Tbs,
};
use spiffe::SpiffeId;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key for an issuer, and the request to certify it.
#[derive(Debug)]
pub struct IssuerRequest {
    /// PKCS #10, PEM: for the CA that is to be above.
    pub csr: String,
    /// The key.
    pub key: SigningKey,
    /// The key's file, PEM, to be kept until the chain comes back; none if the key is in a token.
    pub key_pem: Option<Zeroizing<String>>,
}

/// Makes a key with the custodian and a request for an issuer's certificate: named as ours are, with the trust domain's ID, for a CA that
/// signs leaves and revocation lists and has no CA below it.
///
/// # Errors
/// If the custodian, or the system's randomness, fails.
pub fn issuer_csr(
    custodian: &Custodian,
    trust_domain: &SpiffeId,
) -> Result<IssuerRequest, CustodyError> {
    let new = custodian.make(Role::Issuer)?;
    let subject = founding::name(trust_domain, Role::Issuer.name(), new.key.public_key());
    let request = OwnRequest::for_issuer(new.key.public_key(), &subject, trust_domain);
    let der = new.key.sign_own_request(&request)?;
    let label = "CERTIFICATE REQUEST";
    let csr = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, &der)
        .map_err(|_| CustodyError::Failed("a new request could not be written as PEM".into()))?;
    Ok(IssuerRequest {
        csr,
        key: new.key,
        key_pem: new.file,
    })
}

/// Takes the chain back that a CA has made for a request of ours: `chain` has the issuer first, `roots` the trust anchors, both PEM. The key is
/// found in `key_file`, or in the custodian's token.
///
/// # Errors
/// All that is wrong with the chain, or that its key is not ours.
pub fn import(
    custodian: &Custodian,
    key_file: &Path,
    chain: &[u8],
    roots: &[u8],
    terms: &Terms<'_>,
) -> Result<OwnChain, BadChain> {
    let chain = read(chain, roots)?;
    let public = public_key(&chain.issuer).map_err(in_issuer)?;
    let key = custodian
        .load(Role::Issuer, key_file, &public)
        .map_err(Why::Key)?;
    Ok(OwnChain::check(&chain, key, None, terms)?)
}

/// Takes a chain whose key is handed over: `chain` has the issuer first, `roots` the trust anchors, both PEM.
///
/// # Errors
/// All that is wrong with the chain, or that the key is not its issuer's.
pub fn with_key(
    key: SigningKey,
    (chain, roots): (&[u8], &[u8]),
    terms: &Terms<'_>,
) -> Result<OwnChain, BadChain> {
    let chain = read(chain, roots)?;
    Ok(OwnChain::check(&chain, key, None, terms)?)
}

/// PEM that was handed over, put together.
fn read(chain: &[u8], roots: &[u8]) -> Result<Chain, Why> {
    let certificates = |name: &str, text| {
        pem::certificates(text).map_err(|source| Why::Pem {
            path: PathBuf::from(name),
            source,
        })
    };
    let chain = certificates("the chain", chain)?;
    put_together(chain, certificates("the roots", roots)?).ok_or(Why::Pem {
        path: PathBuf::from("the chain"),
        source: pem::PemError::Empty,
    })
}

/// What a token needs to find the key again.
fn public_key(certificate: &[u8]) -> Result<PublicKey, Fault> {
    let signed = credence_ca::certificate::Signed::split(certificate).map_err(Fault::Malformed)?;
    let tbs = Tbs::read(signed.tbs).map_err(Fault::Malformed)?;
    PublicKey::from_spki(tbs.spki).map_err(Fault::Key)
}

fn in_issuer(what: Fault) -> Why {
    Why::Chain {
        fault: Finding {
            place: Place::Issuer,
            what,
        },
    }
}
