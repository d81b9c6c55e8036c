//! The way of every certificate: possession, module, guard, key.

use crate::{
    custody::SigningKey,
    possession::{PossessionError, ProvenRequest},
    sandbox::{ModuleDigest, Proposal, Sandbox, SandboxError},
    signer::{ModuleSource, Signer},
};
use credence_ca::{
    certificate::CaCertificate,
    custody::{Custody, CustodyError},
    dns::{DnsName, DnsTemplates},
    domains::Domains,
    guard::{self, Refusal},
    issuance::{Issuance, Issuer},
    key::KeyKind,
    profile::Profile,
    serial::Serial,
    validity::{self, Time, Validity, ValidityError},
};
use spiffe::SpiffeId;
use std::{sync::Arc, time::Duration};
use thiserror::Error;

/// Why no certificate was issued. Nothing was signed then.
#[derive(Debug, Error)]
pub enum IssueError {
    /// The request's sender has not proved that it holds the key.
    #[error(transparent)]
    Possession(#[from] PossessionError),
    /// The CA serves another trust domain.
    #[error("{0} is not of this CA's trust domain")]
    ForeignIdentity(SpiffeId),
    /// The identity is a trust domain's, not a workload's.
    #[error("{0} has no path; a workload's SPIFFE ID has one (X509-SVID §4.1)")]
    NotAWorkload(SpiffeId),
    /// A CA's profile was ordered.
    #[error("an order is for a leaf; the profiles root and issuer are not")]
    NotALeaf,
    /// No life can be given.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// The module refused the request, or misbehaved.
    #[error(transparent)]
    Module(#[from] SandboxError),
    /// The module proposed what it may not.
    #[error("the signing module's proposal was refused by the guard: {0}")]
    Guard(#[from] Refusal),
    /// The key did not sign.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

impl IssueError {
    /// Its kind, for counting and for the record.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Possession(_) => "possession",
            Self::ForeignIdentity(_) => "foreign-identity",
            Self::NotAWorkload(_) => "not-a-workload",
            Self::NotALeaf => "not-a-leaf",
            Self::Validity(_) => "validity",
            Self::Module(SandboxError::Rejected(_)) => "rejected",
            Self::Module(_) => "module",
            Self::Guard(_) => "guard",
            Self::Custody(_) => "custody",
        }
    }

    /// Whether the fault is the asker's, so that asking again the same way does not help.
    #[must_use]
    pub fn is_askers_fault(&self) -> bool {
        match self {
            Self::Possession(_) | Self::ForeignIdentity(_) | Self::NotAWorkload(_) => true,
            Self::Module(SandboxError::Rejected(_)) => true,
            Self::NotALeaf
            | Self::Module(_)
            | Self::Validity(_)
            | Self::Guard(_)
            | Self::Custody(_) => false,
        }
    }
}

/// A leaf to be: what was authenticated and decided about it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Which kind of leaf.
    pub profile: Profile,
    /// Whose it is.
    pub identity: &'a SpiffeId,
    /// DNS names that this identity may have beside it, besides those that the CA's templates grant it.
    pub permitted_dns_names: &'a [DnsName],
    /// The request, DER.
    pub csr: &'a [u8],
    /// How long it is to live.
    pub life: Duration,
}

/// A certificate as its holder gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSvid {
    /// DER, leaf first, then the issuer and those above it; without the root.
    pub chain: Vec<Vec<u8>>,
    /// The roots to trust, DER.
    pub bundle: Vec<Vec<u8>>,
    /// The leaf's serial number.
    pub serial: Serial,
    /// The leaf's validity.
    pub validity: Validity,
    /// The DNS names that it might have had beside its identity.
    pub permitted_dns_names: Vec<DnsName>,
    /// The module that proposed it.
    pub module: ModuleDigest,
}

/// How long issuing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A tenth of a millisecond of computing, as a TLS handshake does: our own module, and a key on an elliptic curve in memory.
    Quick,
    /// As long as somebody else's module, a token or RSA takes.
    Slow,
}

/// A CA that issues under one issuer.
#[derive(Debug)]
pub struct Authority<K> {
    signer: Arc<Signer>,
    root: CaCertificate,
    above: Vec<CaCertificate>,
    issuer: CaCertificate,
    issuer_key: K,
    trust_domain: SpiffeId,
    further: Domains,
    backdate: Duration,
    templates: DnsTemplates,
}

impl Authority<Arc<SigningKey>> {
    /// How long it takes to issue, as far as that is known beforehand.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let in_memory = matches!(*self.issuer_key, SigningKey::File(_));
        let quick_key =
            in_memory && !matches!(self.issuer_key.public_key().kind(), KeyKind::Rsa(_));
        match self.signer.settings().module {
            ModuleSource::BuiltIn if quick_key => Pace::Quick,
            ModuleSource::BuiltIn | ModuleSource::File(_) => Pace::Slow,
        }
    }
}

impl<K: Custody> Authority<K> {
    /// Puts a CA together that grants no DNS names. `trust_domain` is the trust domain's own ID,
    /// without a path.
    #[must_use]
    pub fn new(
        signer: Arc<Signer>,
        trust_domain: SpiffeId,
        root: CaCertificate,
        issuer: CaCertificate,
        issuer_key: K,
    ) -> Self {
        Self {
            signer,
            root,
            above: Vec::new(),
            issuer,
            issuer_key,
            trust_domain,
            further: Domains::default(),
            backdate: validity::BACKDATE,
            templates: DnsTemplates::default(),
        }
    }

    /// The same CA, with templates that grant DNS names to every leaf that it issues.
    #[must_use]
    pub fn with_dns_templates(self, templates: DnsTemplates) -> Self {
        Self { templates, ..self }
    }

    /// The same CA, which issues for workloads of these trust domains too. Who trusts its root trusts it for all of them: Dapr's CA is
    /// such a one.
    #[must_use]
    pub fn with_further_trust_domains(self, further: Domains) -> Self {
        Self { further, ..self }
    }

    /// The same CA, whose leaves begin this much earlier, but by no more than a quarter of their life.
    #[must_use]
    pub fn with_backdating(self, backdate: Duration) -> Self {
        Self { backdate, ..self }
    }

    /// The same CA, whose issuer is not right below the root: these are between them, the nearest to the issuer first.
    #[must_use]
    pub fn with_intermediates(self, above: Vec<CaCertificate>) -> Self {
        Self { above, ..self }
    }

    /// Issues an X.509-SVID for `identity`, which has been authenticated, and for the key that
    /// the DER request `csr` proves possession of. Blocks for as long as the sandbox's deadline.
    ///
    /// # Errors
    /// If any of the steps says no. Nothing is signed then.
    pub fn issue_svid(
        &self,
        identity: &SpiffeId,
        csr: &[u8],
        life: Duration,
        now: Time,
    ) -> Result<IssuedSvid, IssueError> {
        let order = Order {
            profile: Profile::X509Svid,
            identity,
            permitted_dns_names: &[],
            csr,
            life,
        };
        self.issue(&order, now)
    }

    /// Issues a leaf as ordered. Blocks for as long as the sandbox's deadline.
    ///
    /// # Errors
    /// If any of the steps says no. Nothing is signed then.
    pub fn issue(&self, order: &Order<'_>, now: Time) -> Result<IssuedSvid, IssueError> {
        self.check_identity(order.identity)?;
        if order.profile.is_ca() {
            return Err(IssueError::NotALeaf);
        }
        let request = ProvenRequest::prove(order.csr)?;
        let permitted = self.permitted_dns_names(order);
        let issuance = Issuance {
            profile: order.profile,
            identity: order.identity,
            permitted_dns_names: &permitted,
            subject: None,
            subject_key: request.public_key(),
            validity: self.plan(order.life, now)?,
            serial: draw_serial()?,
            issuer: Issuer::Ca(&self.issuer),
        };
        let leaf = self.signer.mint(&self.issuer_key, &request, &issuance)?;
        let cas = [&self.issuer].into_iter().chain(&self.above);
        let chain = cas.map(|ca| ca.der().to_vec());
        Ok(IssuedSvid {
            chain: [leaf.der].into_iter().chain(chain).collect(),
            bundle: vec![self.root.der().to_vec()],
            serial: issuance.serial,
            validity: issuance.validity,
            permitted_dns_names: permitted,
            module: leaf.module,
        })
    }

    /// The root that relying parties trust.
    #[must_use]
    pub fn root(&self) -> &CaCertificate {
        &self.root
    }

    /// The CA that signs.
    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    /// Within the validity of every certificate above it: nobody is helped by a leaf that outlives its chain.
    fn plan(&self, life: Duration, now: Time) -> Result<Validity, ValidityError> {
        let above = self.above.iter().chain([&self.root]);
        let whole =
            above
                .map(CaCertificate::validity)
                .fold(self.issuer.validity(), |whole, validity| Validity {
                    not_before: whole.not_before.max(validity.not_before),
                    not_after: whole.not_after.min(validity.not_after),
                });
        validity::plan_with(now, life, self.backdate, Some(whole))
    }

    /// What the templates grant, then what the order adds; none twice.
    fn permitted_dns_names(&self, order: &Order<'_>) -> Vec<DnsName> {
        let mut names = self.templates.grant(order.identity);
        for name in order.permitted_dns_names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn check_identity(&self, identity: &SpiffeId) -> Result<(), IssueError> {
        let domain = identity.trust_domain();
        if domain != self.trust_domain.trust_domain() && !self.further.serves(domain) {
            return Err(IssueError::ForeignIdentity(identity.clone()));
        }
        if identity.path().is_empty() {
            return Err(IssueError::NotAWorkload(identity.clone()));
        }
        Ok(())
    }
}

/// Module, guard, key. The answer is a certificate, DER.
pub(crate) fn mint(
    sandbox: &Sandbox,
    key: &dyn Custody,
    request: &ProvenRequest<'_>,
    issuance: &Issuance<'_>,
) -> Result<Vec<u8>, IssueError> {
    let proposal = sandbox.propose(&Proposal {
        csr: request.der(),
        issuance,
    })?;
    let checked = guard::check_certificate(proposal, issuance)?;
    Ok(key.sign_certificate(&checked)?)
}

/// From the system's random number generator (RFC 5280 §4.1.2.2).
pub(crate) fn draw_serial() -> Result<Serial, CustodyError> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| CustodyError::Failed("the system has no randomness".into()))?;
    Ok(Serial::from_random(octets))
}
