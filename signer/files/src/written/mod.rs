//! Certificates as files: for applications that know nothing of SDS or the Workload API.
//!
//! ```text
//!  FOLDER/tls.crt ──▶ ..data/tls.crt      what the application opens, made once
//!  FOLDER/tls.key ──▶ ..data/tls.key
//!  FOLDER/ca.crt  ──▶ ..data/ca.crt
//!  FOLDER/..data  ──▶ ..4f1c09d2a7e35b60  switched in one step: rename(2)
//!  FOLDER/..4f1c09d2a7e35b60/             one certificate, its key and the bundle, whole
//! ```
//!
//! It is the layout of a Kubernetes volume, so that whoever can follow one of those can follow this. Whoever opens `..data` once
//! and reads from there never sees the certificate of one issuance with the key of another.

mod place;
mod reload;
mod writer;

pub use place::{Names, Owner, Place, PlaceError};
pub use reload::{Reload, ReloadError, Signal};
pub use writer::{FilesError, Material, Writer, Written};
