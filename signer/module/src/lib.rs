//! `credence_signer.wasm`: the component's edge around `credence-signer-core`.

mod component;
