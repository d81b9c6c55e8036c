//! What passes the guard is, by a second parser (x509-cert, which neither the guard nor the
//! module uses), exactly what was authenticated and decided, and nothing else.
#![no_main]

use credence_ca::{guard::check_certificate, issuance::Issuance, profile::Profile};
use credence_fuzz::{Input, START, WORLD, propose};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use x509_cert::{
    TbsCertificate, Version,
    der::{Decode, Encode},
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
        SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
    },
};

const SERVER: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

fuzz_target!(|input: (u8, u8, u8, Input)| {
    let (profile, subject, issuer, edits) = input;
    let profile = Profile::ALL[usize::from(profile) % Profile::ALL.len()];
    let issuance = WORLD.decide(profile, subject.into(), issuer.into());
    let proposal = edits.apply(&propose(&issuance));
    if let Ok(checked) = check_certificate(proposal, &issuance) {
        let tbs = TbsCertificate::from_der(checked.der()).expect("a second parser reads it");
        assert_eq!(
            tbs.to_der().expect("writes it"),
            checked.der(),
            "and all of it"
        );
        fields(&tbs, &issuance);
        extensions(&tbs, &issuance);
    }
});

fn fields(tbs: &TbsCertificate, issuance: &Issuance<'_>) {
    let der = |value: &dyn Fn() -> x509_cert::der::Result<Vec<u8>>| value().expect("encodes");
    assert_eq!(tbs.version(), Version::V3);
    assert_eq!(tbs.serial_number().as_bytes(), issuance.serial.octets());
    let algorithm = der(&|| tbs.signature().to_der());
    assert_eq!(algorithm, issuance.signature_algorithm().identifier());
    assert_eq!(der(&|| tbs.issuer().to_der()), issuance.issuer_name());
    assert_eq!(der(&|| tbs.subject().to_der()), issuance.subject_name());
    let spki = der(&|| tbs.subject_public_key_info().to_der());
    assert_eq!(spki, issuance.subject_key.spki());
    let validity = tbs.validity();
    assert_eq!(validity.not_before.to_unix_duration().as_secs(), START);
    let end = issuance.validity.not_after.unix();
    assert_eq!(validity.not_after.to_unix_duration().as_secs(), end);
    assert!(tbs.issuer_unique_id().is_none() && tbs.subject_unique_id().is_none());
}

/// Each once, and none is left over.
fn extensions(tbs: &TbsCertificate, issuance: &Issuance<'_>) {
    let list = tbs.extensions().expect("there");
    let mut map: BTreeMap<String, (bool, &[u8])> = BTreeMap::new();
    for extension in list {
        let value = (extension.critical, extension.extn_value.as_bytes());
        let before = map.insert(extension.extn_id.to_string(), value);
        assert!(before.is_none(), "twice");
    }
    let mut take = |oid: &str| map.remove(oid);
    names(take("2.5.29.17").expect("subjectAltName"), issuance);
    usage(take("2.5.29.15").expect("keyUsage"), issuance.profile);
    constraints(
        take("2.5.29.19").expect("basicConstraints"),
        issuance.profile,
    );
    purposes(take("2.5.29.37"), issuance.profile);
    let (critical, value) = take("2.5.29.14").expect("subjectKeyIdentifier");
    let own = SubjectKeyIdentifier::from_der(value).expect("reads");
    assert!(!critical);
    assert_eq!(own.0.as_bytes(), issuance.subject_key.key_id());
    authority(take("2.5.29.35"), issuance);
    assert!(map.is_empty(), "{map:?}");
}

fn names((critical, value): (bool, &[u8]), issuance: &Issuance<'_>) {
    assert_eq!(critical, issuance.subject.is_none());
    let names = SubjectAltName::from_der(value).expect("reads").0;
    let (first, further) = names.split_first().expect("one");
    let identity = issuance.identity.to_string();
    assert!(matches!(first, GeneralName::UniformResourceIdentifier(id) if id.as_str() == identity));
    let mut permitted = issuance.permitted_dns_names().iter();
    for name in further {
        let GeneralName::DnsName(name) = name else {
            panic!("{name:?}")
        };
        assert!(permitted.any(|p| p.as_str() == name.as_str()), "{name}");
    }
}

fn usage((critical, value): (bool, &[u8]), profile: Profile) {
    assert!(critical);
    let usage = KeyUsage::from_der(value).expect("reads").0;
    let expected = match profile {
        Profile::Root | Profile::Issuer => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        Profile::IstioWorkload => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
        _ => KeyUsages::DigitalSignature.into(),
    };
    assert_eq!(usage, expected);
}

fn constraints((critical, value): (bool, &[u8]), profile: Profile) {
    assert!(critical);
    let constraints = BasicConstraints::from_der(value).expect("reads");
    assert_eq!(constraints.ca, profile.is_ca());
    let length = (profile == Profile::Issuer).then_some(0);
    assert_eq!(constraints.path_len_constraint, length);
}

fn purposes(extension: Option<(bool, &[u8])>, profile: Profile) {
    let expected: &[&str] = match profile {
        Profile::Root | Profile::Issuer => return assert!(extension.is_none()),
        Profile::Serving => &[SERVER],
        _ => &[SERVER, CLIENT],
    };
    let (critical, value) = extension.expect("extKeyUsage");
    assert!(!critical);
    let found = ExtendedKeyUsage::from_der(value).expect("reads").0;
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

fn authority(extension: Option<(bool, &[u8])>, issuance: &Issuance<'_>) {
    let credence_ca::issuance::Issuer::Ca(ca) = issuance.issuer else {
        return assert!(extension.is_none());
    };
    let (critical, value) = extension.expect("authorityKeyIdentifier");
    assert!(!critical);
    let id = AuthorityKeyIdentifier::from_der(value).expect("reads");
    assert_eq!(id.key_identifier.expect("there").as_bytes(), ca.key_id());
    assert!(id.authority_cert_issuer.is_none() && id.authority_cert_serial_number.is_none());
}
