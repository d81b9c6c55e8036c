//! What runs around the agent's core: [`outputs`] carry what it serves into files; [`watched`] files that somebody else rotates come to it.
//!
//! All of it is told what to do in values, gets its time from [`credence_agent::Clock`], and says how it is doing in values.
#![cfg(unix)]

pub mod outputs;
mod pause;
mod pem;
mod trouble;
pub mod watched;

pub use trouble::Trouble;
