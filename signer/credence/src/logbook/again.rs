//! The record's certificates, made and verified again: possession, module, guard; and the issuer's signature.

use credence_ca::{
    certificate::CaCertificate,
    dns::DnsName,
    guard,
    issuance::{Issuance, Issuer},
    key::PublicKey,
    name::DistinguishedName,
    profile::Profile,
    tbs::Tbs,
    validity::Validity,
};
use credence_host::{
    BUILTIN_MODULE,
    possession::{self, ProvenRequest},
    sandbox::{Limits, LoadError, Proposal, Sandbox},
};
use credence_ledger::{
    entry::Issued,
    octets::Digest,
    verify::{Replay, Signatures},
};
use spiffe::SpiffeId;
use std::collections::VecDeque;

/// How many modules are kept at once. Most records have one or two.
const KEPT: usize = 4;

/// Runs the modules of a record. What a module was allowed then is not recorded, so it is allowed
/// the most that a configuration can allow.
#[derive(Default)]
pub(super) struct Again {
    /// The newest last.
    modules: VecDeque<(Digest, Sandbox)>,
    compiled: u64,
}

impl Again {
    /// How many times a module was compiled.
    pub(super) fn compiled(&self) -> u64 {
        self.compiled
    }

    fn sandbox(&self, digest: &Digest) -> Option<&Sandbox> {
        let found = self.modules.iter().find(|(known, _)| known == digest);
        found.map(|(_, sandbox)| sandbox)
    }
}

fn limits() -> Limits {
    Limits {
        memory: *Limits::MEMORY.end(),
        table_elements: *Limits::TABLE_ELEMENTS.end(),
        stack: *Limits::STACK.end(),
        deadline: *Limits::DEADLINE.end(),
        proposal: *Limits::PROPOSAL.end(),
        instances: 1,
    }
}

/// The built-in one need not be compiled: the record's octets are the program's own.
fn load(octets: &[u8]) -> Result<Sandbox, LoadError> {
    if octets == BUILTIN_MODULE {
        Sandbox::builtin(limits())
    } else {
        Sandbox::load(octets, limits())
    }
}

impl Replay for Again {
    fn has_module(&self, digest: &Digest) -> bool {
        self.sandbox(digest).is_some()
    }

    fn module(&mut self, digest: &Digest, octets: &[u8]) -> Result<(), String> {
        let sandbox = load(octets).map_err(|error| format!("its module {digest}: {error}"))?;
        if self.modules.len() >= KEPT {
            self.modules.pop_front();
        }
        self.modules.push_back((*digest, sandbox));
        self.compiled = self.compiled.saturating_add(1);
        Ok(())
    }

    fn again(&mut self, issued: &Issued, issuer: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let sandbox = self.sandbox(&issued.module).ok_or("its module is gone")?;
        let request = ProvenRequest::prove(&issued.csr.0).map_err(words)?;
        let decided = Decided::read(issued, issuer)?;
        let issuance = decided.issuance(issued, request.public_key());
        let proposal = Proposal {
            csr: request.der(),
            issuance: &issuance,
        };
        let tbs = sandbox.propose(&proposal).map_err(words)?;
        guard::check_certificate(tbs.clone(), &issuance)
            .map_err(|refusal| format!("the guard refuses it: {refusal}"))?;
        Ok(tbs)
    }
}

/// What the record says that was decided, in the types of those who decide.
struct Decided {
    profile: Profile,
    identity: SpiffeId,
    permitted: Vec<DnsName>,
    subject: Option<DistinguishedName>,
    issuer: Option<CaCertificate>,
}

impl Decided {
    fn read(issued: &Issued, issuer: Option<&[u8]>) -> Result<Self, String> {
        let name = issued.profile.as_str();
        let profile = Profile::ALL.into_iter().find(|p| p.name() == name);
        let permitted = issued.permitted_dns_names.iter();
        Ok(Self {
            profile: profile.ok_or_else(|| format!("there is no profile {name}"))?,
            identity: SpiffeId::new(&issued.identity).map_err(words)?,
            permitted: permitted
                .map(|name| DnsName::parse(name).map_err(words))
                .collect::<Result<_, _>>()?,
            subject: issued.subject.as_ref().map(|subject| DistinguishedName {
                organization: subject.organization.clone(),
                common_name: subject.common_name.clone(),
            }),
            issuer: issuer.map(ca).transpose()?,
        })
    }

    fn issuance<'a>(&'a self, issued: &Issued, key: &'a PublicKey) -> Issuance<'a> {
        Issuance {
            profile: self.profile,
            identity: &self.identity,
            permitted_dns_names: &self.permitted,
            subject: self.subject.as_ref(),
            subject_key: key,
            validity: Validity {
                not_before: issued.not_before,
                not_after: issued.not_after,
            },
            serial: issued.serial.clone(),
            issuer: self.issuer.as_ref().map_or(Issuer::Itself, Issuer::Ca),
        }
    }
}

/// Verifies the certificates' signatures.
pub(super) struct IssuerSignatures;

impl Signatures for IssuerSignatures {
    fn verify(&self, issuer: Option<&[u8]>, issued: &Issued) -> Result<(), String> {
        let tbs = Tbs::read(&issued.tbs.0).map_err(words)?;
        let key = match issuer {
            Some(der) => ca(der)?.public_key().clone(),
            None => PublicKey::from_spki(tbs.spki).map_err(words)?,
        };
        possession::is_signature(&key, tbs.algorithm, &issued.tbs.0, &issued.signature.0)
            .then_some(())
            .ok_or_else(|| "it is not its issuer's".to_owned())
    }
}

fn ca(der: &[u8]) -> Result<CaCertificate, String> {
    CaCertificate::from_der(der).map_err(|error| format!("its issuer's certificate: {error}"))
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives the value")]
fn words(error: impl std::error::Error) -> String {
    error.to_string()
}
