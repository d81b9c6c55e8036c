//! Builds the module that the playground runs: `credence_playground.wasm`.

use credence_wasm_build::{BuildError, WasmPackage, build};

fn main() -> Result<(), BuildError> {
    build(
        &WasmPackage {
            package: "credence-playground",
            artifact: "credence_playground",
            target: "wasm32-unknown-unknown",
            sources: &[
                "filter/ask",
                "filter/enforce",
                "filter/import",
                "filter/playground/Cargo.toml",
                "filter/playground/src",
                "filter/policy",
            ],
        },
        "CREDENCE_PLAYGROUND_WASM",
    )?;
    Ok(())
}
