//! What taking the place of Dapr's `sentry` binary needs beside the CA: its flags, its configuration, JWTs and their keys, the OIDC
//! server, health and metrics under its names.
//!
//! [`Flags::parse`] and [`Settings::new`] are pure: they give [`Settings`], or every fault at once. What asks a Kubernetes API server,
//! serves pages or keeps keys in files stands beside them; the CA itself is elsewhere.
#![cfg(unix)]

pub mod admission;
mod algorithm;
pub mod cluster;
pub mod configuration;
pub mod duration;
pub mod expand;
mod fault;
pub mod flags;
#[cfg(feature = "serve")]
pub mod health;
#[cfg(feature = "serve")]
pub mod jwt;
#[cfg(feature = "serve")]
pub mod metrics;
#[cfg(feature = "serve")]
pub mod oidc;
pub mod settings;
pub mod source;
mod uri;
#[cfg(feature = "serve")]
mod watch;

pub use algorithm::{Algorithm, KeyKind};
pub use fault::{Fault, Faults};
pub use flags::{Flags, Parsed};
pub use settings::Settings;
pub use uri::{PathPrefix, PublicUri, UriError};

/// Environment variables.
pub type Environment = std::collections::BTreeMap<String, String>;
