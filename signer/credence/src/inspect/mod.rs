//! `credence cert inspect`: what certificates say.

mod summary;

use crate::{cli::InspectArguments, clock::WallClock, failure::Failure, input};
use std::io::{self, Write};
use summary::Summary;
use x509_parser::pem::Pem;

/// The longest file that is looked at, in octets.
const LONGEST: usize = 1 << 20;

/// Prints the certificates of a file.
///
/// # Errors
/// If it cannot be read, or holds no certificate.
pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let bytes = input::read(path, LONGEST)?;
    let bad = |why: String| Failure::BadInput(path.clone(), why);
    let now = WallClock.time();
    let summaries = certificates(&bytes)
        .map_err(bad)?
        .iter()
        .enumerate()
        .map(|(index, der)| {
            Summary::of(der, now).map_err(|e| format!("certificate {}: {e}", index + 1))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(bad)?;
    print(&summaries, arguments.json).map_err(Failure::Output)
}

/// The DER certificates in PEM blocks, whatever stands between them; or the file as DER.
fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.to_vec()]);
    }
    let blocks: Vec<Pem> = Pem::iter_from_buffer(bytes)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("neither DER nor PEM: {e}"))?;
    let ders: Vec<_> = blocks
        .into_iter()
        .filter(|b| b.label == "CERTIFICATE")
        .map(|b| b.contents)
        .collect();
    if ders.is_empty() {
        return Err("no certificate: neither DER nor a PEM block labelled CERTIFICATE".into());
    }
    Ok(ders)
}

fn print(summaries: &[Summary], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, summaries)?;
        return writeln!(out);
    }
    for (index, summary) in summaries.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write!(out, "{summary}")?;
    }
    Ok(())
}
