//! Runs the shipped filter against a scripted proxy-wasm host.
