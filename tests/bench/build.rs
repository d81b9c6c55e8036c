//! Builds the filter that does nothing, which Credence's is measured against.

use credence_wasm_build::{BuildError, WasmPackage, build};

fn main() -> Result<(), BuildError> {
    build(
        &WasmPackage {
            package: "credence-bench-noop",
            artifact: "credence_bench_noop",
            target: "wasm32-wasip1",
            sources: &["tests/bench/noop"],
        },
        "CREDENCE_NOOP_WASM",
    )?;
    Ok(())
}
