//! Peers' certificates, good and bad.

use std::fmt::Write as _;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

/// A certificate as Envoy shows it to the filter.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// PEM.
    pub(crate) pem: String,
    /// SHA-256 of the DER, in hexadecimal.
    pub(crate) digest: String,
    /// Seconds since 1970.
    pub(crate) not_after: u64,
    /// In hexadecimal.
    pub(crate) serial: String,
    /// Key identifier of who issued it, in hexadecimal.
    pub(crate) issuer_key_id: String,
}

/// A leaf to be issued.
pub(crate) struct Leaf(CertificateParams);

/// A URI SAN.
pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A DNS SAN.
pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

impl Leaf {
    /// A leaf with these SANs, valid around the scripted clock's time for an hour.
    pub(crate) fn new(names: impl IntoIterator<Item = SanType>) -> Self {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.into_iter().collect();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "credence test");
        params.not_before = OffsetDateTime::from_unix_timestamp(1_767_225_600 - 60).unwrap();
        params.not_after = params.not_before + Duration::hours(1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Self(params)
    }

    /// Valid from so many seconds after the scripted clock's start, for an hour.
    pub(crate) fn valid_from(mut self, seconds: i64) -> Self {
        let from = OffsetDateTime::from_unix_timestamp(1_767_225_600 + seconds).unwrap();
        self.0.not_before = from;
        self.0.not_after = from + Duration::hours(1);
        self
    }

    /// Marked as a CA.
    pub(crate) fn authority(mut self) -> Self {
        self.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.0.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        self
    }

    /// With a second SAN extension that carries one URI.
    pub(crate) fn second_san_extension(mut self, uri: &str) -> Self {
        let uri = uri.as_bytes();
        let mut name = vec![0x86, u8::try_from(uri.len()).unwrap()];
        name.extend(uri);
        let mut names = vec![0x30, u8::try_from(name.len()).unwrap()];
        names.extend(name);
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        self.0.custom_extensions.push(extension);
        self
    }

    /// Issues it. Self-signed, since the filter leaves the chain to Envoy.
    pub(crate) fn issue(mut self) -> Certificate {
        let key = KeyPair::generate().unwrap();
        self.0.use_authority_key_identifier_extension = true;
        let serial = Sha256::digest(key.public_key_raw());
        self.0.serial_number = Some(serial[..8].to_vec().into());
        let certificate = self.0.self_signed(&key).unwrap();
        Certificate {
            pem: certificate.pem(),
            digest: hex(&Sha256::digest(certificate.der())),
            not_after: self.0.not_after.unix_timestamp().try_into().unwrap(),
            serial: hex(&serial[..8]),
            issuer_key_id: hex(&self.0.key_identifier(&key)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
