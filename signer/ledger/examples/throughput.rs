//! What an entry costs, and whether that depends on how many there are.
//!
//! usage: throughput [--slim] FOLDER [SIZE...]
//!
//! Fills a ledger in FOLDER to each SIZE (10, 100000 and 1000000 if none is given) and measures
//! there: entries a second with group commit, durable and volatile, wall clock and CPU time of
//! this whole process, for each entry. With `--slim`, entries are as short as they can be: for more
//! of them than a disk has room for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{RealClock, at, authority, beginning, entry, issued_to, options};
use credence_ledger::{
    entry::{Asker, Issued},
    octets::Digest,
    port::{Append, Clock, Draft},
    sqlite::{About, Durability, Ledger, Options, Query},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How many entries are measured.
const MEASURED: u64 = 40_000;
/// How many appends wait at once, as many callers would.
const AT_ONCE: usize = 256;

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let draft: fn(u64) -> Draft = match arguments.next_if(|first| first == "--slim") {
        Some(_) => slim,
        None => draft,
    };
    let folder = PathBuf::from(
        arguments
            .next()
            .expect("usage: throughput [--slim] FOLDER [SIZE...]"),
    );
    let mut sizes: Vec<u64> = arguments.map(|size| size.parse().unwrap()).collect();
    if sizes.is_empty() {
        sizes = vec![10, 100_000, 1_000_000];
    }
    let path = folder.join("throughput.db");
    let clock = RealClock::boxed();
    println!("rows        mode      entries/s   µs/entry   cpu µs/entry   entries/commit");
    let mut next = 0;
    for size in sizes {
        next = fill(&path, next, size, draft);
        for durability in [Durability::Durable, Durability::Volatile] {
            next = measure(&path, next, (size, draft), durability, &*clock);
        }
    }
    lookups(&path, next, &*clock);
}

fn open(path: &Path, durability: Durability) -> Ledger {
    let options = Options {
        durability,
        checkpoint_every: 4096,
        ..options()
    };
    Ledger::open(path, &options, authority(RealClock::boxed())).unwrap()
}

/// A certificate for an identity of its own for each: the most that an index can have to do.
fn draft(number: u64) -> Draft {
    let identity = format!("spiffe://example.org/ns/shop/sa/{number:x}");
    entry(number, issued_to(number, &identity, number)).into()
}

/// The same identities and serial numbers, and next to nothing else.
fn slim(number: u64) -> Draft {
    let identity = format!("spiffe://example.org/ns/shop/sa/{number:x}");
    let issued = Issued {
        asker: Asker::default(),
        csr: Vec::new().into(),
        identity,
        profile: "x509-svid".into(),
        permitted_dns_names: Vec::new(),
        subject: None,
        not_before: at(number),
        not_after: at(number + 3600),
        serial: common::serial(number),
        issuer: None,
        module: Digest::of(common::MODULE),
        tbs: Vec::new().into(),
        signature: Vec::new().into(),
        lineage_start: at(number),
        bundle: None,
    };
    entry(number, issued).into()
}

fn fill(path: &Path, from: u64, size: u64, draft: fn(u64) -> Draft) -> u64 {
    let ledger = open(path, Durability::Volatile);
    ledger.append_blocking(beginning()).unwrap();
    let mut number = from;
    while number < size {
        let end = size.min(number + 1000);
        ledger
            .append_blocking((number..end).map(draft).collect())
            .unwrap();
        number = end;
    }
    number
}

fn measure(
    path: &Path,
    from: u64,
    (size, draft): (u64, fn(u64) -> Draft),
    durability: Durability,
    clock: &dyn Clock,
) -> u64 {
    let ledger = open(path, durability);
    // Made before: signing is not what is measured.
    let drafts: Vec<_> = (from..from + MEASURED).map(draft).collect();
    let (wall, cpu) = (clock.elapsed(), cpu_time());
    run(&ledger, drafts);
    let (wall, cpu) = (clock.elapsed() - wall, cpu_time() - cpu);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / MEASURED as f64;
    println!(
        "{size:>9}   {durability:<8?}  {:>9.0}   {:>8.1}   {:>12.1}   {:>14.1}",
        MEASURED as f64 / wall.as_secs_f64(),
        each(wall),
        each(cpu),
        ledger.stats().entries() as f64 / ledger.stats().batches() as f64,
    );
    from + MEASURED
}

/// Keeps `AT_ONCE` appends waiting, each of one entry.
fn run(ledger: &Ledger, drafts: Vec<Draft>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut waiting = std::collections::VecDeque::new();
        for draft in drafts {
            waiting.push_back(ledger.append(vec![draft]));
            if waiting.len() == AT_ONCE {
                waiting.pop_front().unwrap().await.unwrap();
            }
        }
        for one in waiting {
            one.await.unwrap();
        }
    });
}

/// What finding one costs in the whole of it: the oldest, and one that is not there.
fn lookups(path: &Path, entries: u64, clock: &dyn Clock) {
    let ledger = open(path, Durability::Volatile);
    let reader = ledger.reader().unwrap();
    for (what, serial) in [("the oldest", 0), ("none", u64::MAX)] {
        let query = Query::about(About::Serial(common::serial(serial)));
        reader.list(&query).unwrap();
        let start = clock.elapsed();
        let found = reader.list(&query).unwrap().records.len();
        let time = clock.elapsed() - start;
        println!("looking up a serial number among {entries}: {what} ({found}) in {time:?}");
    }
}

/// Of this process, all threads, user and system; in hundredths of a second (Linux).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
