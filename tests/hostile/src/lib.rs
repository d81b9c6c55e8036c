//! A signing module that lies: what the guard and the sandbox must stop.
//!
//! It is honest, unless the identity's path is `/hostile/WHAT`: then it does WHAT. So one host
//! that has loaded it once sees every crime, and honest requests in between.
#![cfg(target_family = "wasm")]

mod component;
mod crimes;
