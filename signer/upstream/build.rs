//! Makes Rust of the protocols that the CA serves, with a compiler in Rust: no protoc is needed.

use std::error::Error;

const ROOT: &str = "../daemon/proto";
const FILES: [&str; 2] = [
    "istio/v1/auth/ca.proto",
    "dapr/proto/sentry/v1/sentry.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let files = protox::compile(FILES, [ROOT])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
