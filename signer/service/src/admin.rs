//! Administration: a Unix socket of its own, mode 0600. Who connects is known by the kernel; one request, one answer, a line of JSON each.

mod client;
mod handle;
pub mod protocol;
mod socket;

pub use client::{ClientError, ask};
pub use socket::{AdminError, AdminSocket};
