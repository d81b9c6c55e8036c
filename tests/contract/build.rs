//! Builds the filter that the contract tests run: `credence_filter.wasm`.

use credence_wasm_build::{BuildError, WasmPackage, build};

fn main() -> Result<(), BuildError> {
    build(
        &WasmPackage {
            package: "credence-filter",
            artifact: "credence_filter",
            target: "wasm32-wasip1",
            sources: &["filter"],
        },
        "CREDENCE_FILTER_WASM",
    )?;
    Ok(())
}
