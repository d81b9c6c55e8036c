//! What is there when a CA starts: whether it is one, and whole.

use super::StartError;
use crate::{book::LEDGER, plan::Plan};
use credence_host::state::StateFolder;
use credence_ledger::{
    entry::Kind,
    sqlite::{Query, Reader},
};
use std::path::PathBuf;

/// What of a CA is stored.
pub(super) struct Found {
    pub(super) ledger: PathBuf,
    pub(super) lifecycle: PathBuf,
    /// Nothing: it is to be founded.
    pub(super) fresh: bool,
    /// All but the ledger, and that is known.
    pub(super) ledger_lost: bool,
}

impl Found {
    /// The ledger is made before `lifecycle.json`, so that one which is missing was there.
    pub(super) fn look(folder: &StateFolder, plan: &Plan) -> Result<Self, StartError> {
        let (ledger, lifecycle) = (
            folder.path().join(LEDGER),
            folder.path().join("lifecycle.json"),
        );
        let fresh = !lifecycle.exists();
        match ledger.exists() {
            true if plan.new_ledger => return Err(StartError::LedgerThere(ledger)),
            // one that cannot be read is judged by who opens it
            true if fresh && Reader::open(&ledger).is_ok_and(|reader| is_written(&reader)) => {
                return Err(not_a_ca(folder));
            }
            false if !fresh && !plan.new_ledger => return Err(StartError::LedgerLost(ledger)),
            true | false => {}
        }
        Ok(Self {
            ledger_lost: !fresh && plan.new_ledger,
            ledger,
            lifecycle,
            fresh,
        })
    }
}

pub(super) fn not_a_ca(folder: &StateFolder) -> StartError {
    StartError::NotACa {
        folder: folder.path().to_path_buf(),
        missing: "lifecycle.json",
    }
}

/// One that cannot be read counts as written. Who wrote it before is on record from the second opening on, also when the first start was cut short.
pub(super) fn is_written(reader: &Reader) -> bool {
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::TAKEOVER);
    let first = Query {
        kinds: kinds.copied().collect(),
        limit: 1,
        ..Query::default()
    };
    reader
        .list(&first)
        .map_or(true, |page| !page.records.is_empty())
}
