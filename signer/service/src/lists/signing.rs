//! From what is revoked to signed lists: proposed, checked by the guard, signed.

use super::{ListsError, Terms};
use crate::revocations::Content;
use credence_ca::{
    crl::{CrlIssuance, Reason, Revoked as Entry},
    custody::Custody,
    guard::check_crl,
    validity::Time,
};
use credence_host::{authorities::Authorized, custody::SigningKey};

/// One list of each issuer; none where there can be none.
pub(super) fn sign(
    terms: &Terms,
    content: &Content,
    number: u64,
    times: (Time, Time),
) -> Result<Vec<Vec<u8>>, ListsError> {
    if terms.without.is_some() {
        return Ok(Vec::new());
    }
    let keys = terms.issuers.iter().filter_map(|issuer| {
        let key: &SigningKey = issuer.key.as_deref()?;
        Some((issuer, key))
    });
    keys.map(|(issuer, key)| list(issuer, key, content, number, times))
        .collect()
}

fn list(
    issuer: &Authorized,
    key: &SigningKey,
    content: &Content,
    number: u64,
    (this_update, next_update): (Time, Time),
) -> Result<Vec<u8>, ListsError> {
    let id = issuer.id();
    let of_it = content.leaves.iter().filter(|(_, leaf)| leaf.issuer == id);
    let revoked: Vec<_> = of_it
        .map(|(serial, leaf)| Entry {
            serial: serial.clone(),
            // thisUpdate is set back, for clocks that are behind; no entry may be later
            at: leaf.since.min(this_update),
            reason: Reason::Unspecified,
        })
        .collect();
    let issuance = CrlIssuance {
        issuer: &issuer.certificate,
        number,
        this_update,
        next_update,
        revoked: &revoked,
    };
    let checked =
        check_crl(issuance.propose(), &issuance).map_err(|why| ListsError::Guard(id, why))?;
    key.sign_crl(&checked)
        .map_err(|why| ListsError::Key(id, why))
}
