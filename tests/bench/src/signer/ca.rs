//! A CA of each kind of key, and the same logic without wasm.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    custody::Custody as _,
    guard,
    issuance::{Issuance, Issuer},
    key::{KeyKind, SignatureAlgorithm},
    profile::Profile,
    serial::Serial,
    validity::{self, Time},
};
use credence_host::{
    authority::Authority,
    custody::{Custodian, SigningKey},
    founding,
    key_file::FileKey,
    possession::ProvenRequest,
    private_file,
    signer::{Settings, Signer},
};
use credence_signer_core as core;
use spiffe::SpiffeId;

/// A kind of key: the subject's and the issuer's.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// In the names of cases.
    pub name: &'static str,
    /// As the CA knows it.
    pub kind: KeyKind,
}

/// ECDSA on P-256.
pub const P256: Kind = Kind {
    name: "p256",
    kind: KeyKind::P256,
};
/// Ed25519.
pub const ED25519: Kind = Kind {
    name: "ed25519",
    kind: KeyKind::Ed25519,
};
/// ECDSA on P-384.
pub const P384: Kind = Kind {
    name: "p384",
    kind: KeyKind::P384,
};
/// RSA with 2048 bits.
pub const RSA2048: Kind = Kind {
    name: "rsa2048",
    kind: KeyKind::Rsa(2048),
};

const NOW: u64 = 1_800_000_000;
const LIFE: Duration = Duration::from_secs(3600);

/// A CA, and a request to it.
#[derive(Debug)]
pub struct BenchCa {
    name: &'static str,
    signer: Arc<Signer>,
    authority: Authority<SigningKey>,
    key: FileKey,
    issuer: CaCertificate,
    root: CaCertificate,
    identity: SpiffeId,
    csr: Vec<u8>,
}

impl BenchCa {
    /// A new one, with new keys.
    ///
    /// # Errors
    /// If it cannot be founded.
    pub fn new(kind: Kind) -> Result<Self> {
        let signer = Arc::new(Signer::open(Settings::default())?);
        let domain = SpiffeId::new("spiffe://example.org")?;
        let custodian = Custodian::files(kind.kind, None);
        let founded = founding::found(&signer, &custodian, &domain, Time::from_unix(NOW))?;
        let key = copy(founded.issuer.key_pem.as_ref().context("a key in a file")?)?;
        let (root, issuer) = (founded.root.certificate, founded.issuer.certificate);
        let (subject, _) = FileKey::generate(kind.kind, None)?;
        let csr = subject.sign_own_request(&OwnRequest::for_key(subject.public_key()))?;
        let authority = Authority::new(
            Arc::clone(&signer),
            domain,
            root.clone(),
            issuer.clone(),
            founded.issuer.key,
        );
        Ok(Self {
            name: kind.name,
            signer,
            authority,
            key,
            issuer,
            root,
            identity: SpiffeId::new("spiffe://example.org/ns/default/sa/frontend")?,
            csr,
        })
    }

    /// The kind of its keys, in the names of cases.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its module.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The way of every certificate, with a fresh instance.
    ///
    /// # Errors
    /// If it is refused.
    pub fn fresh(&self) -> Result<Vec<Vec<u8>>> {
        let now = Time::from_unix(NOW);
        let issued = self
            .authority
            .issue_svid(&self.identity, &self.csr, LIFE, now)?;
        Ok(issued.chain)
    }

    /// The same steps, with the module's logic as a plain function.
    ///
    /// # Errors
    /// If it is refused.
    pub fn native(&self) -> Result<Vec<Vec<u8>>> {
        let request = self.prove()?;
        let issuance = self.issuance(&request)?;
        let proposal = Self::propose(&self.request(&issuance))?;
        let checked = guard::check_certificate(proposal, &issuance)?;
        let leaf = self.key.sign_certificate(&checked)?;
        // the answer is put together as the authority does
        let _bundle = [self.root.der().to_vec()].to_vec();
        Ok(vec![leaf, self.issuer.der().to_vec()])
    }

    /// Proof of possession.
    ///
    /// # Errors
    /// If there is none.
    pub fn prove(&self) -> Result<ProvenRequest<'_>> {
        Ok(ProvenRequest::prove(&self.csr)?)
    }

    /// The CA's decision.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn issuance<'a>(&'a self, request: &'a ProvenRequest<'_>) -> Result<Issuance<'a>> {
        let mut serial = [0; 16];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| anyhow!("no randomness"))?;
        Ok(Issuance {
            profile: Profile::X509Svid,
            identity: &self.identity,
            permitted_dns_names: &[],
            subject: None,
            subject_key: request.public_key(),
            validity: validity::plan(Time::from_unix(NOW), LIFE, Some(self.issuer.validity()))?,
            serial: Serial::from_random(serial),
            issuer: Issuer::Ca(&self.issuer),
        })
    }

    /// What the module is asked, in its own terms.
    #[must_use]
    pub fn request(&self, issuance: &Issuance<'_>) -> core::Request {
        core::Request {
            csr: self.csr.clone(),
            identity: issuance.identity.to_string(),
            profile: core::Profile::X509Svid,
            permitted_dns_names: Vec::new(),
            subject: None,
            validity: core::Validity {
                not_before: issuance.validity.not_before.unix(),
                not_after: issuance.validity.not_after.unix(),
            },
            serial: issuance.serial.octets().to_vec(),
            signature_algorithm: match issuance.signature_algorithm() {
                SignatureAlgorithm::EcdsaSha256 => core::SignatureAlgorithm::EcdsaWithSha256,
                SignatureAlgorithm::EcdsaSha384 => core::SignatureAlgorithm::EcdsaWithSha384,
                SignatureAlgorithm::Ed25519 => core::SignatureAlgorithm::Ed25519,
                SignatureAlgorithm::RsaSha256 => core::SignatureAlgorithm::Sha256WithRsaEncryption,
            },
            issuer: Some(self.issuer.der().to_vec()),
        }
    }

    /// The module's logic, compiled without wasm.
    ///
    /// # Errors
    /// If it refuses.
    pub fn propose(request: &core::Request) -> Result<Vec<u8>> {
        core::propose(request).context("the module's logic")
    }

    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &FileKey {
        &self.key
    }

    /// The request, DER.
    #[must_use]
    pub fn csr(&self) -> &[u8] {
        &self.csr
    }
}

/// The same key once more, for the way without a sandbox.
fn copy(pem: &str) -> Result<FileKey> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("key");
    private_file::write_new(&path, pem.as_bytes())?;
    Ok(FileKey::load(&path, None)?)
}
