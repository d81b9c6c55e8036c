//! What happens when the record cannot be written: nothing is half-written, everyone is told, and
//! it goes on by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{
    RealClock, TestClock, at, authority, beginning, filled, issue, keys, open, options, until,
    verify,
};
use credence_ledger::{
    checkpoint::CheckpointSigner,
    entry::By,
    port::{Append, AppendError, Cause, Health},
    sqlite::{Ledger, OpenError, Options, Reader, Retire},
};
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

fn impatient() -> Options {
    Options {
        lock_wait: Duration::from_millis(10),
        ..options()
    }
}

fn cause(refusal: Result<impl std::fmt::Debug, AppendError>) -> Cause {
    match refusal {
        Err(AppendError::Unavailable(trouble)) => trouble.cause,
        other => panic!("{other:?}"),
    }
}

fn recovers(ledger: &Ledger) {
    until("recovery", || ledger.health() == Health::Writing);
}

#[test]
fn a_locked_file_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, &impatient(), authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // All of a batch are told, and those after it at once.
    let three: Vec<_> = (1..=3).map(|n| ledger.append(vec![issue(n)])).collect();
    for one in three {
        assert_eq!(cause(block_on(one)), Cause::Locked);
    }
    assert_eq!(cause(ledger.append_blocking(vec![issue(4)])), Cause::Locked);
    let Health::Failing { trouble, .. } = ledger.health() else {
        panic!("{:?}", ledger.health());
    };
    assert!(
        trouble.text.contains("another process holds it"),
        "{trouble}"
    );
    assert!(trouble.text.contains("ledger.db"), "{trouble}");
    other.execute_batch("ROLLBACK").unwrap();
    recovers(&ledger);
    assert_eq!(ledger.append_blocking(vec![issue(5)]).unwrap().first, 3);
    assert_eq!(ledger.stats().entries(), 3);
    drop(ledger);
    assert_eq!(verify(&path).unwrap().issued, 1);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Fills it to its bound; how many certificates are in it.
fn fill(ledger: &Ledger) -> (u64, Cause) {
    for number in 1.. {
        if let Err(error) = ledger.append_blocking(vec![issue(number)]) {
            return (number - 1, cause(Err::<(), _>(error)));
        }
    }
    unreachable!()
}

#[test]
fn a_full_ledger_goes_on_once_it_was_archived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let bounded = Options {
        max_bytes: Some(1 << 20),
        ..options()
    };
    let ledger = Ledger::open(&path, &bounded, authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    let (written, why) = fill(&ledger);
    assert_eq!(why, Cause::Full);
    assert!(written > 100);
    let reader = ledger.reader().unwrap();
    assert_eq!(reader.head().unwrap().size, written + 2);
    assert_eq!(verify(&path).unwrap().issued, written);
    assert!(matches!(ledger.health(), Health::Failing { .. }));
    let retire = Retire {
        to: folder.path().join("archive.db"),
        before: at(1_000_000),
        now: at(1_000_000),
        by: By::Uid(0),
    };
    ledger.archive(&retire, &keys()).unwrap();
    recovers(&ledger);
    until("an append", || {
        ledger.append_blocking(vec![issue(1)]).is_ok()
    });
    drop(ledger);
    let report = verify(&path).unwrap();
    assert!(report.issued >= 1 && report.base > 100, "{report:?}");
}

/// A process that may write files of a certain size only: as on a full disk, writes fail in the
/// middle. Then the limit is raised, and it goes on by itself.
#[test]
fn a_process_that_cannot_write_goes_on_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (mut child, mut orders, mut answers) = start(&path, "ulimit -S -f 2048; trap '' XFSZ; ");
    let mut ask = |order: &str| {
        writeln!(orders, "{order}").unwrap();
        answers.next().unwrap().unwrap()
    };
    let mut good = 0;
    while ask("append") == "good" {
        good += 1;
    }
    assert!(good > 10, "{good}");
    let health = ask("health");
    assert!(health.starts_with("Failing"), "{health}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Fsize).maximum;
    let unlimited = rustix::process::Rlimit {
        current: maximum,
        maximum,
    };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, unlimited).unwrap();
    until("recovery", || ask("health") == "Writing");
    assert_eq!(ask("append"), "good");
    drop(orders);
    assert!(child.wait().unwrap().success());
    assert_eq!(verify(&path).unwrap().issued, good + 1);
}

type Answers = std::io::Lines<BufReader<std::process::ChildStdout>>;

/// This very program again, as a process of its own.
fn start(path: &Path, before: &str) -> (Child, ChildStdin, Answers) {
    let this = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("{before} exec \"$0\" --exact child --nocapture"))
        .arg(this)
        .env("LEDGER", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let orders = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = answers.find(|line| line.as_ref().unwrap().ends_with("ready"));
    ready.unwrap().unwrap();
    (child, orders, answers)
}

/// The other process of the tests above. Nothing by itself: it writes where they say.
#[test]
fn child() {
    let Some(path) = std::env::var_os("LEDGER").map(PathBuf::from) else {
        return;
    };
    let ledger = Ledger::open(&path, &impatient(), authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    println!("ready");
    for (number, order) in (1..).zip(std::io::stdin().lines()) {
        match order.unwrap().as_str() {
            "append" => match ledger.append_blocking(vec![issue(number)]) {
                Ok(_) => println!("good"),
                Err(error) => println!("{error}"),
            },
            "health" => println!("{:?}", ledger.health()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn one_daemon_writes_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (mut child, orders, _answers) = start(&path, "");
    let refusal = Ledger::open(&path, &options(), authority(RealClock::boxed())).unwrap_err();
    let OpenError::Held { holder, .. } = &refusal else {
        panic!("{refusal}");
    };
    assert_eq!(holder, &format!("process {}", child.id()));
    // Reading is free.
    assert_eq!(Reader::open(&path).unwrap().head().unwrap().size, 2);
    drop(orders);
    child.wait().unwrap();
    let ours = open(&path);
    let same = Ledger::open(&path, &options(), authority(RealClock::boxed()));
    assert!(matches!(same, Err(OpenError::Held { .. })));
    drop(ours);
    open(&path);
}

#[test]
fn who_lost_the_lock_writes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let first = open(&path);
    first.append_blocking(beginning()).unwrap();
    // As on storage of two hosts, where the lock does not hold.
    fs::remove_file(folder.path().join("ledger.db.lock")).unwrap();
    let named = Options {
        holder: "the second".into(),
        ..options()
    };
    let second = Ledger::open(&path, &named, authority(RealClock::boxed())).unwrap();
    let fenced = Err(AppendError::Fenced("the second".into()));
    assert_eq!(first.append_blocking(vec![issue(1)]), fenced);
    second.append_blocking(vec![issue(2)]).unwrap();
    assert_eq!(first.append_blocking(vec![issue(3)]), fenced);
    assert_eq!(first.health(), Health::Fenced("the second".into()));
    assert_eq!(
        first.checkpoint_blocking(),
        Err(AppendError::Fenced("the second".into()))
    );
    drop(first);
    second.append_blocking(vec![issue(4)]).unwrap();
    drop(second);
    assert_eq!(verify(&path).unwrap().issued, 2);
}

/// A ledger is its file and those that SQLite keeps beside it while it is open.
fn move_ledger(from: &Path, to: &Path) {
    for beside in ["", "-wal", "-shm"] {
        let name = |path: &Path| PathBuf::from(format!("{}{beside}", path.display()));
        match fs::rename(name(from), name(to)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            moved => moved.unwrap(),
        }
    }
}

#[test]
fn into_a_file_that_is_gone_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, &impatient(), authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    let away = folder.path().join("away.db");
    move_ledger(&path, &away);
    assert_eq!(
        cause(ledger.append_blocking(vec![issue(1)])),
        Cause::Damaged
    );
    // Another in its place is not taken for it: it has an epoch, and a past, of its own.
    let other = folder.path().join("other.db");
    drop(open(&other));
    move_ledger(&other, &path);
    let before = fs::read(&path).unwrap();
    until("the next try", || {
        let tried = ledger.append_blocking(vec![issue(2)]).unwrap_err();
        !tried.to_string().contains("not where it was")
    });
    ledger.append_blocking(vec![issue(3)]).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(ledger);
    assert_eq!(verify(&path).unwrap().entries, 0);
    assert_eq!(verify(&away).unwrap().entries, 2);
}

#[test]
fn a_file_that_was_moved_and_comes_back_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, &impatient(), authority(RealClock::boxed())).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    let away = folder.path().join("away.db");
    move_ledger(&path, &away);
    assert_eq!(
        cause(ledger.append_blocking(vec![issue(1)])),
        Cause::Damaged
    );
    move_ledger(&away, &path);
    recovers(&ledger);
    ledger.append_blocking(vec![issue(2)]).unwrap();
    drop(ledger);
    assert_eq!(verify(&path).unwrap().issued, 1);
}

struct Moody(Arc<AtomicBool>);

impl CheckpointSigner for Moody {
    fn public_key(&self) -> [u8; 32] {
        common::signer().public_key()
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], String> {
        if self.0.load(Ordering::SeqCst) {
            return Err("the token was pulled out".into());
        }
        common::signer().sign(text)
    }
}

#[test]
fn without_the_checkpoint_that_is_due_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let fails = Arc::new(AtomicBool::new(true));
    let mut moody = authority(RealClock::boxed());
    moody.signer = Box::new(Moody(Arc::clone(&fails)));
    let ledger = Ledger::open(&path, &options(), moody).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    for number in 1..=2 {
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    // The fifth entry needs one.
    assert_eq!(cause(ledger.append_blocking(vec![issue(3)])), Cause::Signer);
    fails.store(false, Ordering::SeqCst);
    recovers(&ledger);
    assert_eq!(ledger.append_blocking(vec![issue(3)]).unwrap().first, 5);
}

#[test]
fn entries_that_vanish_are_noticed_when_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), 9);
    let damage = |sql: &str| {
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    // 11 entries and checkpoints at 5, 10 and, at the end, 11.
    damage(
        "DELETE FROM checkpoints WHERE size = 11; UPDATE entries SET body = x'80' WHERE seq = 11",
    );
    let refusal = Ledger::open(&path, &options(), authority(Box::<TestClock>::default()));
    let Err(OpenError::Damaged { fault, .. }) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(fault.seq, 11);
    damage("DELETE FROM entries WHERE seq >= 10");
    let refusal = Ledger::open(&path, &options(), authority(Box::<TestClock>::default()));
    assert!(
        matches!(refusal, Err(OpenError::Damaged { .. })),
        "{refusal:?}"
    );
}
