//! Builds the hostile module, `credence_hostile.wasm`, and the command,
//! `credence_signer_cli.wasm`.

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
    build(
        &WasmPackage {
            package: "credence-signer-cli",
            artifact: "credence_signer_cli",
            target: "wasm32-wasip1",
            sources: &["signer/module", "signer/ca"],
        },
        "CREDENCE_SIGNER_CLI_WASM",
    )?;
    Ok(())
}
