//! credence_signer.wasm: the CSR-signing logic as a pure function.
