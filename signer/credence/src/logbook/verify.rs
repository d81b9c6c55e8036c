//! `credence log verify`: is the record what was written?

use super::{
    again::{Again, IssuerSignatures},
    book::Book,
    progress::Progress,
    verdict::{KeyFrom, Verdict},
};
use crate::{
    cli::VerifyArguments,
    clock::{Clocks, WallClock},
    failure::Failure,
    input,
};
use credence_ledger::{
    checkpoint::{CheckpointKey, Note},
    port::Cause,
    sqlite::{OpenError, ReadError, Reader},
    verify::{Checks, Fault, Replay},
};
use std::{
    io::{self, Write as _},
    path::PathBuf,
};

/// The longest checkpoint that is read, in octets.
const LONGEST: usize = 16 << 10;

/// Verifies all of it, and says what was checked and what not.
///
/// # Errors
/// If it is not what was written, or cannot be read.
pub(super) fn run(arguments: &VerifyArguments, clock: WallClock) -> Result<(), Failure> {
    let book = Book::new(&arguments.book);
    let verdict = verify(arguments, &book, clock).map_err(|failure| told(&book, failure))?;
    verdict.print(arguments.json).map_err(Failure::Output)
}

fn verify(arguments: &VerifyArguments, book: &Book, clock: WallClock) -> Result<Verdict, Failure> {
    let reader = book.reader()?;
    let (keys, key_from) = keys(arguments, book, &reader)?;
    let known = known(&arguments.checkpoint)?;
    let mut again = Again::default();
    let checks = Checks {
        keys: &keys,
        known: &known,
        signatures: Some(&IssuerSignatures),
        replay: (!arguments.no_replay).then_some(&mut again as &mut dyn Replay),
    };
    let (base, head) = (reader.base()?, reader.head()?);
    let mut progress = Progress::new(Clocks::start(clock), base.head.size, head.size);
    let report = reader.verify(checks, &mut |seq| progress.at(seq));
    progress.end();
    if let (true, Err(ReadError::Damaged { fault, .. })) = (arguments.json, &report) {
        print_fault(book, fault).map_err(Failure::Output)?;
    }
    let report = report?;
    // a newer one than was verified, perhaps, but none that nobody signed
    let last = reader
        .last_checkpoint()?
        .filter(|note| note.verify(&keys).is_ok());
    Ok(Verdict {
        ledger: book.path.display().to_string(),
        origin: base.origin,
        keys: keys.iter().map(CheckpointKey::text).collect(),
        key_from,
        replay: !arguments.no_replay,
        modules: again.compiled(),
        last_checkpoint: last.map(|note| note.text()),
        report,
    })
}

fn print_fault(book: &Book, fault: &Fault) -> io::Result<()> {
    let line = serde_json::json!({
        "ledger": book.path.display().to_string(),
        "fault": { "seq": fault.seq, "what": fault.wrong.to_string() },
    });
    writeln!(io::stdout(), "{line:#}")
}

/// Those that were typed, or the one beside the ledger.
fn keys(
    arguments: &VerifyArguments,
    book: &Book,
    reader: &Reader,
) -> Result<(Vec<CheckpointKey>, KeyFrom), Failure> {
    if arguments.key.is_empty() {
        return Ok((vec![book.own_key(reader)?], KeyFrom::BesideTheLedger));
    }
    let origin = reader.base()?.origin;
    match arguments.key.iter().find(|key| *key.origin() != origin) {
        None => Ok((arguments.key.clone(), KeyFrom::Given)),
        Some(other) => Err(Failure::NotWhatWasWritten(
            book.path.clone(),
            format!("it is {origin}, and the key is that of {}", other.origin()),
        )),
    }
}

fn known(files: &[PathBuf]) -> Result<Vec<Note>, Failure> {
    let read = |file: &PathBuf| {
        Note::parse(&input::read_text(file, LONGEST)?)
            .map_err(|error| Failure::BadInput(file.clone(), error.to_string()))
    };
    files.iter().map(read).collect()
}

/// A fault of the record is what this command is for; that it cannot be read is something else.
fn told(book: &Book, failure: Failure) -> Failure {
    let found = match &failure {
        Failure::LedgerRead(ReadError::Damaged { fault, .. }) => Some(fault.to_string()),
        Failure::LedgerRead(error) => damage(error).map(str::to_owned),
        _ => None,
    };
    found.map_or(failure, |text| {
        Failure::NotWhatWasWritten(book.path.clone(), text)
    })
}

/// What SQLite says of a file that is not consistent.
fn damage(error: &ReadError) -> Option<&str> {
    let trouble = match error {
        ReadError::Trouble { trouble, .. } => trouble,
        ReadError::Open(open) => match &**open {
            OpenError::Trouble { trouble, .. } => trouble,
            _ => return None,
        },
        _ => return None,
    };
    (trouble.cause == Cause::Damaged).then_some(&trouble.text)
}
