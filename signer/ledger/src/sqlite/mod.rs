//! The record in a file of SQLite's.
//!
//! One thread writes, and what waits for it goes into one transaction (group commit). Readers have
//! connections of their own and hold nobody up.

mod archive;
mod backup;
mod check;
mod connect;
mod cursor;
mod error;
mod export;
mod facts;
mod fresh;
mod ledger;
mod lineage;
mod lock;
mod query;
mod reader;
mod rows;
mod schema;
mod store;
mod waiting;
mod writer;

pub use archive::{ArchiveError, Retire};
pub use backup::{BackupError, restore};
pub use connect::Durability;
pub use cursor::{Cursor, CursorError};
pub use error::{OpenError, ReadError};
pub use facts::{LiveLeaf, Reinstatement, Revocation, Token};
pub use ledger::{Authority, Ledger, Options, Previous, Stats};
pub use query::{About, Order, Page, Query};
pub use reader::{Reader, Record};
