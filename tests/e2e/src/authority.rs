//! A certificate authority for tests: certificates of any life, with any URIs.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::world::TRUST_DOMAIN;

/// A root that signs leaves.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key_id: String,
    serial: AtomicU64,
}

/// What a certificate is to hold.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its URI SANs.
    pub uris: Vec<String>,
    /// From now to its end; that is a whole second, so it may be up to one less.
    pub life: Duration,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// As it is presented.
    pub certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// The serial number, in lower-case hexadecimal.
    pub serial: String,
    /// Its notAfter.
    pub end: OffsetDateTime,
    pem: String,
    key_pem: String,
}

impl Wanted {
    /// One URI, that of a workload of our trust domain, for ten minutes.
    #[must_use]
    pub fn workload(name: &str) -> Self {
        Self {
            uris: vec![id(name)],
            life: Duration::from_secs(600),
        }
    }

    /// The same with another life.
    #[must_use]
    pub fn for_seconds(self, seconds: u64) -> Self {
        Self {
            life: Duration::from_secs(seconds),
            ..self
        }
    }

    /// The same with these URIs.
    #[must_use]
    pub fn with_uris(self, uris: &[&str]) -> Self {
        Self {
            uris: uris.iter().map(ToString::to_string).collect(),
            ..self
        }
    }
}

/// The SPIFFE ID of a workload of our trust domain.
#[must_use]
pub fn id(workload: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{workload}")
}

impl Authority {
    /// A new root, with a key of its own.
    ///
    /// # Errors
    /// If rcgen cannot.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(name, Duration::from_secs(3600), &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
        let key_id = hex(&params.key_identifier(&key));
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, key)?,
            key_id,
            serial: AtomicU64::new(0x1000_0000_0000_0001),
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The key identifier that its leaves name, in lower-case hexadecimal.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// A leaf.
    ///
    /// # Errors
    /// If rcgen cannot.
    pub fn issue(&self, wanted: &Wanted) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = params("credence test", wanted.life, &wanted.uris)?;
        params.use_authority_key_identifier_extension = true;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let end = params.not_after;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            pem: certificate.pem(),
            certificate: certificate.into(),
            key: key.serialize_der(),
            key_pem: key.serialize_pem(),
            serial: format!("{serial:x}"),
            end,
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Identity {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    /// Certificate and key as PEM.
    #[must_use]
    pub fn pems(&self) -> (&str, &str) {
        (&self.pem, &self.key_pem)
    }

    /// SHA-256 of the certificate, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.certificate))
    }

    /// How long it is still valid; zero if it no longer is.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let left = self.end - OffsetDateTime::now_utc();
        Duration::try_from(left).unwrap_or(Duration::ZERO)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn params(name: &str, life: Duration, uris: &[String]) -> Result<CertificateParams> {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let uris = uris
        .iter()
        .map(|uri| Ok(SanType::URI(uri.as_str().try_into()?)));
    params.subject_alt_names = uris.collect::<Result<_>>()?;
    params.not_before = now - Duration::from_secs(60);
    params.not_after = now + life;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    Ok(params)
}
