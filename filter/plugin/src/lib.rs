//! credence_filter.wasm: the proxy-wasm edge of credence-enforce.
