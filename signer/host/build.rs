//! Builds the signing module that the host carries: `credence_signer.wasm`.

use credence_wasm_build::{BuildError, WasmPackage, build};

fn main() -> Result<(), BuildError> {
    build(
        &WasmPackage {
            package: "credence-signer",
            artifact: "credence_signer",
            target: "wasm32-wasip2",
            sources: &["signer/module", "signer/wit"],
        },
        "CREDENCE_SIGNER_WASM",
    )?;
    Ok(())
}
