//! A process that appends under load is killed, a hundred times: whatever was acknowledged is
//! there, and the chain verifies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{RealClock, authority, beginning, issue, options, verify};
use credence_ledger::sqlite::{Ledger, Previous, Reader};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const ROUNDS: u64 = 100;
/// How many threads append.
const THREADS: u64 = 4;

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        // No two rounds end at the same point: after so many answers, which come in batches.
        let answers = 1 + (round * 7919) % 61;
        kill_after(&path, answers, &mut acknowledged);
        check(&path, &acknowledged, round == ROUNDS / 2);
    }
    assert!(acknowledged.len() as u64 > ROUNDS * 10);
    let report = verify(&path).unwrap();
    assert!(report.issued >= acknowledged.len() as u64);
    let ledger = Ledger::open(&path, &options(), authority(RealClock::boxed())).unwrap();
    assert!(matches!(ledger.previous(), Previous::Left(who) if who.starts_with("process ")));
}

/// Kills it in the midst of writing, and reads what it still had to say.
fn kill_after(path: &Path, answers: u64, acknowledged: &mut BTreeMap<u64, String>) {
    let mut child = start(path);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    for line in lines {
        let Ok(line) = line else { break };
        // The last line may be cut.
        let Some((seq, hash)) = line
            .strip_prefix("done ")
            .and_then(|rest| rest.strip_suffix('.'))
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let before = acknowledged.insert(seq.parse().unwrap(), hash.to_owned());
        assert_eq!(before, None, "entry {seq} was acknowledged twice");
        count += 1;
        if count == answers {
            child.kill().unwrap();
        }
    }
    assert!(count >= answers, "it ended by itself");
    child.wait().unwrap();
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("LEDGER", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn check(path: &Path, acknowledged: &BTreeMap<u64, String>, whole: bool) {
    let reader = Reader::open(path).unwrap();
    let some = if whole { acknowledged.len() } else { 100 };
    for (seq, hash) in acknowledged.iter().rev().take(some) {
        let record = reader.entry(*seq).unwrap().expect("it was acknowledged");
        assert_eq!(&record.hash.to_string(), hash, "entry {seq}");
    }
    // Otherwise the next one to open it verifies its tail.
    if whole {
        verify(path).unwrap();
    }
}

/// The process that is killed. Nothing by itself: it writes where the test above says.
#[test]
fn child() {
    let Some(path) = std::env::var_os("LEDGER").map(PathBuf::from) else {
        return;
    };
    let ledger = Ledger::open(&path, &options(), authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0.. {
                    let receipt = ledger
                        .append_blocking(vec![issue(number * THREADS + thread)])
                        .unwrap();
                    let (seq, hash) = (receipt.first, receipt.head.hash);
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "done {seq} {hash}.").unwrap();
                }
            });
        }
    });
}
