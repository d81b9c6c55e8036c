//! The filter in all its roles, in a real Envoy with the bootstraps that ship.

#![allow(
    clippy::indexing_slicing,
    reason = "an index that is out of bounds fails the test, as it should"
)]

mod application;
mod common;
mod configuration;
mod expiry;
mod identity;
mod metrics;
mod modes;
mod outbound;
mod requests;
mod resumption;
mod revocation;
mod rules;
mod tcp;
mod trap;
