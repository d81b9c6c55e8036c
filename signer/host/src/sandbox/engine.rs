//! How modules are compiled. The build script takes this file in, so that what it compiles is what
//! the engine at run time expects: wasmtime refuses code of another configuration.

use wasmtime::Config;

/// Address space, not memory, that each linear memory of each instance reserves: also the most that a
/// limit can grant. Small, since the pool reserves it for every instance; modules pay for that with
/// explicit bounds checks.
pub(crate) const RESERVATION: usize = 128 << 20;

/// Address space behind each memory that nothing is ever mapped to.
const GUARD: u64 = 1 << 20;

/// Everything that has an influence on the code. `target` is named so that none of this machine's CPU
/// features is used: the same module is the same code on every machine of that kind.
pub(crate) fn compilation(target: &str) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config.target(target)?;
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    config.memory_reservation(RESERVATION as u64);
    config.memory_reservation_for_growth(0);
    config.memory_guard_size(GUARD);
    config.memory_may_move(false);
    // no bit of an answer may hang on the machine
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // a trap's message is for a log line: no backtrace of the guest, and nothing kept for one
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    Ok(config)
}
