//! Builds the wasm that ships, outside of a build script, and prints where it is.

use credence_wasm_build::{BuildError, FILTER, SIGNER, build};

fn main() -> Result<(), BuildError> {
    build(&FILTER, "CREDENCE_FILTER_WASM")?;
    build(&SIGNER, "CREDENCE_SIGNER_WASM")?;
    Ok(())
}
