//! What can be wrong with a certificate by itself.

use super::{
    certificate::Foreign,
    check::Terms,
    fault::{Fault, Findings, Place, Warning},
};
use crate::{name, oid, tbs::Extension};

/// Critical extensions that verifiers know, and that are looked at here.
const KNOWN: [&[u8]; 8] = [
    oid::value::BASIC_CONSTRAINTS,
    oid::value::KEY_USAGE,
    oid::value::EXTENDED_KEY_USAGE,
    oid::value::NAME_CONSTRAINTS,
    oid::value::SUBJECT_ALT_NAME,
    oid::value::SUBJECT_KEY_ID,
    oid::value::AUTHORITY_KEY_ID,
    oid::value::CERTIFICATE_POLICIES,
];

/// All but what time and its place in the chain say.
pub(super) fn check(
    place: Place,
    certificate: &Foreign<'_>,
    terms: &Terms<'_>,
    findings: &mut Findings,
) {
    encoding(place, certificate, findings);
    extensions(place, certificate, findings);
    authority(place, certificate, findings);
    spiffe_id(place, certificate, terms, findings);
    if let Err(why) = &certificate.key {
        findings.fault(place, Fault::Key(why.clone()));
    }
}

fn encoding(place: Place, certificate: &Foreign<'_>, findings: &mut Findings) {
    let tbs = &certificate.tbs;
    findings.fault_if(
        tbs.algorithm != certificate.signed.algorithm,
        place,
        Fault::TwoAlgorithms,
    );
    findings.fault_if(tbs.subject == name::EMPTY, place, Fault::NoName);
}

fn extensions(place: Place, certificate: &Foreign<'_>, findings: &mut Findings) {
    let list = &certificate.tbs.extensions;
    for (at, extension) in list.iter().enumerate() {
        let oid = || oid::dotted(extension.oid);
        let repeated = list.iter().take(at).any(|e| e.oid == extension.oid);
        findings.fault_if(repeated, place, Fault::RepeatedExtension(oid()));
        let unknown = extension.critical && !KNOWN.contains(&extension.oid);
        findings.fault_if(unknown, place, Fault::CriticalExtension(oid()));
    }
    for fault in &certificate.unreadable {
        findings.fault(place, fault.clone());
    }
    let critical = |oid| certificate.tbs.extension(oid).is_some_and(is_critical);
    findings.warn_if(
        critical(oid::value::CERTIFICATE_POLICIES),
        place,
        Warning::CriticalPolicies,
    );
}

fn is_critical(extension: &Extension<'_>) -> bool {
    extension.critical
}

/// What makes it a CA's.
fn authority(place: Place, certificate: &Foreign<'_>, findings: &mut Findings) {
    let said = &certificate.said;
    let has = |oid| certificate.tbs.extension(oid);
    let ca = said
        .basic_constraints
        .as_ref()
        .is_some_and(|basic| basic.ca);
    findings.fault_if(!ca, place, Fault::NotCa);
    findings.fault_if(
        !certificate.may_sign_certificates(),
        place,
        Fault::NoCertSign,
    );
    let no_key_id = has(oid::value::SUBJECT_KEY_ID).is_none();
    findings.fault_if(no_key_id, place, Fault::NoKeyId);
    let no_usage = has(oid::value::KEY_USAGE).is_none();
    findings.warn_if(no_usage, place, Warning::NoKeyUsage);
    let critical = has(oid::value::BASIC_CONSTRAINTS).is_some_and(is_critical);
    findings.warn_if(ca && !critical, place, Warning::NotCritical);
    let no_authority = !certificate.is_self_issued() && !certificate.names_its_authority();
    findings.warn_if(no_authority, place, Warning::NoAuthorityKeyId);
    purposes(place, certificate, findings);
}

/// Verifiers let leaves do only what each CA above them may; not all of them know anyExtendedKeyUsage.
fn purposes(place: Place, certificate: &Foreign<'_>, findings: &mut Findings) {
    let Some(purposes) = &certificate.said.purposes else {
        return;
    };
    for (purpose, name) in [
        (oid::value::SERVER_AUTH, "serverAuth"),
        (oid::value::CLIENT_AUTH, "clientAuth"),
    ] {
        let lacks = !purposes.contains(&purpose);
        findings.fault_if(lacks, place, Fault::ExtendedKeyUsage(name));
    }
}

/// A CA's certificate need not bear a SPIFFE ID. If it does, it is the trust domain's own (X509-SVID §3.2).
fn spiffe_id(place: Place, certificate: &Foreign<'_>, terms: &Terms<'_>, findings: &mut Findings) {
    let ours = terms.trust_domain.to_string();
    for uri in &certificate.said.uris {
        let is_spiffe = uri
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"spiffe:"));
        if is_spiffe && *uri != ours.as_bytes() {
            let shown = String::from_utf8_lossy(uri).escape_debug().to_string();
            findings.fault(place, Fault::OtherTrustDomain(shown));
        }
    }
}

/// Whether it is valid now, and until the last leaf of today.
pub(super) fn check_time(
    place: Place,
    certificate: &Foreign<'_>,
    terms: &Terms<'_>,
    findings: &mut Findings,
) {
    let validity = certificate.tbs.validity;
    let leaf = terms.now.plus(terms.longest_leaf_life);
    if terms.now < validity.not_before {
        findings.fault(place, Fault::NotYetValid(validity.not_before));
    }
    if validity.not_after < terms.now {
        findings.fault(place, Fault::Ended(validity.not_after));
    } else if validity.not_after < leaf {
        let ends = validity.not_after;
        findings.fault(place, Fault::EndsTooSoon { ends, leaf });
    }
}
