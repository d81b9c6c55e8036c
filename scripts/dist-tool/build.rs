//! Builds what is packed: the filter and the signing module, as they ship.

use credence_wasm_build::{BuildError, FILTER, SIGNER, build};

fn main() -> Result<(), BuildError> {
    build(&FILTER, "CREDENCE_FILTER_WASM")?;
    build(&SIGNER, "CREDENCE_SIGNER_WASM")?;
    Ok(())
}
