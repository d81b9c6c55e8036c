//! What can be wrong between the certificates of a chain.

use super::{
    certificate::Foreign,
    check::Verifier,
    fault::{Fault, Findings, Place, Warning},
    names,
};
use crate::{key::PublicKey, scheme::Scheme};

/// A certificate that could be read, with its place.
pub(super) type Placed<'f, 'a> = (Place, &'f Foreign<'a>);

/// How a signature by this key is verified; none if it is by an algorithm that is not accepted.
fn scheme(certificate: &Foreign<'_>, key: &PublicKey) -> Result<Scheme, Fault> {
    Scheme::of(key.kind(), certificate.signed.algorithm).map_err(Fault::SignatureAlgorithm)
}

fn is_signed_by(certificate: &Foreign<'_>, key: &PublicKey, verifier: Verifier<'_>) -> bool {
    scheme(certificate, key).is_ok_and(|scheme| {
        verifier(
            scheme,
            key,
            certificate.signed.tbs,
            certificate.signed.signature,
        )
    })
}

/// The anchor that a chain leads to: of those whose name its last certificate bears as its issuer, the first whose key signed it, or simply the first;
/// the first of all if there is none of that name.
pub(super) fn find_root(
    last: &Foreign<'_>,
    roots: &[Option<Foreign<'_>>],
    verifier: Verifier<'_>,
) -> usize {
    let named = |root: &&Option<Foreign<'_>>| {
        root.as_ref()
            .is_some_and(|root| root.tbs.subject == last.tbs.issuer)
    };
    let signed = |root: &Option<Foreign<'_>>| {
        named(&root)
            && root
                .as_ref()
                .and_then(|root| root.key.as_ref().ok())
                .is_some_and(|key| is_signed_by(last, key, verifier))
    };
    roots
        .iter()
        .position(signed)
        .or_else(|| roots.iter().position(|root| named(&root)))
        .unwrap_or_default()
}

/// One certificate and what stands after it.
pub(super) fn check_link(
    (place, certificate): Placed<'_, '_>,
    (next_place, next): Placed<'_, '_>,
    all: &[Placed<'_, '_>],
    verifier: Verifier<'_>,
    findings: &mut Findings,
) {
    if certificate.tbs.issuer != next.tbs.subject {
        return check_elsewhere((place, certificate), all, findings);
    }
    if !certificate.may_be_issued_by(next) {
        findings.fault(place, Fault::AuthorityKeyId(next_place));
    }
    // a key that is not accepted is a fault of its own
    let Ok(key) = &next.key else { return };
    match scheme(certificate, key) {
        Err(fault) => findings.fault(place, fault),
        Ok(_) if is_signed_by(certificate, key, verifier) => {}
        Ok(_) => findings.fault(place, Fault::Signature(next_place)),
    }
}

/// The issuer does not stand next: anywhere else?
fn check_elsewhere(
    (place, certificate): Placed<'_, '_>,
    all: &[Placed<'_, '_>],
    findings: &mut Findings,
) {
    let elsewhere = all
        .iter()
        .find(|(other, found)| *other != place && found.tbs.subject == certificate.tbs.issuer);
    match elsewhere {
        Some((found, _)) => findings.fault(place, Fault::Order(*found)),
        None => {
            let issuer = names::show(certificate.tbs.issuer);
            findings.fault(place, Fault::NotIssued(issuer));
        }
    }
}

/// How a root signs itself. A weak algorithm is no fault, since no verifier looks; a signature that is not its own is one.
pub(super) fn check_root(
    (place, root): Placed<'_, '_>,
    verifier: Verifier<'_>,
    findings: &mut Findings,
) {
    if !root.is_self_issued() {
        return findings.warn(place, Warning::NotSelfSigned);
    }
    let Ok(key) = &root.key else { return };
    if scheme(root, key).is_err() {
        findings.warn(place, Warning::WeakSelfSignature);
    } else if !is_signed_by(root, key, verifier) {
        findings.fault(place, Fault::Signature(place));
    }
}

/// pathLen counts the CAs below that did not issue themselves (RFC 5280 §4.2.1.9).
pub(super) fn check_path_lengths(path: &[Placed<'_, '_>], spare: usize, findings: &mut Findings) {
    let mut below = spare;
    for (place, certificate) in path {
        let basic = certificate.said.basic_constraints.as_ref();
        if let Some(allowed) = basic.and_then(|basic| basic.path_length)
            && u64::try_from(below).is_ok_and(|below| below > allowed)
        {
            findings.fault(*place, Fault::PathLength { allowed, below });
        }
        below += usize::from(!certificate.is_self_issued());
    }
}

/// The same certificate twice anywhere, or the same key twice on the path.
pub(super) fn check_repeats(
    all: &[Placed<'_, '_>],
    path: &[Placed<'_, '_>],
    findings: &mut Findings,
) {
    for (at, (place, certificate)) in all.iter().enumerate() {
        let earlier = all.iter().take(at).find(|(_, e)| e.der == certificate.der);
        if let Some((earlier, _)) = earlier {
            findings.fault(*place, Fault::Duplicate(*earlier));
        }
    }
    for (at, (place, certificate)) in path.iter().enumerate() {
        let earlier = path.iter().take(at).find(|(_, earlier)| {
            earlier.der != certificate.der && earlier.tbs.spki == certificate.tbs.spki
        });
        if let Some((earlier, _)) = earlier {
            findings.fault(*place, Fault::SharedKey(*earlier));
        }
    }
}
