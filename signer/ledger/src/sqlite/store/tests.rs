use super::*;
use crate::{
    checkpoint::MemorySigner,
    entry::{Entry, Takeover},
    sqlite::{Durability, OpenError},
};
use std::time::Duration;
use zeroize::Zeroizing;

fn setup(durability: Durability) -> Setup {
    Setup {
        durability,
        lock_wait: Duration::from_secs(5),
        max_bytes: None,
    }
}

fn open(path: &Path, durability: Durability) -> Store {
    connect::make_file(path).unwrap();
    let setup = setup(durability);
    let opened = Store::open(path, &setup, ("example.org", [7; 16]), "a test", |_| Ok(()));
    opened.unwrap().0
}

fn entries(count: usize) -> Vec<Prepared> {
    let takeover = Takeover {
        from: "a".into(),
        to: "b".into(),
    };
    let entry = Entry::new(Time::EPOCH, takeover);
    (0..count)
        .map(|_| Prepared::new(entry.clone().into()).unwrap())
        .collect()
}

fn append(store: &mut Store, count: usize) {
    let entries = entries(count);
    store
        .append(std::iter::once(entries.as_slice()), None)
        .unwrap();
}

#[test]
fn durable_means_that_sqlite_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    for (name, durability, synchronous) in [
        ("d", Durability::Durable, 2),
        ("v", Durability::Volatile, 0),
    ] {
        let store = open(&folder.path().join(name), durability);
        let pragma = |name: &str| -> String {
            let read = |row: &rusqlite::Row<'_>| {
                let value: rusqlite::types::Value = row.get(0)?;
                Ok(match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
            };
            store.conn.pragma_query_value(None, name, read).unwrap()
        };
        assert_eq!(pragma("synchronous"), synchronous.to_string());
        assert_eq!(pragma("journal_mode"), "wal");
    }
}

#[test]
fn a_commit_that_was_done_although_it_failed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut store = open(&path, Durability::Durable);
    append(&mut store, 2);
    let before = store.known.clone();
    append(&mut store, 3);
    let after = store.known.clone();
    drop(store);
    let again = Store::resume(&path, &setup(Durability::Durable), &before).unwrap();
    assert_eq!(again.known.head, after.head);
}

#[test]
fn an_epoch_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    connect::make_file(&path).unwrap();
    let setup = setup(Durability::Durable);
    // Another one opens it while this one verifies its end.
    let between = |_: &Origin| {
        open(&path, Durability::Durable);
        Ok(())
    };
    let late = Store::open(&path, &setup, ("example.org", [7; 16]), "late", between);
    assert!(matches!(late, Err(OpenError::Held { .. })));
}

#[test]
fn a_file_that_lost_entries_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut store = open(&path, Durability::Durable);
    append(&mut store, 3);
    let known = store.known.clone();
    for damage in [
        "DELETE FROM entries WHERE seq = 3",
        "INSERT INTO entries VALUES (3, 8, 0, NULL, zeroblob(32), x'00')",
    ] {
        store.conn.execute(damage, []).unwrap();
        let again = Store::resume(&path, &setup(Durability::Durable), &known);
        assert!(matches!(again, Err(StoreError::Past(_))), "{damage}");
    }
}

#[test]
fn a_checkpoint_is_signed_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("ledger"), Durability::Durable);
    let signer = MemorySigner::new(&Zeroizing::new([1; 32]));
    let stamp = Stamp {
        signer: &signer,
        time: Time::EPOCH,
    };
    assert!(store.checkpoint(&stamp).unwrap().is_none());
    append(&mut store, 1);
    assert!(store.checkpoint(&stamp).unwrap().is_some());
    assert!(store.checkpoint(&stamp).unwrap().is_none());
}
