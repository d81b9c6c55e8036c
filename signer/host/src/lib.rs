//! The sandbox, proof of possession, key custody and the store.

pub mod authority;
pub mod founding;
pub mod key_file;
pub mod possession;
pub mod private_file;
pub mod sandbox;
pub mod state;

/// The signing module that ships with Credence: a component of world `credence:signer/signer`.
pub const BUILTIN_MODULE: &[u8] = include_bytes!(env!("CREDENCE_SIGNER_WASM"));
