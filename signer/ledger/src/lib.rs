//! The record of everything that the CA has done, in an order that cannot be changed unseen.
//!
//! The core is pure: what an [`entry`] is, how entries are [chained](chain), what a
//! [checkpoint] says, how a record is [verified](verify). The module `sqlite` keeps a record in a
//! file, with group commit, fencing and recovery. Another store implements [`port::Append`].

pub mod chain;
pub mod checkpoint;
pub mod entry;
pub mod octets;
pub mod port;
pub mod projection;
pub mod retention;
pub mod verify;

#[cfg(feature = "sqlite")]
pub mod sqlite;
