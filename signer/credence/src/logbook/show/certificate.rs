//! A certificate of the record: who asked, how that was shown, what was decided, what became of it.

use super::{
    super::{
        standing::{Revoked, Standings, State},
        text::plain,
    },
    chain::{self, Ca, Module},
};
use crate::failure::Failure;
use credence_ca::csr::CertificationRequest;
use credence_ledger::{
    entry::{Asker, Issued, Name, Subject},
    octets::Digest,
    sqlite::{Reader, Record},
};
use serde::Serialize;
use std::fmt;

#[derive(Debug, Serialize)]
pub(super) struct Certificate<'a> {
    seq: u64,
    hash: Digest,
    time: String,
    serial: String,
    state: State,
    revoked: Option<&'a Revoked>,
    asker: &'a Asker,
    request: Request,
    identity: &'a str,
    profile: &'a str,
    permitted_dns_names: &'a [String],
    subject: Option<&'a Name>,
    not_before: String,
    not_after: String,
    lineage_start: String,
    module: Module,
    /// The issuer first.
    chain: Vec<Ca>,
    /// SHA-256 of the certificate; none if it cannot be put together.
    sha256: Option<Digest>,
    pem: Option<String>,
}

/// The certification request.
#[derive(Debug, Serialize)]
struct Request {
    sha256: Digest,
    octets: usize,
    /// The kind of its key; none if it cannot be read.
    key: Option<String>,
}

impl<'a> Certificate<'a> {
    pub(super) fn new(
        reader: &Reader,
        record: &Record,
        issued: &'a Issued,
        standings: &'a Standings,
    ) -> Result<Self, Failure> {
        let der = issued.certificate().ok();
        let above = issued.issuer.map(|issuer| chain::above(reader, issuer));
        Ok(Self {
            seq: record.seq,
            hash: record.hash,
            time: record.entry.time.to_string(),
            serial: issued.serial.to_string(),
            state: standings.certificate(record.seq, issued),
            revoked: standings.revoked(record.seq, issued),
            asker: &issued.asker,
            request: request(&issued.csr.0),
            identity: &issued.identity,
            profile: &issued.profile,
            permitted_dns_names: &issued.permitted_dns_names,
            subject: issued.subject.as_ref(),
            not_before: issued.not_before.to_string(),
            not_after: issued.not_after.to_string(),
            lineage_start: issued.lineage_start.to_string(),
            module: chain::module(reader, issued.module)?,
            chain: above.transpose()?.unwrap_or_default(),
            sha256: der.as_deref().map(Digest::of),
            pem: der.as_deref().map(pem),
        })
    }
}

fn request(csr: &[u8]) -> Request {
    let read = CertificationRequest::split(csr);
    Request {
        sha256: Digest::of(csr),
        octets: csr.len(),
        key: read
            .ok()
            .map(|request| request.public_key.kind().to_string()),
    }
}

/// With line feeds, as files have them.
pub(super) fn pem(der: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

impl fmt::Display for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![
            ("Serial", self.serial.clone()),
            ("Identity", self.identity.to_owned()),
            ("State", self.state.name().to_owned()),
        ];
        lines.extend(self.revocation());
        lines.extend(self.asking());
        lines.extend(self.decision());
        lines.extend(self.making());
        lines
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name:<20} {}", plain(value)))
    }
}

type Lines = Vec<(&'static str, String)>;

impl Certificate<'_> {
    fn revocation(&self) -> Lines {
        let Some(revoked) = self.revoked else {
            return Vec::new();
        };
        let what = match &revoked.subject {
            Subject::Serial(_) => "this certificate",
            Subject::Identity(_) => "all of its identity's",
        };
        let Revoked {
            seq,
            time,
            by,
            reason,
            ..
        } = revoked;
        vec![(
            "Revoked",
            format!("{time} by {by}, {what}: {reason} (entry {seq})"),
        )]
    }

    /// Who asked, with which proof, for which key.
    fn asking(&self) -> Lines {
        let Asker {
            frontend,
            attestor,
            proof,
            claims,
            peer,
        } = self.asker;
        let mut lines = vec![
            ("Asked", format!("{} over {frontend}", self.time)),
            ("Proof", format!("{proof}, seen by {attestor}")),
        ];
        lines.extend(
            claims
                .iter()
                .map(|(claim, is)| ("", format!("{claim}: {is}"))),
        );
        lines.extend(peer.iter().map(|peer| ("From", peer.clone())));
        let key = self.request.key.as_deref().unwrap_or("unreadable");
        lines.push(("Key", key.to_owned()));
        let Request { sha256, octets, .. } = &self.request;
        lines.push(("Request", format!("SHA-256 {sha256}, {octets} octets")));
        lines
    }

    fn decision(&self) -> Lines {
        let mut lines = vec![
            ("Profile", self.profile.to_owned()),
            (
                "Valid",
                format!("{} to {}", self.not_before, self.not_after),
            ),
            ("Proved since", self.lineage_start.clone()),
        ];
        if let Some(subject) = self.subject {
            let Name {
                organization,
                common_name,
            } = subject;
            lines.push(("Subject", format!("O={organization}, CN={common_name}")));
        }
        let names = self.permitted_dns_names.iter();
        lines.extend(names.map(|name| ("Permitted DNS name", name.clone())));
        lines
    }

    /// By what it was made and signed, and where that is on record.
    fn making(&self) -> Lines {
        let entry = |seq: Option<u64>| match seq {
            Some(seq) => format!("(entry {seq})"),
            None => "(its entry is in an archive)".to_owned(),
        };
        let source = self.module.source.as_deref().unwrap_or("");
        let sha256 = self.module.sha256;
        let mut lines = vec![(
            "Module",
            format!("{sha256} {source} {}", entry(self.module.seq)),
        )];
        for (place, ca) in self.chain.iter().enumerate() {
            let name = if place == 0 {
                "Issued by"
            } else {
                "and that by"
            };
            let role = ca.role.as_deref().unwrap_or("CA");
            let ends = ca.not_after.as_deref().unwrap_or("an unknown time");
            lines.push((
                name,
                format!("{} {role}, until {ends} {}", ca.sha256, entry(ca.seq)),
            ));
        }
        if self.chain.is_empty() {
            lines.push(("Issued by", "itself: a root".to_owned()));
        }
        let whole = self.sha256.map_or_else(
            || "it cannot be put together".to_owned(),
            |sha256| format!("SHA-256 {sha256}"),
        );
        lines.push(("Certificate", whole));
        lines.push(("Entry", format!("{}, hash {}", self.seq, self.hash)));
        lines
    }
}
