//! Builds the filter that the end-to-end tests load into Envoy, `credence_filter.wasm`, and the signing
//! module that they load into credence.

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
