//! The sandbox, proof of possession, key custody and the store.
