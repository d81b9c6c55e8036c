//! The sandbox, proof of possession, key custody and the store.

pub mod authorities;
pub mod authority;
pub mod chain;
pub mod custody;
pub mod founding;
pub mod key_file;
pub mod metrics;
pub mod possession;
pub mod private_file;
pub mod sandbox;
pub mod signer;
pub mod state;

pub use sandbox::BUILTIN_MODULE;
