//! credence_filter.wasm: the proxy-wasm edge of credence-enforce.
//!
//! The SDK dispatches Envoy's callbacks to the contexts here. They read what the enforcing code asks for,
//! do what it says and hand over its counts; what to do is decided in credence-enforce.

mod answer;
mod connection;
mod facts;
mod host;
mod inbound;
mod outbound;
mod own;
mod root;
mod vm;

#[allow(
    missing_docs,
    reason = "what the SDK's macro makes has no documentation"
)]
mod entry {
    use std::panic;

    use crate::{host, root::Root};

    proxy_wasm::main! {{
        panic::set_hook(Box::new(|what| host::log(host::Level::Critical, &what.to_string())));
        proxy_wasm::set_root_context(|id| Box::new(Root::new(id)));
    }}
}
