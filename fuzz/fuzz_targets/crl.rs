//! A list that passes the guard is, by a second parser (x509-cert), exactly what was decided.
#![no_main]

use arbitrary::Arbitrary;
use credence_ca::{
    crl::{CrlIssuance, Reason, Revoked},
    guard::{LONGEST_CRL_LIFE, check_crl},
    serial::Serial,
    validity::Time,
};
use credence_fuzz::{Input, START, WORLD};
use libfuzzer_sys::{arbitrary, fuzz_target};
use x509_cert::{
    Version,
    crl::TbsCertList,
    der::{Decode, Encode, asn1::Uint},
    ext::pkix::{AuthorityKeyIdentifier, CrlReason},
};

#[derive(Debug, Arbitrary)]
struct Decision {
    issuer: u8,
    number: u64,
    life: u32,
    revoked: Vec<([u8; 16], u16, u8)>,
    input: Input,
}

const REASONS: [Reason; 7] = [
    Reason::Unspecified,
    Reason::KeyCompromise,
    Reason::CaCompromise,
    Reason::AffiliationChanged,
    Reason::Superseded,
    Reason::CessationOfOperation,
    Reason::PrivilegeWithdrawn,
];

fuzz_target!(|decision: Decision| {
    let revoked: Vec<_> = decision
        .revoked
        .iter()
        .map(|(dice, since, reason)| Revoked {
            serial: Serial::from_random(*dice),
            at: Time::from_unix(START - u64::from(*since)),
            reason: REASONS[usize::from(*reason) % REASONS.len()],
        })
        .collect();
    let life = u64::from(decision.life) % (LONGEST_CRL_LIFE.as_secs() + 2);
    let issuance = CrlIssuance {
        issuer: WORLD.issuer(decision.issuer.into()),
        number: decision.number,
        this_update: Time::from_unix(START),
        next_update: Time::from_unix(START + life),
        revoked: &revoked,
    };
    let proposal = decision.input.apply(&issuance.propose());
    if let Ok(checked) = check_crl(proposal, &issuance) {
        let list = TbsCertList::from_der(checked.der()).expect("a second parser reads it");
        let again = list.to_der().expect("writes it");
        assert_eq!(again, checked.der(), "and all of it");
        fields(&list, &issuance);
        entries(&list, &issuance);
        extensions(&list, &issuance);
    }
});

fn fields(list: &TbsCertList, issuance: &CrlIssuance<'_>) {
    assert_eq!(list.version, Version::V2);
    let algorithm = list.signature.to_der().expect("encodes");
    assert_eq!(algorithm, issuance.signature_algorithm().identifier());
    let issuer = list.issuer.to_der().expect("encodes");
    assert_eq!(issuer, issuance.issuer.name());
    assert_eq!(list.this_update.to_unix_duration().as_secs(), START);
    let next = list.next_update.expect("there").to_unix_duration();
    assert_eq!(next.as_secs(), issuance.next_update.unix());
    assert!((1..=LONGEST_CRL_LIFE.as_secs()).contains(&(next.as_secs() - START)));
}

fn entries(list: &TbsCertList, issuance: &CrlIssuance<'_>) {
    let found = list.revoked_certificates.as_deref().unwrap_or_default();
    assert_eq!(found.len(), issuance.revoked.len());
    for (found, expected) in found.iter().zip(issuance.revoked) {
        assert_eq!(found.serial_number.as_bytes(), expected.serial.octets());
        let since = found.revocation_date.to_unix_duration().as_secs();
        assert_eq!(since, expected.at.unix());
        let extensions = found.crl_entry_extensions.as_deref().unwrap_or_default();
        match (extensions, expected.reason) {
            ([], Reason::Unspecified) => {}
            ([one], reason) => {
                assert_eq!(one.extn_id.to_string(), "2.5.29.21");
                assert!(!one.critical);
                let found = CrlReason::from_der(one.extn_value.as_bytes()).expect("reads");
                assert_eq!(found as u8, reason.code());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn extensions(list: &TbsCertList, issuance: &CrlIssuance<'_>) {
    let mut found = list.crl_extensions.clone().expect("there");
    found.sort_by_key(|extension| extension.extn_id.to_string());
    let [number, authority] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(number.extn_id.to_string(), "2.5.29.20");
    let value = Uint::from_der(number.extn_value.as_bytes()).expect("reads");
    let expected = Uint::new(&issuance.number.to_be_bytes()).expect("a number");
    assert_eq!(value, expected);
    assert_eq!(authority.extn_id.to_string(), "2.5.29.35");
    let id = AuthorityKeyIdentifier::from_der(authority.extn_value.as_bytes()).expect("reads");
    let key_id = id.key_identifier.expect("there");
    assert_eq!(key_id.as_bytes(), issuance.issuer.key_id());
    assert!(id.authority_cert_issuer.is_none() && id.authority_cert_serial_number.is_none());
    assert!(!number.critical && !authority.critical);
}
