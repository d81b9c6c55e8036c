//! The CA behind the daemon's ports: attestors say who is asking, the sandboxed signer makes the certificate, the ledger has it before it
//! leaves, and the lifecycle says which root and issuer sign.
//!
//! ```text
//!   frontends ─▶ attesting ─▶ door ─▶ signer (sandbox, guard, key)
//!                              │ ├──▶ book (ledger): on disk before the answer leaves
//!                              │ └──▶ holders ──▶ lifecycle ──▶ current (who signs, what is trusted) ──▶ bundle streams
//!                              └─ revocations ─▶ lists ─▶ bundle streams
//! ```
//! Everything that the door goes by at one moment is one [`current::Snapshot`], so that an answer's leaf and bundle belong together.

pub mod admin;
pub mod applicant;
pub mod attesting;
pub mod backup;
pub mod book;
pub mod chain;
pub mod clock;
pub mod current;
pub mod door;
pub mod figures;
pub mod health;
pub mod lifecycle;
pub mod lineages;
pub mod lists;
mod local;
pub mod operator;
pub mod plan;
pub mod publication;
pub mod requests;
pub mod revocations;
pub mod server;
pub mod serving;
pub mod tokens;
