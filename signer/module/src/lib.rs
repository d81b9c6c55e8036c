//! `credence_signer.wasm`: the component's edge around `credence-signer-core`.
#![allow(
    unsafe_code,
    reason = "the exports that wit-bindgen generates are unsafe extern functions, and an allocator is unsafe by nature"
)]

use credence_signer_core::{
    propose,
    wit::{self, Guest, exports::credence::signer::certificates as contract},
};

#[cfg(any(test, target_family = "wasm"))]
mod memory;

struct Component;

impl Guest for Component {
    fn issue(request: contract::Request) -> Result<Vec<u8>, contract::Rejection> {
        propose(&request.into()).map_err(Into::into)
    }
}

wit::export!(Component with_types_in wit);
