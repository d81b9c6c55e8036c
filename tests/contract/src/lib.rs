//! Runs the shipped filter against a scripted proxy-wasm host.
//!
//! [`Vm`] is one worker's VM with the real `credence_filter.wasm` in it; [`Request`] says what the
//! connection and the request look like to the module, and [`Outcome`] what became of it. The host
//! grants exactly what `filter/plugin/capabilities.txt` lists for the role, as the shipped Envoy configs do:
//! a call beyond it is recorded as [`Script::ungranted`], and a callback beyond it is not made.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test harness: what it cannot do must fail the test, loudly"
)]

mod host;
mod request;
mod script;
mod vm;

pub use request::{Action, Downstream, Outcome, Request};
pub use script::{ContextState, Headers, HttpCall, LocalResponse, Script, SharedData, status};
pub use vm::{Connection, Root, Trap, Vm, capabilities, granted, module};
