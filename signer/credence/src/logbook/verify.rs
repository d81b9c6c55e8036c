//! `credence log verify`: is the record what was written?

use super::{
    again::{Again, IssuerSignatures},
    book::Book,
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
    port::{Cause, Clock},
    sqlite::{ReadError, Reader},
    verify::{Checks, Fault, Replay},
};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Duration,
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
    let mut progress = Progress::new(Clocks::start(clock), &reader)?;
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

/// How far it is, on standard error, for whoever waits.
struct Progress {
    clock: Clocks,
    /// When the next line is due.
    next: Duration,
    step: Duration,
    first: u64,
    last: u64,
    on_terminal: bool,
    shown: bool,
}

impl Progress {
    fn new(clock: Clocks, reader: &Reader) -> Result<Self, Failure> {
        let on_terminal = io::stderr().is_terminal();
        let step = Duration::from_secs(if on_terminal { 1 } else { 15 });
        Ok(Self {
            clock,
            next: step,
            step,
            first: reader.base()?.head.size,
            last: reader.head()?.size,
            on_terminal,
            shown: false,
        })
    }

    fn at(&mut self, seq: u64) {
        // the clock is not asked at each entry
        if !seq.is_multiple_of(256) || self.clock.elapsed() < self.next {
            return;
        }
        self.next = self.clock.elapsed().saturating_add(self.step);
        let (done, all) = (
            seq.saturating_sub(self.first),
            self.last.saturating_sub(self.first).max(1),
        );
        let percent = done.saturating_mul(100) / all;
        self.say(&format!(
            "verified up to entry {seq} of {}, {percent} %",
            self.last
        ));
    }

    fn say(&mut self, text: &str) {
        let end = if self.on_terminal { "" } else { "\n" };
        let start = if self.on_terminal { "\r" } else { "" };
        let mut err = io::stderr().lock();
        // nobody is there to be told that nobody is told
        drop(write!(err, "{start}credence: {text}{end}").and_then(|()| err.flush()));
        self.shown = true;
    }

    fn end(&self) {
        if self.shown && self.on_terminal {
            eprintln!();
        }
    }
}
