//! The CA certificates above a certificate, and the module that made it, as they are on record.

use crate::failure::Failure;
use credence_ca::certificate::CaCertificate;
use credence_host::possession;
use credence_ledger::{
    entry::{CaAdded, Event, Kind, ModuleTaken},
    octets::Digest,
    sqlite::{About, Order, Query, Reader, Record},
};
use serde::Serialize;

/// A chain is no longer than this.
const LONGEST: usize = 8;

/// A CA's certificate.
#[derive(Debug, Serialize)]
pub(super) struct Ca {
    pub(super) sha256: Digest,
    /// "root", "issuer", "intermediate"; none if no entry says.
    pub(super) role: Option<String>,
    /// The entry that says so.
    pub(super) seq: Option<u64>,
    pub(super) not_after: Option<String>,
}

/// A signing module.
#[derive(Debug, Serialize)]
pub(super) struct Module {
    pub(super) sha256: Digest,
    /// Where it came from; none if no entry says.
    pub(super) source: Option<String>,
    /// The entry that says so.
    pub(super) seq: Option<u64>,
    pub(super) length: Option<u64>,
}

/// The issuer, its issuer, and so on, as far as the record has them; each by its signature.
pub(super) fn above(reader: &Reader, issuer: Digest) -> Result<Vec<Ca>, Failure> {
    let all = every_ca(reader)?;
    let mut chain = vec![told(&all, issuer)];
    let mut below = read(reader, &issuer);
    while let Some(certificate) = below.take()
        && chain.len() < LONGEST
    {
        let signer = all.iter().find_map(|(_, added)| {
            let ca = read(reader, &added.certificate)?;
            is_above(&ca, &certificate).then_some((added.certificate, ca))
        });
        if let Some((digest, ca)) = signer {
            chain.push(told(&all, digest));
            below = Some(ca);
        }
    }
    Ok(chain)
}

fn is_above(ca: &CaCertificate, certificate: &CaCertificate) -> bool {
    ca.der() != certificate.der()
        && certificate.issuer_name() == ca.name()
        && possession::signed_by(certificate, ca.public_key())
}

/// What cannot be read is `log verify`'s business.
fn read(reader: &Reader, digest: &Digest) -> Option<CaCertificate> {
    let der = reader.object(digest).ok()?;
    CaCertificate::from_der(&der).ok()
}

fn told(all: &[(u64, CaAdded)], sha256: Digest) -> Ca {
    let entry = all.iter().find(|(_, added)| added.certificate == sha256);
    Ca {
        sha256,
        role: entry.map(|(_, added)| added.role.clone()),
        seq: entry.map(|(seq, _)| *seq),
        not_after: entry.map(|(_, added)| added.not_after.to_string()),
    }
}

fn every_ca(reader: &Reader) -> Result<Vec<(u64, CaAdded)>, Failure> {
    let mut query = Query {
        order: Order::Oldest,
        limit: 1000,
        ..Query::kind(Kind::CA_ADDED)
    };
    let mut all = Vec::new();
    loop {
        let page = reader.list(&query)?;
        all.extend(page.records.into_iter().filter_map(ca_added));
        match page.next {
            Some(_) => query.after = page.next,
            None => return Ok(all),
        }
    }
}

fn ca_added(record: Record) -> Option<(u64, CaAdded)> {
    match record.entry.event {
        Event::CaAdded(added) => Some((record.seq, *added)),
        _ => None,
    }
}

/// What is known of a module.
pub(super) fn module(reader: &Reader, sha256: Digest) -> Result<Module, Failure> {
    let page = reader.list(&Query::about(About::Object(sha256)))?;
    let taken = page.records.into_iter().find_map(module_taken);
    let (seq, taken) = taken.unzip();
    Ok(Module {
        sha256,
        seq,
        length: taken.as_ref().map(|taken| taken.length),
        source: taken.map(|taken| taken.source),
    })
}

fn module_taken(record: Record) -> Option<(u64, ModuleTaken)> {
    match record.entry.event {
        Event::ModuleTaken(taken) => Some((record.seq, *taken)),
        _ => None,
    }
}
