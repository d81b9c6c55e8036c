//! Builds the hostile module: `credence_hostile.wasm`.

use credence_wasm_build::{BuildError, WasmPackage, build};

fn main() -> Result<(), BuildError> {
    build(
        &WasmPackage {
            package: "credence-hostile",
            artifact: "credence_hostile",
            target: "wasm32-wasip2",
            sources: &["tests/hostile", "signer/module", "signer/wit", "signer/ca"],
        },
        "CREDENCE_HOSTILE_WASM",
    )?;
    Ok(())
}
