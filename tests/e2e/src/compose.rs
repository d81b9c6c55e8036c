//! `envoy/compose`, run by a container engine and toured: what `scripts/compose-demo` shows.

pub mod leaks;
pub mod project;
pub mod revocation;
pub mod sights;
pub mod staging;
pub mod steps;
