//! A signing module that lies: what the guard and the sandbox must stop.
//!
//! It is honest, unless the identity's path is `/hostile/WHAT`: then it does WHAT. So one host
//! that has loaded it once sees every crime, and honest requests in between.
#![cfg(target_family = "wasm")]
#![allow(
    unsafe_code,
    reason = "the exports that wit-bindgen generates are unsafe extern functions; and one crime is to look at memory"
)]

mod crimes;
mod forge;

use credence_signer_core::wit::{self, Guest, exports::credence::signer::certificates as contract};

struct Component;

impl Guest for Component {
    fn issue(request: contract::Request) -> Result<Vec<u8>, contract::Rejection> {
        crimes::commit(request.into()).map_err(contract::Rejection::InvalidRequest)
    }
}

wit::export!(Component with_types_in wit);
