//! Makes Rust of `mirror.proto`, with a compiler in Rust: no protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../mirror.proto");
    let files = protox::compile(["mirror.proto"], [".."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
