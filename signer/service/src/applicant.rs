//! Somebody whose identity has been proved, with the proof.

use credence_attest::{Attested, ProofRecord};
use credence_ca::hex;
use credence_daemon::ports::{Frontend, Identified, Remote};
use credence_ledger::entry::Asker;
use spiffe::SpiffeId;
use std::{collections::BTreeMap, time::SystemTime};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// Who it is, and by which proof.
    pub attested: Attested,
    /// The other end of the connection. It proves nothing.
    pub peer: Option<Remote>,
}

impl Identified for Applicant {
    fn identity(&self) -> &SpiffeId {
        &self.attested.identity
    }

    fn expires(&self) -> Option<SystemTime> {
        self.attested.proof.expires.map(crate::clock::system)
    }
}

impl Applicant {
    /// As the ledger has it: what was proved, and no secret.
    #[must_use]
    pub fn asker(&self, frontend: Frontend) -> Asker {
        let Attested {
            proof, on_behalf, ..
        } = &self.attested;
        let mut claims = claims(proof);
        if let Some(agent) = on_behalf {
            claims.insert("asked-by".into(), agent.to_string());
        }
        Asker {
            frontend: frontend.name().into(),
            attestor: proof.attestor.clone(),
            proof: proof.kind.to_string(),
            claims,
            peer: self.peer.map(|peer| peer.to_string()),
        }
    }
}

fn claims(proof: &ProofRecord) -> BTreeMap<String, String> {
    let audiences = (!proof.audiences.is_empty()).then(|| proof.audiences.join(" "));
    let named = [
        ("issuer", proof.issuer.clone()),
        ("subject", proof.subject.clone()),
        ("audience", audiences),
        ("sha256", proof.fingerprint.map(|octets| hex(&octets))),
        ("expires", proof.expires.map(|time| time.to_string())),
    ];
    let known = named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), cut(&value?))));
    known.collect()
}

/// Claims are others' words, and an entry has a bound.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_CLAIM).collect()
}

const LONGEST_CLAIM: usize = 1024;
