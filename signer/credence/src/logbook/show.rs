//! `credence log show`: all that is recorded of one certificate, or of one entry.

mod certificate;
mod chain;

use super::{book::Book, standing::Standings, text::plain};
use crate::{cli::ShowArguments, failure::Failure};
use certificate::Certificate;
use credence_ca::{serial::Serial, validity::Time};
use credence_ledger::{
    entry::{Event, Issued, Kind},
    sqlite::{About, Query, Reader, Record},
};
use std::io::{self, Write as _};

/// Prints it.
///
/// # Errors
/// If the ledger cannot be read or has nothing about it, or the output cannot be written.
pub(super) fn run(arguments: &ShowArguments, now: Time) -> Result<(), Failure> {
    let book = Book::new(&arguments.book);
    let reader = book.reader()?;
    let nothing = |what: String| Failure::NotOnRecord(book.path.clone(), what);
    let record = match (&arguments.serial, arguments.entry) {
        (Some(serial), _) => issued(&reader, serial)?
            .ok_or_else(|| nothing(format!("a certificate with serial number {serial}")))?,
        (None, number) => {
            let number = number.unwrap_or_default();
            let found = reader.entry(number)?;
            found.ok_or_else(|| nothing(format!("entry {number}")))?
        }
    };
    match &record.entry.event {
        Event::Issued(issued) if arguments.pem => print_pem(&book, &record, issued),
        Event::Issued(issued) => {
            let standings = Standings::read(&reader, now)?;
            let certificate = Certificate::new(&reader, &record, issued, &standings)?;
            print_certificate(&certificate, arguments.json).map_err(Failure::Output)
        }
        _ if arguments.pem => Err(nothing(format!("a certificate in entry {}", record.seq))),
        _ => print_entry(&record, arguments.json).map_err(Failure::Output),
    }
}

/// The entry of a certificate.
fn issued(reader: &Reader, serial: &Serial) -> Result<Option<Record>, Failure> {
    let mut query = Query {
        kinds: vec![Kind::ISSUED],
        limit: 1,
        ..Query::about(About::Serial(serial.clone()))
    };
    loop {
        let page = reader.list(&query)?;
        if let Some(record) = page.records.into_iter().next() {
            return Ok(Some(record));
        }
        match page.next {
            Some(_) => query.after = page.next,
            None => return Ok(None),
        }
    }
}

fn print_pem(book: &Book, record: &Record, issued: &Issued) -> Result<(), Failure> {
    let der = issued.certificate().map_err(|error| {
        let what = format!("entry {} has no certificate: {error}", record.seq);
        Failure::NotWhatWasWritten(book.path.clone(), what)
    })?;
    let text = certificate::pem(&der);
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(Failure::Output)
}

fn print_certificate(certificate: &Certificate<'_>, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, certificate)?;
        return writeln!(out);
    }
    write!(out, "{certificate}")
}

/// What is not a certificate has few fields: they are shown by their names.
fn print_entry(record: &Record, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, record)?;
        return writeln!(out);
    }
    let entry = &record.entry;
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<20} {}", plain(value));
    line("Entry", &record.seq.to_string())?;
    line("Kind", &entry.event.kind().to_string())?;
    line("Time", &entry.time.to_string())?;
    line("Hash", &record.hash.to_string())?;
    let fields = serde_json::to_value(&entry.event)?;
    let fields = fields.as_object().into_iter().flatten();
    for (name, value) in fields {
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        line(&name.replace('_', " "), &text)?;
    }
    Ok(())
}
