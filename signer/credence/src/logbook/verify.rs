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
    sqlite::{ReadError, Reader},
    verify::{Checks, Fault, Replay},
};
use std::{
    io::{self, Write as _},
    path::Path,
};

/// The longest checkpoint that is read, in octets.
const LONGEST: usize = 16 << 10;

/// Verifies all of it, and says what was checked and what not.
///
/// # Errors
/// If it is not what was written, or cannot be read.
pub(super) fn run(arguments: &VerifyArguments, clock: WallClock) -> Result<(), Failure> {
    let book = Book::new(&arguments.book);
    let reader = book.reader().map_err(told(&book.path))?;
    let (keys, key_from) = keys(arguments, &book, &reader)?;
    let known = known(&arguments.checkpoint)?;
    let mut again = Again::default();
    let checks = Checks {
        keys: &keys,
        known: &known,
        signatures: Some(&IssuerSignatures),
        replay: (!arguments.no_replay).then_some(&mut again as &mut dyn Replay),
    };
    let (first, last) = (reader.base()?.head.size, reader.head()?.size);
    let mut progress = Progress::new(Clocks::start(clock), first, last);
    let report = reader.verify(checks, &mut |seq| progress.at(seq));
    progress.end();
    if let (true, Err(ReadError::Damaged { fault, .. })) = (arguments.json, &report) {
        print_fault(&book, fault).map_err(Failure::Output)?;
    }
    let report = report.map_err(Failure::from).map_err(told(&book.path))?;
    let verdict = Verdict {
        ledger: book.path.display().to_string(),
        origin: reader.base()?.origin,
        keys: keys.iter().map(CheckpointKey::text).collect(),
        key_from,
        replay: !arguments.no_replay,
        modules: again.compiled(),
        last_checkpoint: reader.last_checkpoint()?.map(|note| note.text()),
        report,
    };
    verdict.print(arguments.json).map_err(Failure::Output)
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

fn known(files: &[std::path::PathBuf]) -> Result<Vec<Note>, Failure> {
    let read = |file: &std::path::PathBuf| {
        Note::parse(&input::read_text(file, LONGEST)?)
            .map_err(|error| Failure::BadInput(file.clone(), error.to_string()))
    };
    files.iter().map(read).collect()
}

/// A fault of the record is what this command is for; that it cannot be read is something else.
fn told(path: &Path) -> impl Fn(Failure) -> Failure {
    let path = path.to_path_buf();
    move |failure| match failure {
        Failure::LedgerRead(ReadError::Damaged { fault, .. }) => {
            Failure::NotWhatWasWritten(path.clone(), fault.to_string())
        }
        Failure::LedgerRead(ReadError::Trouble { trouble, .. })
            if trouble.cause == Cause::Damaged =>
        {
            Failure::NotWhatWasWritten(path.clone(), trouble.text)
        }
        other => other,
    }
}
