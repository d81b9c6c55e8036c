//! The stack of the component: small, since it is mapped, and wiped, for each request.

use std::env;

/// What parsing and writing a certificate takes is some 20 KiB; what overflows this traps.
const STACK: u32 = 128 << 10;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
}
