//! `credence log archive`: old entries go to a file of their own.

use super::book::Book;
use crate::{
    cli::ArchiveArguments,
    clock::{Clocks, WallClock},
    failure::Failure,
};
use credence_ca::validity::Time;
use credence_ledger::{
    checkpoint::{CheckpointKey, MemorySigner},
    entry::{By, Entry, Takeover},
    sqlite::{Authority, Ledger, Options, Previous, Retire},
    verify::Report,
};
use std::path::Path;

/// Opens the ledger, which nobody else may be writing, and archives.
///
/// # Errors
/// If somebody writes the ledger, it is not what was written, there is nothing that old, or the
/// archive cannot be written.
pub(super) fn run(arguments: &ArchiveArguments, clock: WallClock) -> Result<(), Failure> {
    let book = Book::new(&arguments.book);
    let now = clock.time();
    let before = arguments.before.past(now);
    let ledger = open(&book, &arguments.former_key, clock)?;
    let by = By::Uid(rustix::process::geteuid().as_raw());
    go_on_from(&ledger, now)?;
    let report = archive(
        &ledger,
        &arguments.to,
        before,
        now,
        by,
        &arguments.former_key,
    )?;
    println!(
        "{}: entries {} to {}, {} of them certificates; it was verified",
        arguments.to.display(),
        report.base.saturating_add(1),
        report.head.size,
        report.issued
    );
    Ok(())
}

/// Moves entries from before a time to `to`; what `credence log archive` does, and what a CA that is
/// running can do itself.
///
/// # Errors
/// If there is nothing that old, or the archive cannot be written. Then the ledger is as it was.
pub(crate) fn archive(
    ledger: &Ledger,
    to: &Path,
    before: Time,
    now: Time,
    by: By,
    former: &[CheckpointKey],
) -> Result<Report, Failure> {
    let mut keys = vec![ledger.key().clone()];
    keys.extend_from_slice(former);
    let retire = Retire {
        to: to.to_path_buf(),
        before,
        now,
        by,
    };
    Ok(ledger.archive(&retire, &keys)?)
}

fn open(book: &Book, former: &[CheckpointKey], clock: WallClock) -> Result<Ledger, Failure> {
    // a ledger that is not there would be made
    let origin = book.reader()?.base()?.origin;
    let former: Vec<_> = former.iter().map(CheckpointKey::public).collect();
    let options = Options {
        holder: format!("credence log archive, process {}", std::process::id()),
        ..Options::default()
    };
    let authority = Authority {
        trust_domain: origin.trust_domain(),
        // of a new ledger; this one has an origin
        random: [0; 16],
        signer: Box::new(MemorySigner::new(&book.secret()?)),
        former_keys: &former,
        clock: Box::new(Clocks::start(clock)),
    };
    Ok(Ledger::open(&book.path, &options, authority)?)
}

/// Once this command has closed the ledger in order, nobody else would see that the last who wrote it did not.
fn go_on_from(ledger: &Ledger, now: Time) -> Result<(), Failure> {
    if let Previous::Left(from) = ledger.previous() {
        let takeover = Takeover {
            from: from.clone(),
            to: "credence log archive".to_owned(),
        };
        ledger.append_blocking(vec![Entry::new(now, takeover).into()])?;
    }
    Ok(())
}
