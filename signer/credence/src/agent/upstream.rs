//! From the configuration to the CA that is asked.

use crate::{clock::WallClock, failure::Failure};
use credence_agent::{Renewals, Upstream};
use credence_config::agent::{
    Address, AgentConfig, Expected, FirstTrust, IdentityConfig, ProofConfig, Protocol,
    Renewals as Renewed, Terms, Validator,
};
use credence_upstream::{
    self as upstream, CredenceCa, Following, IstioCa, IstioTerms, JoinTokenFile, Line, Proof,
    Proofs, Sentry, SentryTerms, Trust,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The CA that the configuration names. Nothing is asked yet.
///
/// # Errors
/// If the CA's name is none.
pub(super) fn upstream(config: &AgentConfig) -> Result<Arc<dyn Upstream>, Failure> {
    let mut tokens = Tokens::default();
    let proofs = proofs(config, &mut tokens);
    let trust = Arc::new(Trust::new(first_trust(
        config.ca.first_trust.as_ref(),
        &mut tokens,
    )));
    let line = Line::new(address(&config.ca.address)?, trust, Arc::new(WallClock));
    Ok(match &config.ca.protocol {
        Protocol::Credence { terms, node, poll } => {
            let following = Following {
                node: node.clone().unwrap_or_else(host_name),
                poll: *poll,
            };
            Arc::new(CredenceCa::new(line, istio(terms, proofs), following))
        }
        Protocol::Istio(terms) => Arc::new(IstioCa::new(line, istio(terms, proofs))),
        Protocol::Sentry(validator) => {
            let validator = match validator {
                Validator::Default => upstream::Validator::Default,
                Validator::Kubernetes => upstream::Validator::Kubernetes,
                Validator::Jwks => upstream::Validator::Jwks,
            };
            Arc::new(Sentry::new(line, SentryTerms { proofs, validator }))
        }
    })
}

/// Join tokens by their files: which one was used up is known to all that name the file.
#[derive(Default)]
struct Tokens(BTreeMap<PathBuf, JoinTokenFile>);

impl Tokens {
    fn of(&mut self, path: &Path) -> JoinTokenFile {
        let file = self.0.entry(path.to_path_buf());
        file.or_insert_with(|| JoinTokenFile::new(path.to_path_buf()))
            .clone()
    }
}

fn proof(config: Option<&ProofConfig>, tokens: &mut Tokens) -> Proof {
    match config {
        Some(ProofConfig::Token(path)) => Proof::TokenFile(path.clone()),
        Some(ProofConfig::JoinToken(path)) => Proof::JoinToken(tokens.of(path)),
        None => Proof::Peer,
    }
}

fn proofs(config: &AgentConfig, tokens: &mut Tokens) -> Proofs {
    let common = Proofs::all(proof(config.ca.proof.as_ref(), tokens));
    let own = |proofs: Proofs, one: &IdentityConfig| match &one.proof {
        Some(own) => proofs.with(one.id.clone(), proof(Some(own), tokens)),
        None => proofs,
    };
    config.identities.iter().fold(common, own)
}

fn first_trust(config: Option<&FirstTrust>, tokens: &mut Tokens) -> upstream::FirstTrust {
    match config {
        Some(FirstTrust::File(path)) => upstream::FirstTrust::File(path.clone()),
        Some(FirstTrust::JoinToken(path)) => upstream::FirstTrust::JoinToken(tokens.of(path)),
        None => upstream::FirstTrust::None,
    }
}

fn address(config: &Address) -> Result<upstream::Address, Failure> {
    Ok(match config {
        Address::Unix(path) => upstream::Address::Unix(path.clone()),
        Address::Tcp { host, expected } => upstream::Address::Tcp {
            host: host.clone(),
            expected: match expected {
                Expected::Id(id) => upstream::Expected::Id(id.clone()),
                Expected::Name(name) => upstream::Expected::name(name)?,
            },
        },
    })
}

fn istio(config: &Terms, proofs: Proofs) -> IstioTerms {
    IstioTerms {
        proofs,
        life: config.life,
        cluster: config.cluster.clone(),
        renewals: match config.renewals {
            Renewed::ByCertificate => Renewals::HeldCertificate,
            Renewed::ByProof => Renewals::FirstProof,
        },
        node_agent: config.node_agent,
    }
}

fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
