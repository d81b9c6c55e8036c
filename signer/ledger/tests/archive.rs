//! Archives, backups, exports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{
    TestClock, TestReplay, TestSignatures, at, authority, beginning, entry, every_kind, filled,
    identity, issue, issued, keys, open, options, reinstated, revoked, serial, token_made, until,
    verify, wrong,
};
use credence_ca::validity::Time;
use credence_ledger::{
    chain::{Head, Origin},
    checkpoint::{CheckpointSigner, Note},
    entry::{By, Event, Kind, Subject, TokenUsed},
    octets::Digest,
    port::Append,
    sqlite::{
        About, ArchiveError, Authority, BackupError, Ledger, Options, Order, Previous, Query,
        Reader, Retire, restore,
    },
    verify::{Base, Checks, Extent, Objects, Row, Verifier, Wrong},
};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

struct World {
    folder: tempfile::TempDir,
    path: PathBuf,
    clock: TestClock,
    ledger: Ledger,
}

/// Two objects; certificates 1 to 20, a second apart, each for an hour; a checkpoint for each five.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = TestClock::default();
    let ledger = Ledger::open(&path, &options(), authority(Box::new(clock.clone()))).unwrap();
    ledger.append_blocking(beginning()).unwrap();
    for number in 1..=20 {
        clock.advance(1);
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    World {
        folder,
        path,
        clock,
        ledger,
    }
}

impl World {
    fn archive(&self, name: &str, before: u64, now: u64) -> Result<PathBuf, ArchiveError> {
        let to = self.folder.path().join(name);
        let retire = Retire {
            to: to.clone(),
            before: at(before),
            now: at(now),
            by: By::Uid(0),
        };
        self.ledger.archive(&retire, &keys()).map(|_| to)
    }
}

#[test]
fn an_archive_verifies_on_its_own_and_the_ledger_without_it() {
    let world = world();
    let whole = verify(&world.path).unwrap();
    // Checkpoints at 5, 10, 15, 20, at 3, 8, 13 and 18 seconds. Certificates up to 8 have ended.
    let archive = world.archive("old.db", 14, 3609).unwrap();
    let report = verify(&archive).unwrap();
    assert_eq!((report.extent, report.base), (Extent::Archive, 0));
    assert_eq!(
        (report.entries, report.replayed, report.unsigned),
        (15, 13, 0)
    );
    let report = verify(&world.path).unwrap();
    assert_eq!((report.extent, report.base), (Extent::Live, 15));
    // 16 to 22, and the archive's entry; and carried over the CA and certificates 9 to 13.
    assert_eq!((report.entries, report.carried), (8, 6));
    assert_eq!(report.issued, 7 + 5);
    assert_eq!(report.replayed, 12);
    assert_eq!(whole.head.size + 1, report.head.size);
    let refusal = Ledger::open(&archive, &options(), authority(Box::<TestClock>::default()));
    assert!(matches!(
        refusal,
        Err(credence_ledger::sqlite::OpenError::Archive(_))
    ));
}

#[test]
fn what_still_counts_is_found_after_archiving() {
    let world = world();
    let token = Digest::of(b"secret");
    let used = TokenUsed {
        token,
        identity: identity(4),
        expires: at(900),
    };
    for event in [
        Event::from(revoked(Subject::Serial(serial(19)), Some(at(3619)))),
        revoked(Subject::Serial(serial(1)), Some(at(3601))).into(),
        revoked(Subject::Identity(identity(6)), None).into(),
        reinstated(identity(6)).into(),
        token_made(token, By::Itself).into(),
        used.into(),
    ] {
        world
            .ledger
            .append_blocking(vec![entry(20, event).into()])
            .unwrap();
    }
    world.ledger.checkpoint_blocking().unwrap();
    world.archive("old.db", 1000, 800).unwrap();
    let reader = Reader::open(&world.path).unwrap();
    let facts = |now| {
        let mut live = Vec::new();
        reader
            .live_leaves(at(now), &mut |leaf| live.push(leaf.serial))
            .unwrap();
        let subjects = |r: credence_ledger::sqlite::Revocation| r.subject;
        let revoked: Vec<_> = reader
            .revocations()
            .unwrap()
            .into_iter()
            .map(subjects)
            .collect();
        (live.len(), revoked.len(), reader.tokens(at(now)).unwrap())
    };
    let (live, revoked, tokens) = facts(800);
    assert_eq!((live, revoked), (20, 3));
    assert!(tokens[0].used);
    assert_eq!(lineage(&reader, 15), Some(at(15)));
    until_swept(&world.path);
    assert_eq!(facts(800).0, 20);
    // The next one leaves less behind.
    world.clock.advance(10_000);
    world.ledger.append_blocking(vec![issue(30)]).unwrap();
    world.ledger.checkpoint_blocking().unwrap();
    world.archive("older.db", 20_000, 3610).unwrap();
    until_swept(&world.path);
    let lifted = reader.reinstatements().unwrap();
    assert_eq!(
        lifted[0].identity,
        identity(6),
        "or it would be revoked again"
    );
    let (live, revoked, tokens) = facts(3610);
    assert_eq!((live, revoked, tokens.len()), (12, 2, 0));
    assert!(
        reader
            .list(&Query::about(About::Serial(serial(1))))
            .unwrap()
            .records
            .is_empty()
    );
    assert_eq!(lineage(&reader, 1), None);
    assert_eq!(lineage(&reader, 30), Some(at(30)));
    verify(&world.path).unwrap();
    let second = verify(&world.folder.path().join("older.db")).unwrap();
    assert_eq!(second.base, 28);
    // Both archives together are all that there was.
    let first = verify(&world.folder.path().join("old.db")).unwrap();
    assert_eq!(first.head.size, second.base);
    let counts = reader.counts().unwrap();
    let listed = reader
        .list(&Query {
            limit: 1000,
            ..Query::default()
        })
        .unwrap();
    assert_eq!(counts.values().sum::<u64>(), listed.records.len() as u64);
}

/// Of the certificate with this number.
fn lineage(reader: &Reader, number: u64) -> Option<Time> {
    let issued = issued(number);
    let certificate = Digest::of(&issued.certificate().unwrap());
    reader
        .lineage_of(&issued.serial, &certificate, issued.not_after)
        .unwrap()
}

/// The rows of what was archived are removed little by little.
fn until_swept(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let left = "SELECT (SELECT count(*) FROM entries WHERE seq NOT IN carried AND seq <= base_size)
                     + (SELECT count(*) FROM lookup WHERE seq NOT IN carried AND seq <= base_size)
                FROM ledger";
    until("the removal", || {
        conn.query_row(left, [], |row| row.get::<_, u64>(0))
            .unwrap()
            == 0
    });
}

#[test]
fn what_was_left_behind_cannot_be_changed() {
    let world = world();
    world.archive("old.db", 14, 3609).unwrap();
    until_swept(&world.path);
    drop(world.ledger);
    for change in [
        "DELETE FROM carried WHERE seq = 12",
        "DELETE FROM entries WHERE seq = 12",
        "DELETE FROM entries WHERE seq = 12; DELETE FROM carried WHERE seq = 12; DELETE FROM lookup WHERE seq = 12",
        "UPDATE entries SET hash = zeroblob(32) WHERE seq = 12",
        "UPDATE entries SET seq = 3 WHERE seq = 12; UPDATE carried SET seq = 3 WHERE seq = 12; UPDATE lookup SET seq = 3 WHERE seq = 12",
        "INSERT INTO carried VALUES (16)",
        "INSERT INTO carried VALUES (1000)",
    ] {
        let copy = world.folder.path().join("copy.db");
        std::fs::copy(&world.path, &copy).unwrap();
        Connection::open(&copy)
            .unwrap()
            .execute_batch(change)
            .unwrap();
        let wrong = wrong(&copy);
        assert!(
            matches!(wrong, Wrong::Carried | Wrong::Lookup),
            "{change}: {wrong}"
        );
    }
}

#[test]
fn an_archive_is_whole_and_nothing_more() {
    let world = world();
    let archive = world.archive("old.db", 14, 3609).unwrap();
    for change in [
        "DELETE FROM entries WHERE seq = 15; DELETE FROM lookup WHERE seq = 15; DELETE FROM checkpoints WHERE size = 15",
        "DELETE FROM checkpoints WHERE size = 15",
    ] {
        let copy = world.folder.path().join("copy.db");
        std::fs::copy(&archive, &copy).unwrap();
        Connection::open(&copy)
            .unwrap()
            .execute_batch(change)
            .unwrap();
        assert_eq!(wrong(&copy), Wrong::Unsealed, "{change}");
    }
}

#[test]
fn archiving_is_refused_where_it_cannot_be_right() {
    let world = world();
    assert!(matches!(
        world.archive("none.db", 3, 0),
        Err(ArchiveError::Nothing(_))
    ));
    std::fs::write(world.folder.path().join("there.db"), "something").unwrap();
    assert!(matches!(
        world.archive("there.db", 14, 0),
        Err(ArchiveError::Write { .. })
    ));
    assert_eq!(
        std::fs::read(world.folder.path().join("there.db")).unwrap(),
        b"something"
    );
    // What is damaged is not archived, and nothing is left of the attempt.
    let damage = "UPDATE entries SET body = x'80' WHERE seq = 3";
    Connection::open(&world.path)
        .unwrap()
        .execute_batch(damage)
        .unwrap();
    assert!(matches!(
        world.archive("bad.db", 14, 0),
        Err(ArchiveError::Read(_))
    ));
    let left: Vec<_> = std::fs::read_dir(world.folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("bad"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(world.ledger.reader().unwrap().base().unwrap().head.size, 0);
}

#[test]
fn a_ledger_goes_on_after_an_archive_and_a_restart() {
    let world = world();
    world.archive("old.db", 1000, 100_000).unwrap();
    let head = world.ledger.reader().unwrap().head().unwrap();
    drop(world.ledger);
    let ledger = open(&world.path);
    let receipt = ledger.append_blocking(vec![issue(99)]).unwrap();
    assert_eq!(receipt.first, head.size + 1);
    drop(ledger);
    verify(&world.path).unwrap();
}

struct Mute;

impl CheckpointSigner for Mute {
    fn public_key(&self) -> [u8; 32] {
        common::signer().public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], String> {
        Err("the token was pulled out".into())
    }
}

#[test]
fn a_backup_is_made_while_the_ledger_is_written_and_can_be_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), 50);
    let ledger = open(&path);
    let copy = folder.path().join("backup.db");
    let report = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 100..200 {
                ledger.append_blocking(vec![issue(number)]).unwrap();
            }
        });
        let report = ledger.reader().unwrap().backup(&copy, &keys()).unwrap();
        writing.join().unwrap();
        report
    });
    assert!(report.head.size >= 52);
    drop(ledger);
    assert_eq!(verify(&copy).unwrap().head, report.head);
    assert!(!folder.path().join("backup.db-wal").exists());
    let to = folder.path().join("restored.db");
    let order = || (at(7), By::Uid(3));
    let fresh = || authority(Box::<TestClock>::default());
    // Where that it was restored cannot be written, nothing is there that somebody might open.
    let at_once = Options {
        checkpoint_every: 1,
        ..options()
    };
    let mute = Authority {
        signer: Box::new(Mute),
        ..fresh()
    };
    let refusal = restore(&copy, &to, &at_once, mute, &keys(), order());
    assert!(matches!(refusal, Err(BackupError::Append(_))));
    assert!(!to.exists());
    let receipt = restore(&copy, &to, &options(), fresh(), &keys(), order()).unwrap();
    assert_eq!(receipt.first, report.head.size + 1);
    let beside = |name: &str| folder.path().join(name).exists();
    assert!(!beside("restored.db.part") && !beside("restored.db.part.lock"));
    let restored = open(&to);
    assert_eq!(restored.previous(), &Previous::Closed);
    let last = restored
        .reader()
        .unwrap()
        .entry(receipt.first)
        .unwrap()
        .unwrap();
    let Event::Restored(event) = last.entry.event else {
        panic!("{last:?}");
    };
    assert_eq!(
        (event.size, event.head),
        (report.head.size, report.head.hash)
    );
    restored.append_blocking(vec![issue(500)]).unwrap();
    drop(restored);
    verify(&to).unwrap();
    // Where something is, nothing is restored; nor from what does not verify.
    let refusal = restore(&copy, &to, &options(), fresh(), &keys(), order());
    assert!(matches!(refusal, Err(BackupError::Write { .. })));
    let refusal = Reader::open(&path).unwrap().backup(&to, &keys());
    assert!(matches!(refusal, Err(BackupError::Write { .. })));
    Connection::open(&copy)
        .unwrap()
        .execute_batch("DELETE FROM entries WHERE seq = 9")
        .unwrap();
    let elsewhere = folder.path().join("elsewhere.db");
    let refusal = restore(&copy, &elsewhere, &options(), fresh(), &keys(), order());
    assert!(matches!(refusal, Err(BackupError::Read(_))));
    assert!(!elsewhere.exists());
}

#[test]
fn no_ledger_goes_on_from_an_archive() {
    let world = world();
    let archive = world.archive("old.db", 14, 3609).unwrap();
    let to = world.folder.path().join("restored.db");
    let order = (at(7), By::Uid(3));
    let authority = authority(Box::<TestClock>::default());
    let refusal = restore(&archive, &to, &options(), authority, &keys(), order);
    assert!(matches!(refusal, Err(BackupError::Archive(_))));
}

/// A verifier that has the lines alone.
#[test]
fn an_export_has_all_that_verifying_needs() {
    let world = world();
    for entry in every_kind() {
        world.ledger.append_blocking(vec![entry.into()]).unwrap();
    }
    world.archive("old.db", 14, 3609).unwrap();
    let mut out = Vec::new();
    let head = world.ledger.reader().unwrap().export(&mut out).unwrap();
    let lines: Vec<serde_json::Value> = out
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let hash = |value: &serde_json::Value| {
        let octets: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&value.as_str().unwrap()[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        Digest::from_octets(&octets).unwrap()
    };
    let first = &lines[0];
    assert_eq!(
        (text(&first["type"]), text(&first["extent"])),
        ("ledger".into(), "live".into())
    );
    let base = Base {
        origin: Origin::parse(&text(&first["origin"])).unwrap(),
        head: Head {
            size: first["base"]["size"].as_u64().unwrap(),
            hash: hash(&first["base"]["hash"]),
        },
        note: Some(text(&first["base_checkpoint"])),
        extent: Extent::Live,
    };
    let (keys, mut replay) = (keys(), TestReplay::default());
    let checks = Checks {
        signatures: Some(&TestSignatures),
        replay: Some(&mut replay),
        ..Checks::chain(&keys)
    };
    let mut verifier = Verifier::new(base.clone(), checks).unwrap();
    let mut objects = Few(BTreeMap::new());
    for line in &lines[1..] {
        match text(&line["type"]).as_str() {
            "object" => {
                let octets = STANDARD.decode(text(&line["octets"])).unwrap();
                objects.0.insert(hash(&line["sha256"]), octets);
            }
            "entry" => {
                let row = row(line, hash(&line["hash"]));
                if row.seq <= base.head.size {
                    verifier.carried(&row, &objects).unwrap();
                } else {
                    verifier.entry(&row, &objects).unwrap();
                }
            }
            "checkpoint" => {
                let note = text(&line["note"]);
                let size = Note::parse(&note).unwrap().unverified().head.size;
                verifier.checkpoint(size, &note).unwrap();
            }
            other => panic!("{other}"),
        }
    }
    let report = verifier.finish().unwrap();
    assert_eq!(report.head, head);
    assert_eq!(report, verify(&world.path).unwrap());
}

struct Few(BTreeMap<Digest, Vec<u8>>);

impl Objects for Few {
    fn object(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(digest).cloned())
    }
}

fn row(line: &serde_json::Value, hash: Digest) -> Row {
    let body = STANDARD.decode(line["body"].as_str().unwrap()).unwrap();
    let entry = credence_ledger::entry::Entry::decode(&body).unwrap();
    let is = credence_ledger::projection::Projection::of(&entry);
    assert_eq!(line["time"], entry.time.to_string());
    assert_eq!(line["kind"], entry.event.kind().to_string());
    assert_eq!(line["event"], serde_json::to_value(&entry.event).unwrap());
    Row {
        seq: line["seq"].as_u64().unwrap(),
        hash,
        kind: is.kind.number(),
        time: is.time.unix(),
        not_after: is.not_after.map(credence_ca::validity::Time::unix),
        body,
    }
}

#[test]
fn unknown_entries_outlive_archives() {
    let world = world();
    // As a newer version would have written it, while this one was not there.
    drop(world.ledger);
    let conn = Connection::open(&world.path).unwrap();
    let reader = Reader::open(&world.path).unwrap();
    let head = reader.head().unwrap();
    let body = [0x83, 0x18, 99, 0x00, 0xa1, 0x00, 0x01];
    let hash = head.then(&body).hash.0;
    conn.execute(
        "INSERT INTO entries VALUES (?1, 99, 0, NULL, ?2, ?3)",
        (head.size + 1, hash, body),
    )
    .unwrap();
    drop(conn);
    let ledger = Ledger::open(&world.path, &options(), authority(Box::new(world.clock))).unwrap();
    ledger.checkpoint_blocking().unwrap();
    let retire = Retire {
        to: world.folder.path().join("old.db"),
        before: at(1_000_000),
        now: at(1_000_000),
        by: By::Itself,
    };
    ledger.archive(&retire, &keys()).unwrap();
    let query = Query {
        kinds: vec![Kind::from_number(99)],
        order: Order::Oldest,
        ..Query::default()
    };
    let found = reader.list(&query).unwrap();
    assert!(matches!(found.records[0].entry.event, Event::Unknown(_)));
    assert_eq!(ledger.health(), credence_ledger::port::Health::Writing);
    assert_eq!(reader.counts().unwrap()["unknown (99)"], 1);
}
