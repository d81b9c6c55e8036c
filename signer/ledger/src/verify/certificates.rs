//! The certificates of a record: is each what was decided, made by the module, signed by its
//! issuer?

use super::{Checks, Report, Wrong};
use crate::{
    entry::{Event, Issued},
    octets::Digest,
};
use credence_ca::tbs::Tbs;
use std::collections::{BTreeMap, btree_map::Entry};

/// The port to the objects that a store keeps.
pub trait Objects {
    /// The object with this SHA-256; nothing if there is none.
    ///
    /// # Errors
    /// If the store cannot be read; in words.
    fn object(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String>;
}

/// The port to what verifies signatures of certificates.
pub trait Signatures {
    /// Whether the issuer's key signed the to-be-signed certificate. The signature's algorithm is
    /// in the latter. Without an issuer the certificate is a root, and its own key signed.
    ///
    /// # Errors
    /// If not; in words.
    fn verify(&self, issuer: Option<&[u8]>, issued: &Issued) -> Result<(), String>;
}

/// The port to what runs signing modules.
pub trait Replay {
    /// Whether it still has this module; it may keep as many as it likes.
    fn has_module(&self, digest: &Digest) -> bool;

    /// Takes a module that it has not, before a certificate that it made.
    ///
    /// # Errors
    /// If it cannot be run; in words.
    fn module(&mut self, digest: &Digest, octets: &[u8]) -> Result<(), String>;

    /// Asks that module again; the answer is a to-be-signed certificate, DER.
    ///
    /// # Errors
    /// If it gives none; in words.
    fn again(&mut self, issued: &Issued, issuer: Option<&[u8]>) -> Result<Vec<u8>, String>;
}

#[derive(Default)]
pub(super) struct Certificates {
    issuers: BTreeMap<Digest, Vec<u8>>,
}

impl Certificates {
    pub(super) fn check(
        &mut self,
        event: &Event,
        checks: &mut Checks<'_>,
        objects: &dyn Objects,
        report: &mut Report,
    ) -> Result<(), Wrong> {
        match event {
            Event::Issued(issued) => self.issued(issued, checks, objects, report),
            Event::CaAdded(added) => fetch(objects, &added.certificate).map(drop),
            Event::ModuleTaken(taken) => fetch(objects, &taken.module).map(drop),
            _ => Ok(()),
        }
    }

    fn issued(
        &mut self,
        issued: &Issued,
        checks: &mut Checks<'_>,
        objects: &dyn Objects,
        report: &mut Report,
    ) -> Result<(), Wrong> {
        report.issued = report.issued.saturating_add(1);
        decided(issued)?;
        if let Some(signatures) = checks.signatures {
            let issuer = self.issuer(issued, objects)?;
            signatures
                .verify(issuer, issued)
                .map_err(Wrong::Signature)?;
            report.signatures = report.signatures.saturating_add(1);
        }
        if let Some(replay) = &mut checks.replay {
            take_module(issued, &mut **replay, objects)?;
            let issuer = self.issuer(issued, objects)?;
            let tbs = replay.again(issued, issuer).map_err(Wrong::Replay)?;
            if tbs != issued.tbs.0 {
                return Err(Wrong::Replayed);
            }
            report.replayed = report.replayed.saturating_add(1);
        }
        Ok(())
    }

    fn issuer(&mut self, issued: &Issued, objects: &dyn Objects) -> Result<Option<&[u8]>, Wrong> {
        let Some(digest) = issued.issuer else {
            return Ok(None);
        };
        let octets = match self.issuers.entry(digest) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(fetch(objects, &digest)?),
        };
        Ok(Some(octets))
    }
}

fn take_module(
    issued: &Issued,
    replay: &mut dyn Replay,
    objects: &dyn Objects,
) -> Result<(), Wrong> {
    if replay.has_module(&issued.module) {
        return Ok(());
    }
    let octets = fetch(objects, &issued.module)?;
    replay
        .module(&issued.module, &octets)
        .map_err(Wrong::Replay)
}

/// An object, if it is what its name says.
fn fetch(objects: &dyn Objects, digest: &Digest) -> Result<Vec<u8>, Wrong> {
    let octets = objects
        .object(digest)
        .map_err(Wrong::Store)?
        .ok_or(Wrong::NoObject(*digest))?;
    if Digest::of(&octets) == *digest {
        Ok(octets)
    } else {
        Err(Wrong::Object(*digest))
    }
}

/// What can be seen without the module: the serial number and the validity.
fn decided(issued: &Issued) -> Result<(), Wrong> {
    let Ok(tbs) = Tbs::read(&issued.tbs.0) else {
        return Err(Wrong::Certificate("form"));
    };
    if tbs.serial != issued.serial.to_der() {
        return Err(Wrong::Certificate("serial number"));
    }
    let validity = (tbs.validity.not_before, tbs.validity.not_after);
    if validity != (issued.not_before, issued.not_after) {
        return Err(Wrong::Certificate("validity"));
    }
    Ok(())
}
