//! Who is asking: from a caller's proof to its SPIFFE ID.
//!
//! Each kind of proof has an [`Attestor`]; a [`Panel`] holds those of one frontend, with its allow-list of trust
//! domains, and is the one door: what it lets through is an identity that a certificate may be issued for. Rules,
//! templates, tokens and registries are pure; files ([`jwt::Keys::file`]), https and `/proc` are thin edges. No
//! clock is read here: each call brings the time along.
#![cfg(unix)]

mod error;
mod evidence;
mod https;
pub mod identity;
mod impersonation;
pub mod join;
mod json;
pub mod jwt;
pub mod kubernetes;
mod outcome;
mod panel;
pub mod peer;
mod port;
mod secret;
pub mod svid;
mod unproved;
mod watched;

pub use error::{AttestError, Class, Refusal, Unavailable};
pub use evidence::{CertificateChain, Claimed, Evidence, Metadata};
pub use https::{HttpsError, HttpsUrl, Roots};
pub use impersonation::{NodeAgent, NodeAgents};
pub use json::Json;
pub use outcome::{Attested, Lineage, ProofKind, ProofRecord};
pub use panel::Panel;
pub use port::{Answer, Attestor, BoxFuture, Now};
pub use secret::{LONGEST_TOKEN, Token};
pub use unproved::Unproved;
