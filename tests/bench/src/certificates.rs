//! The certificates of the bench: a P-256 root, a server, and clients with one URI SAN each.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use time::{Duration, OffsetDateTime};

/// The trust domain of all of them.
pub const TRUST_DOMAIN: &str = "bench.example";
/// The name that the clients expect of the server.
pub const SERVER_NAME: &str = "server.bench.example";
/// The last part of the SPIFFE ID with which the load comes.
pub const CLIENT: &str = "client";

/// The SPIFFE ID of a workload.
#[must_use]
pub fn spiffe_id(workload: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{workload}")
}

/// What signs the bench's certificates, with the one key that all its clients share: their
/// certificates differ, which is what the filter looks at, and a key each would cost minutes.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    client_key: KeyPair,
    now: OffsetDateTime,
}

/// A certificate of a client's.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// As the client presents it.
    pub der: CertificateDer<'static>,
    /// As Envoy gives it to a filter.
    pub pem: String,
}

impl Authority {
    /// A new one, whose certificates are valid for a day around now.
    ///
    /// # Errors
    /// If rcgen cannot.
    pub fn new() -> Result<Self> {
        let now = OffsetDateTime::now_utc();
        let mut params = params("root", now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            client_key: KeyPair::generate()?,
            now,
        })
    }

    /// Writes `root.pem`, `server.pem` and `server.key`, for Envoy.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_server_files(&self, folder: &Path) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = params("server", self.now)?;
        let name = SERVER_NAME.try_into()?;
        params.subject_alt_names.push(SanType::DnsName(name));
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(folder.join("root.pem"), self.issuer.pem())?;
        fs::write(folder.join("server.pem"), certificate.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())?;
        Ok(())
    }

    /// A certificate for a workload; each serial makes another one.
    ///
    /// # Errors
    /// If rcgen cannot.
    pub fn client(&self, workload: &str, serial: u64) -> Result<Leaf> {
        self.leaf(params(workload, self.now)?, serial)
    }

    /// The same with a DNS name beside the SPIFFE ID.
    ///
    /// # Errors
    /// If rcgen cannot.
    pub fn client_with_dns_name(&self, workload: &str, serial: u64) -> Result<Leaf> {
        let mut params = params(workload, self.now)?;
        let name = format!("{workload}.{TRUST_DOMAIN}").as_str().try_into()?;
        params.subject_alt_names.push(SanType::DnsName(name));
        self.leaf(params, serial)
    }

    fn leaf(&self, mut params: CertificateParams, serial: u64) -> Result<Leaf> {
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&self.client_key, &self.issuer)?;
        Ok(Leaf {
            pem: certificate.pem(),
            der: certificate.into(),
        })
    }

    /// The TLS configuration of a client that presents `leaf` and offers the given protocols.
    ///
    /// # Errors
    /// If rustls refuses it.
    pub fn client_config(&self, leaf: &Leaf, alpn: &[u8]) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let key = PrivatePkcs8KeyDer::from(self.client_key.serialize_der());
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![leaf.der.clone()], PrivateKeyDer::Pkcs8(key))
            .context("the client's TLS configuration")?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn params(workload: &str, now: OffsetDateTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "credence bench");
    let uri = spiffe_id(workload);
    params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
    params.not_before = now - Duration::hours(12);
    params.not_after = now + Duration::hours(12);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    Ok(params)
}
