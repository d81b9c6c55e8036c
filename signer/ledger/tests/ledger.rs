//! Writing and finding.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{
    DOMAIN, RealClock, TestClock, asker, at, authority, beginning, entry, every_kind, filled,
    identity, issue, issued, issued_to, keys, open, options, refused, revoked, serial, until,
    verify,
};
use credence_ledger::{
    chain::{Head, Origin},
    entry::{By, Event, Kind, LONGEST, Refused, Subject, TokenUsed},
    octets::Digest,
    port::{Append, AppendError, Draft, Health},
    sqlite::{About, Ledger, OpenError, Options, Order, Page, Previous, Query, ReadError, Reader},
};
use std::{os::unix::fs::PermissionsExt, time::Duration};

fn seqs(page: &Page) -> Vec<u64> {
    page.records.iter().map(|record| record.seq).collect()
}

#[test]
fn entries_come_to_stand_in_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    assert_eq!(ledger.previous(), &Previous::New);
    let receipt = ledger.append_blocking(vec![issue(1), issue(2)]).unwrap();
    let origin = Origin::new(DOMAIN, [7; 16]).unwrap();
    let (one, two) = (issue(1).entry().encode(), issue(2).entry().encode());
    let head = Head::genesis(&origin).then(&one).then(&two);
    assert_eq!((receipt.first, receipt.head), (1, head));
    let reader = ledger.reader().unwrap();
    assert_eq!(reader.head().unwrap(), head);
    let record = reader.entry(2).unwrap().unwrap();
    assert_eq!(record.entry, *issue(2).entry());
    assert_eq!(record.hash, head.hash);
    assert_eq!(reader.entry(3).unwrap(), None);
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), 12);
    let before = Reader::open(&path).unwrap().head().unwrap();
    let ledger = open(&path);
    assert_eq!(ledger.previous(), &Previous::Closed);
    let receipt = ledger.append_blocking(vec![issue(13)]).unwrap();
    assert_eq!(receipt.first, before.size + 1);
    drop(ledger);
    let report = verify(&path).unwrap();
    assert_eq!((report.entries, report.issued), (15, 13));
    assert_eq!((report.signatures, report.replayed), (13, 13));
    assert_eq!((report.unknown, report.unsigned), (0, 0));
    assert!(report.checkpoints >= 3);
}

#[tokio::test]
async fn the_port_is_asynchronous() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    let port: &dyn Append = &ledger;
    let one = port.append(vec![issue(1)]);
    let two = port.append(vec![issue(2)]);
    assert_eq!(one.await.unwrap().first, 1);
    assert_eq!(two.await.unwrap().first, 2);
    assert_eq!(port.health(), Health::Writing);
}

#[tokio::test]
async fn what_waits_together_is_written_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let patient = Options {
        lock_wait: Duration::from_secs(60),
        ..options()
    };
    let ledger = Ledger::open(&path, &patient, authority(Box::<TestClock>::default())).unwrap();
    // While another holds the file, they queue up; then they are one batch or two.
    let holder = rusqlite::Connection::open(ledger.path()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let all: Vec<_> = (1..=200).map(|n| ledger.append(vec![issue(n)])).collect();
    holder.execute_batch("ROLLBACK").unwrap();
    for (number, one) in (1..).zip(all) {
        assert_eq!(one.await.unwrap().first, number);
    }
    assert_eq!(ledger.stats().entries(), 200);
    assert!(
        ledger.stats().batches() <= 3,
        "{}",
        ledger.stats().batches()
    );
}

#[tokio::test]
async fn what_comes_soon_after_goes_along_where_others_append_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let gathering = Options {
        gather: Duration::from_secs(1),
        lock_wait: Duration::from_secs(60),
        ..options()
    };
    let ledger = Ledger::open(&path, &gathering, authority(RealClock::boxed())).unwrap();
    let holder = rusqlite::Connection::open(ledger.path()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first is alone, and is begun at once; the second waits behind it.
    let first = ledger.append(vec![issue(1)]);
    until("the writer has the first", || ledger.stats().begun() == 1);
    let second = ledger.append(vec![issue(2)]);
    holder.execute_batch("ROLLBACK").unwrap();
    first.await.unwrap();
    let third = ledger.append(vec![issue(3)]);
    second.await.unwrap();
    third.await.unwrap();
    assert_eq!(ledger.stats().batches(), 2);
}

#[tokio::test]
async fn who_appends_alone_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let for_ever = Options {
        gather: Duration::from_secs(100_000),
        ..options()
    };
    let ledger = Ledger::open(&path, &for_ever, authority(RealClock::boxed())).unwrap();
    for number in 1..=5 {
        let receipt = ledger.append(vec![issue(number)]).await.unwrap();
        assert_eq!(receipt.first, number);
    }
    assert_eq!(ledger.stats().batches(), 5);
}

#[test]
fn a_checkpoint_covers_so_many_entries_or_so_much_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = TestClock::default();
    let ledger = Ledger::open(&path, &options(), authority(Box::new(clock.clone()))).unwrap();
    let last = || {
        let note = ledger.reader().unwrap().last_checkpoint().unwrap();
        note.map(|note| note.verify(&keys()).unwrap().head.size)
    };
    ledger.append_blocking(vec![issue(1)]).unwrap();
    assert_eq!(last(), None);
    for number in 2..=5 {
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    assert_eq!(last(), Some(5));
    ledger.append_blocking(vec![issue(6)]).unwrap();
    assert_eq!(last(), Some(5));
    clock.advance(60);
    ledger.append_blocking(vec![issue(7)]).unwrap();
    assert_eq!(last(), Some(7));
    let note = ledger.checkpoint_blocking().unwrap();
    assert_eq!(note, None);
    ledger.append_blocking(vec![issue(8)]).unwrap();
    let note = ledger.checkpoint_blocking().unwrap().unwrap();
    let checkpoint = note.verify(std::slice::from_ref(ledger.key())).unwrap();
    assert_eq!((checkpoint.head.size, checkpoint.time), (8, at(60)));
}

#[test]
fn nothing_at_all_can_be_appended() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, &options(), authority(Box::new(clock.clone()))).unwrap();
    ledger.append_blocking(vec![issue(1)]).unwrap();
    ledger.checkpoint_blocking().unwrap();
    clock.advance(60);
    // A checkpoint is due, but there is nothing new to sign.
    ledger.append_blocking(Vec::new()).unwrap();
    assert_eq!(ledger.health(), Health::Writing);
}

#[test]
fn entries_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    ledger.append_blocking(beginning()).unwrap();
    for number in 1..=20 {
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    let revocation = entry(21, revoked(Subject::Identity(identity(3)), None));
    ledger.append_blocking(vec![revocation.into()]).unwrap();
    let reader = ledger.reader().unwrap();
    let list = |query: &Query| seqs(&reader.list(query).unwrap());
    // Numbers 3, 10 and 17, two further on, and the revocation.
    let about = Query::about(About::Identity(identity(3)));
    assert_eq!(list(&about), [23, 19, 12, 5]);
    let oldest = Query {
        order: Order::Oldest,
        ..about.clone()
    };
    assert_eq!(list(&oldest), [5, 12, 19, 23]);
    let kinds = vec![Kind::ISSUED];
    assert_eq!(list(&Query { kinds, ..about }), [19, 12, 5]);
    assert_eq!(list(&Query::about(About::Serial(serial(9)))), [11]);
    assert!(list(&Query::about(About::Serial(serial(99)))).is_empty());
    let module = About::Object(Digest::of(common::MODULE));
    assert_eq!(list(&Query::about(module)), [2]);
    assert_eq!(list(&Query::kind(Kind::REVOKED)), [23]);
    let several = Query {
        kinds: vec![Kind::REVOKED, Kind::CA_ADDED, Kind::MODULE_TAKEN],
        ..Query::default()
    };
    assert_eq!(list(&several), [23, 2, 1]);
    let between = Query {
        from: Some(at(4)),
        until: Some(at(7)),
        ..Query::default()
    };
    assert_eq!(list(&between), [8, 7, 6]);
    let ending = Query {
        ends_before: Some(at(3600 + 3)),
        order: Order::Oldest,
        ..Query::default()
    };
    assert_eq!(list(&ending), [3, 4]);
}

#[test]
fn pages_follow_each_other_in_every_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), 30);
    let reader = Reader::open(&path).unwrap();
    let queries = [
        Query::default(),
        Query {
            from: Some(at(0)),
            ..Query::default()
        },
        Query {
            ends_from: Some(at(0)),
            ..Query::default()
        },
        Query::about(About::Identity(identity(1))),
        Query {
            kinds: vec![Kind::CA_ADDED, Kind::MODULE_TAKEN],
            ..Query::default()
        },
    ];
    for query in queries {
        for order in [Order::Newest, Order::Oldest] {
            let whole = Query {
                order,
                ..query.clone()
            };
            let expected = seqs(&reader.list(&whole).unwrap());
            let mut found = Vec::new();
            let mut next = Query { limit: 3, ..whole };
            loop {
                let page = reader.list(&next).unwrap();
                assert!(page.records.len() <= 3);
                found.extend(seqs(&page));
                match page.next {
                    Some(_) => next.after = page.next,
                    None => break,
                }
            }
            assert!(!expected.is_empty());
            assert_eq!(found, expected, "{query:?}");
        }
    }
}

#[test]
fn identities_are_found_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let rare = |n| -> Draft { entry(n, issued_to(n, "spiffe://example.org/rare", n)).into() };
    // A segment has 16,384 entries: the rare identity is in the first and in the third.
    for n in [1, 40_000] {
        ledger.append_blocking(vec![rare(n)]).unwrap();
        let small: Draft = entry(n, refused_small()).into();
        ledger.append_blocking(vec![small; 17_000]).unwrap();
        ledger.append_blocking(vec![issue(n + 1)]).unwrap();
    }
    let reader = ledger.reader().unwrap();
    let mut query = Query::about(About::Identity("spiffe://example.org/rare".into()));
    assert_eq!(seqs(&reader.list(&query).unwrap()), [17_003, 1]);
    query.order = Order::Oldest;
    query.limit = 1;
    let first = reader.list(&query).unwrap();
    query.after = first.next;
    assert_eq!(seqs(&first), [1]);
    assert_eq!(seqs(&reader.list(&query).unwrap()), [17_003]);
    // More of one than are looked at for a page: the page is short, and goes on.
    let many = Query {
        kinds: vec![Kind::ISSUED],
        ..Query::about(About::Identity("spiffe://example.org/many".into()))
    };
    let page = reader.list(&many).unwrap();
    assert!(page.records.is_empty() && page.next.is_some());
    let rest = Query {
        after: page.next,
        ..many
    };
    assert!(reader.list(&rest).unwrap().next.is_some());
}

fn refused_small() -> Refused {
    Refused {
        identity: Some("spiffe://example.org/many".into()),
        csr: None,
        detail: String::new(),
        asker: credence_ledger::entry::Asker::default(),
        ..refused()
    }
}

#[test]
fn a_daemon_learns_what_it_has_to_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    for entry in every_kind()
        .into_iter()
        .filter(|e| e.event.kind() != Kind::TOKEN_USED)
    {
        ledger.append_blocking(vec![entry.into()]).unwrap();
    }
    let later = issued_to(50, &identity(1), 100);
    ledger
        .append_blocking(vec![entry(100, later).into()])
        .unwrap();
    let reader = ledger.reader().unwrap();
    let live = |seconds| {
        let mut live = Vec::new();
        reader
            .live_leaves(at(seconds), &mut |leaf| live.push(leaf.serial))
            .unwrap();
        live
    };
    assert_eq!(live(0), [serial(1), serial(50)]);
    assert_eq!(live(3601), [serial(1), serial(50)]);
    assert_eq!(live(3602), [serial(50)]);
    assert_eq!(live(3701), []);
    let revoked: Vec<_> = reader.revocations().unwrap();
    assert_eq!(revoked[0].subject, Subject::Serial(serial(1)));
    assert_eq!(revoked[1].subject, Subject::Identity(identity(3)));
    assert_eq!((revoked[1].time, &revoked[1].by), (at(4), &By::Uid(0)));
    let token = Digest::of(b"secret");
    assert!(!reader.tokens(at(0)).unwrap()[0].used);
    assert_eq!(reader.tokens(at(901)).unwrap(), []);
    let used = TokenUsed {
        token,
        identity: identity(4),
        expires: at(900),
    };
    ledger.append_blocking(vec![entry(8, used).into()]).unwrap();
    let tokens = reader.tokens(at(900)).unwrap();
    assert!(tokens[0].used && tokens[0].token == token);
    let counts = reader.counts().unwrap();
    assert_eq!((counts["issued"], counts["revoked"]), (2, 2));
    assert_eq!(counts.values().sum::<u64>(), reader.head().unwrap().size);
    let missing = reader.object(&Digest::of(b"none"));
    assert!(matches!(missing, Err(ReadError::NoObject { .. })));
}

#[test]
fn what_is_too_long_is_refused_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    let mut long = issued(1);
    long.csr = vec![0; LONGEST].into();
    let refusal = ledger.append_blocking(vec![issue(2), entry(1, long).into()]);
    assert!(
        matches!(refusal, Err(AppendError::TooLong(_))),
        "{refusal:?}"
    );
    assert_eq!(ledger.append_blocking(vec![issue(2)]).unwrap().first, 1);
}

#[test]
fn a_full_queue_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    for small in [
        Options {
            queue: 2,
            batch: 1,
            lock_wait: Duration::from_secs(60),
            ..options()
        },
        Options {
            queue_bytes: 5000,
            lock_wait: Duration::from_secs(60),
            ..options()
        },
    ] {
        let ledger = Ledger::open(&path, &small, authority(Box::<TestClock>::default())).unwrap();
        let holder = rusqlite::Connection::open(&path).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let waiting: Vec<_> = (1..=8).map(|n| ledger.append(vec![issue(n)])).collect();
        holder.execute_batch("ROLLBACK").unwrap();
        let done: Vec<_> = waiting.into_iter().map(block_on).collect();
        let busy = done
            .iter()
            .filter(|d| **d == Err(AppendError::Busy))
            .count();
        let good = done.iter().filter(|d| d.is_ok()).count();
        assert!(busy >= 3 && busy + good == 8, "{done:?}");
        assert_eq!(ledger.stats().busy(), u64::try_from(busy).unwrap());
    }
    verify_chain(&path);
}

fn verify_chain(path: &std::path::Path) {
    let checks = &keys();
    let checks = credence_ledger::verify::Checks::chain(checks);
    Reader::open(path)
        .unwrap()
        .verify(checks, &mut |_| {})
        .unwrap();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn files_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        Ledger::open(
            &folder.path().join(name),
            &options(),
            authority(Box::<TestClock>::default()),
        )
    };
    std::fs::write(
        folder.path().join("text"),
        "not a database, but long enough to be one".repeat(99),
    )
    .unwrap();
    assert!(matches!(open("text"), Err(OpenError::Foreign { .. })));
    let other = |name: &str, sql: &str| {
        let conn = rusqlite::Connection::open(folder.path().join(name)).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    other("other", "CREATE TABLE t (a)");
    assert!(matches!(open("other"), Err(OpenError::Foreign { .. })));
    drop(open("ours").unwrap());
    other(
        "ours",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM lookup; END",
    );
    let refusal = open("ours").unwrap_err();
    assert!(
        refusal.to_string().contains("its tables were changed"),
        "{refusal}"
    );
    drop(open("newer").unwrap());
    other("newer", "PRAGMA user_version = 2");
    assert!(matches!(
        open("newer"),
        Err(OpenError::Newer { found: 2, .. })
    ));
    let newer = Reader::open(&folder.path().join("newer"));
    assert!(matches!(newer, Err(ReadError::Open(_))));
    drop(open("domain").unwrap());
    let mut elsewhere = authority(Box::<TestClock>::default());
    elsewhere.trust_domain = "example.com";
    let refusal = Ledger::open(&folder.path().join("domain"), &options(), elsewhere);
    assert!(matches!(refusal, Err(OpenError::OtherDomain { .. })));
    let refusal = open("no/folder").unwrap_err();
    assert!(matches!(refusal, OpenError::Io { .. }), "{refusal}");
    assert!(Reader::open(&folder.path().join("missing")).is_err());
}

#[test]
fn another_key_signs_on_if_the_former_one_is_named() {
    use credence_ledger::checkpoint::{CheckpointSigner, MemorySigner};
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), 5);
    let former = [common::signer().public_key()];
    let with = |former_keys: &'static [[u8; 32]]| {
        let mut authority = authority(Box::<TestClock>::default());
        authority.signer = Box::new(MemorySigner::new(&zeroize::Zeroizing::new([43; 32])));
        authority.former_keys = former_keys;
        Ledger::open(&path, &options(), authority)
    };
    assert!(matches!(with(&[]), Err(OpenError::Damaged { .. })));
    let ledger = with(Box::leak(Box::new(former))).unwrap();
    ledger.append_blocking(vec![issue(6)]).unwrap();
    let new = ledger.key().clone();
    drop(ledger);
    let both = [keys(), vec![new]].concat();
    let checks = credence_ledger::verify::Checks::chain(&both);
    Reader::open(&path)
        .unwrap()
        .verify(checks, &mut |_| {})
        .unwrap();
    let one = keys();
    let checks = credence_ledger::verify::Checks::chain(&one);
    assert!(
        Reader::open(&path)
            .unwrap()
            .verify(checks, &mut |_| {})
            .is_err()
    );
    // Whoever asked is in it, and no secret.
    assert!(matches!(
        &Reader::open(&path).unwrap().entry(3).unwrap().unwrap().entry.event,
        Event::Issued(issued) if issued.asker == asker()
    ));
}
