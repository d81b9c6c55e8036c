//! Makes Rust of `proto/`, with a compiler in Rust: no protoc is needed.

use std::error::Error;

const ROOT: &str = "proto";
const FILE: &str = "workload.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let files = protox::compile([FILE], [ROOT])?;
    // what is shared by many streams is not copied for each
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
