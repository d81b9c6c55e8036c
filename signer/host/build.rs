//! Builds the signing module that the host carries, and compiles it for the target's baseline CPU.

#[path = "src/sandbox/engine.rs"]
mod engine;

use credence_wasm_build::{WasmPackage, build};
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let module = build(
        &WasmPackage {
            package: "credence-signer",
            artifact: "credence_signer",
            target: "wasm32-wasip2",
            sources: &["signer/module", "signer/wit"],
        },
        "CREDENCE_SIGNER_WASM",
    )?;
    println!("cargo::rerun-if-changed=src/sandbox/engine.rs");
    let target = env::var("TARGET")?;
    let compiled = compile(&fs::read(module)?, &target)?;
    let file = PathBuf::from(env::var("OUT_DIR")?).join("credence_signer.cwasm");
    fs::write(&file, compiled)?;
    println!(
        "cargo::rustc-env=CREDENCE_SIGNER_COMPILED={}",
        file.display()
    );
    println!("cargo::rustc-env=CREDENCE_TARGET={target}");
    Ok(())
}

fn compile(module: &[u8], target: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let engine = engine::compilation(target).and_then(|config| wasmtime::Engine::new(&config));
    let engine = engine.map_err(|e| {
        format!("no machine code can be made for {target}: {e:#}; for another architecture than this machine's, build with --features cross")
    })?;
    Ok(engine.precompile_component(module)?)
}
