//! What runs around the agent's core: [`outputs`] carry what it serves into files.
//!
//! All of it is told what to do in values, gets its time from [`credence_agent::Clock`], and says how it is doing in values.
#![cfg(unix)]

pub mod outputs;
mod pause;
mod pem;
mod trouble;

pub use trouble::Trouble;
