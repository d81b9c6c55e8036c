//! `credence log list`: a page of entries.

use super::{
    book::Book,
    standing::{Revoked, Standings, State},
    table::{Column, Yield, table},
    text::plain,
};
use crate::{cli::ListArguments, failure::Failure};
use credence_ca::validity::Time;
use credence_ledger::{
    entry::{Event, Subject},
    octets::Digest,
    sqlite::{About, Cursor, Order, Query, Reader, Record},
};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints what is asked for.
///
/// # Errors
/// If the ledger cannot be read, or the output not be written.
pub(super) fn run(arguments: &ListArguments, now: Time) -> Result<(), Failure> {
    let reader = Book::new(&arguments.book).reader()?;
    let standings = Standings::read(&reader, now)?;
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut listing = Listing {
        standings,
        json: arguments.json,
        rows: Vec::new(),
    };
    let next = pages(&reader, query(arguments, now)?, limit, &mut listing)?;
    listing.finish()?;
    tell_more(next);
    Ok(())
}

fn query(arguments: &ListArguments, now: Time) -> Result<Query, Failure> {
    let identity = arguments.identity.clone().map(About::Identity);
    let ends_before = arguments.expiring_before.map(|when| when.future(now));
    if ends_before.is_some_and(|end| end <= now) {
        return Err(Failure::Usage(
            "--expiring-before: that time is not in the future",
        ));
    }
    let oldest = arguments.oldest || ends_before.is_some();
    Ok(Query {
        about: identity.or_else(|| arguments.serial.clone().map(About::Serial)),
        kinds: arguments.kind.clone(),
        from: arguments.since.map(|when| when.past(now)),
        until: arguments.until.map(|when| when.past(now)),
        ends_from: ends_before.map(|_| now),
        ends_before,
        order: if oldest { Order::Oldest } else { Order::Newest },
        after: arguments.after,
        limit: 0,
    })
}

/// Page by page, since a page may have fewer than there are.
fn pages(
    reader: &Reader,
    mut query: Query,
    limit: usize,
    listing: &mut Listing,
) -> Result<Option<Cursor>, Failure> {
    let mut left = limit;
    loop {
        query.limit = left;
        let page = reader.list(&query)?;
        left = left.saturating_sub(page.records.len());
        for record in &page.records {
            listing.add(record)?;
        }
        if left == 0 || page.next.is_none() {
            return Ok(page.next);
        }
        query.after = page.next;
    }
}

/// Beside the list, not in it.
fn tell_more(next: Option<Cursor>) {
    if let Some(cursor) = next {
        eprintln!("credence: there may be more: the same with --after {cursor}");
    }
}

struct Listing {
    standings: Standings,
    json: bool,
    rows: Vec<[String; COLUMNS.len()]>,
}

/// An entry in a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    hash: Digest,
    time: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'a Revoked>,
    event: &'a Event,
}

impl Listing {
    fn add(&mut self, record: &Record) -> Result<(), Failure> {
        if self.json {
            return self.print_json(record).map_err(Failure::Output);
        }
        self.rows.push(row(record, &self.standings));
        Ok(())
    }

    fn print_json(&self, record: &Record) -> io::Result<()> {
        let event = &record.entry.event;
        let revoked = match event {
            Event::Issued(issued) => self.standings.revoked(record.seq, issued),
            _ => None,
        };
        let line = Line {
            seq: record.seq,
            hash: record.hash,
            time: record.entry.time.to_string(),
            kind: event.kind().to_string(),
            state: self.standings.event(record.seq, event),
            revoked,
            event,
        };
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)
    }

    fn finish(&self) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let text = table(&COLUMNS, &self.rows, room());
        io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(Failure::Output)
    }
}

/// How wide the terminal is, if it is one.
fn room() -> Option<usize> {
    let is_terminal = io::stdout().is_terminal();
    let size = is_terminal.then(terminal_size::terminal_size).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

const fn column(title: &'static str, gives: Yield) -> Column {
    Column { title, gives }
}

const COLUMNS: [Column; 7] = [
    column("ENTRY", Yield::Never),
    column("TIME", Yield::Never),
    column("KIND", Yield::Never),
    column("STATE", Yield::Never),
    column("ENDS", Yield::Out(1)),
    column("SERIAL", Yield::Out(2)),
    column("ABOUT", Yield::Cut),
];

fn row(record: &Record, standings: &Standings) -> [String; COLUMNS.len()] {
    let event = &record.entry.event;
    let (ends, serial) = match event {
        Event::Issued(issued) => (
            Some(issued.not_after.to_string()),
            Some(issued.serial.to_string()),
        ),
        Event::CaAdded(added) => (Some(added.not_after.to_string()), None),
        Event::Revoked(revoked) => match &revoked.subject {
            Subject::Serial(serial) => (None, Some(serial.to_string())),
            Subject::Identity(_) => (None, None),
        },
        _ => (None, None),
    };
    let dash = || "-".to_owned();
    [
        record.seq.to_string(),
        record.entry.time.to_string(),
        event.kind().to_string(),
        standings
            .event(record.seq, event)
            .map_or_else(dash, |state| state.name().to_owned()),
        ends.unwrap_or_else(dash),
        serial.unwrap_or_else(dash),
        plain(&about(event)),
    ]
}

/// What an entry is about, in a line.
fn about(event: &Event) -> String {
    match event {
        Event::Issued(issued) => issued.identity.clone(),
        Event::Refused(refused) => {
            let who = refused.identity.as_deref().unwrap_or("(nobody)");
            format!("{}: {who}", refused.reason)
        }
        Event::Revoked(revoked) => match &revoked.subject {
            Subject::Serial(_) => revoked.reason.clone(),
            Subject::Identity(identity) => format!("{}: {identity}", revoked.reason),
        },
        Event::Lifecycle(step) => format!("{}: {}", step.step, step.about),
        Event::TokenMade(made) => made.identity.clone(),
        Event::TokenUsed(used) => used.identity.clone(),
        Event::Admin(admin) => format!("uid {}: {}: {}", admin.uid, admin.command, admin.outcome),
        Event::Takeover(takeover) => format!("{} after {}", takeover.to, takeover.from),
        Event::Restored(restored) => format!("from a backup of {} entries", restored.size),
        Event::CaAdded(added) => format!("{} {}", added.certificate, added.role),
        Event::ModuleTaken(taken) => format!("{} {}", taken.module, taken.source),
        Event::Reinstated(reinstated) => format!("{}: {}", reinstated.reason, reinstated.identity),
        Event::Archived(archived) => format!("up to {} in {}", archived.size, archived.file),
        Event::Unknown(_) => "of a newer version".to_owned(),
    }
}
