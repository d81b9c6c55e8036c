//! What a bundle has to be before anybody gets it.

use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::shelf::Bundle;
use crate::svid::{Rejection, parse_bundle};

/// The most revocation lists, and the longest of them in bytes.
const MOST_LISTS: usize = 128;
const LONGEST_LIST: usize = 16 << 20;

/// Why a bundle is not served.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No roots, too many, or something else than certificates.
    #[error("{0}")]
    Roots(String),
    /// A root that no chain can be verified with.
    #[error("root {position} cannot be used: {source}")]
    Unusable {
        /// Which one, from 1.
        position: usize,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// Too many lists.
    #[error("there are {0} revocation lists; at most {MOST_LISTS} are taken")]
    Lists(usize),
    /// Something else than a list, or too long a one.
    #[error("revocation list {0} is not one in DER of at most {LONGEST_LIST} bytes")]
    NotAList(usize),
}

impl From<Rejection> for BundleError {
    fn from(rejection: Rejection) -> Self {
        Self::Roots(rejection.to_string())
    }
}

/// Finds the first thing that is wrong with a bundle.
pub(crate) fn check(bundle: &Bundle) -> Result<(), BundleError> {
    parse_bundle(&bundle.roots)?;
    for (position, root) in (1..).zip(&bundle.roots) {
        anchor_from_trusted_cert(&root.as_slice().into())
            .map_err(|source| BundleError::Unusable { position, source })?;
    }
    if bundle.lists.len() > MOST_LISTS {
        return Err(BundleError::Lists(bundle.lists.len()));
    }
    for (position, list) in (1..).zip(&bundle.lists) {
        let whole = matches!(CertificateRevocationList::from_der(list), Ok(([], _)));
        if list.len() > LONGEST_LIST || !whole {
            return Err(BundleError::NotAList(position));
        }
    }
    Ok(())
}
