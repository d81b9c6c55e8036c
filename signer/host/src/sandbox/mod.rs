//! The sandbox: a signing module under wasmtime, a fresh instance for each request.
//!
//! A module is a pure function. It is given its request and nothing else: the WASI interfaces
//! that a standard library drags in are there, so that it loads, but are sealed: a constant seed
//! for its hash maps, and a trap behind everything else. A component that imports anything more
//! is refused when it is loaded, by the name of what it imports.

mod bindings;
mod digest;
mod engine;
mod error;
mod instance;
mod limits;
mod ticker;

pub use digest::ModuleDigest;
pub use error::{LoadError, Rejection, SandboxError};
pub use instance::{Instance, Spent};
pub use limits::{Bound, Limits};

use bindings::SignerPre;
use credence_ca::issuance::Issuance;
use limits::Warden;
use std::borrow::Cow;
use ticker::Ticker;
use wasmtime::{
    Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, Linker},
};

/// The signing module that ships with Credence: a component of world `credence:signer/signer`.
pub const BUILTIN_MODULE: &[u8] = include_bytes!(env!("CREDENCE_SIGNER_WASM"));

/// The same, compiled by the build script for this target's baseline CPU.
const BUILTIN_COMPILED: &[u8] = include_bytes!(env!("CREDENCE_SIGNER_COMPILED"));

/// What modules are compiled for.
const TARGET: &str = env!("CREDENCE_TARGET");

/// How much of each instance's memory is wiped in place, octets; what is beyond goes back to the system.
const KEPT: usize = 1 << 20;

/// The interfaces of WASI 0.2 that the Rust and C standard libraries import whether or not a
/// component uses them.
const SEALED: [&str; 14] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    SEED,
];
/// The one that answers.
const SEED: &str = "wasi:random/insecure-seed";

/// What a module is asked: a request whose possession is proved, and what was decided about it.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The certification request, DER.
    pub csr: &'a [u8],
    /// The decision.
    pub issuance: &'a Issuance<'a>,
}

/// A loaded module.
pub struct Sandbox {
    engine: Engine,
    module: SignerPre<Warden>,
    limits: Limits,
    digest: ModuleDigest,
    octets: Cow<'static, [u8]>,
    ticker: Ticker,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox(sha256:{})", self.digest)
    }
}

impl Sandbox {
    /// Takes the module that ships with Credence, compiled when Credence was built.
    ///
    /// # Errors
    /// If it does not fit into its limits.
    pub fn builtin(limits: Limits) -> Result<Self, LoadError> {
        let octets = Cow::Borrowed(BUILTIN_MODULE);
        Self::from_compiled(engine(&limits)?, BUILTIN_COMPILED, octets, limits)
    }

    /// Compiles a module and checks that it keeps the contract. This takes a core for some tenths
    /// of a second, for large modules for much longer.
    ///
    /// # Errors
    /// If it is not a component, imports what it may not have, does not export the contract, or
    /// does not fit into its limits.
    pub fn load(module: &[u8], limits: Limits) -> Result<Self, LoadError> {
        let engine = engine(&limits)?;
        let compiled = engine
            .precompile_component(module)
            .map_err(|e| LoadError::NotAComponent(describe(&e)))?;
        Self::from_compiled(engine, &compiled, Cow::Owned(module.to_vec()), limits)
    }

    /// `compiled` is what the build script or this very engine compiled, and nothing else.
    fn from_compiled(
        engine: Engine,
        compiled: &[u8],
        octets: Cow<'static, [u8]>,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let component = own_code(&engine, compiled).map_err(|e| LoadError::Bound(describe(&e)))?;
        let linker = sealed_linker(&engine, &component)?;
        let module = linker
            .instantiate_pre(&component)
            .and_then(SignerPre::new)
            .map_err(|e| LoadError::Contract(describe(&e)))?;
        let ticker = Ticker::start(&engine).map_err(|e| LoadError::Engine(e.to_string()))?;
        let sandbox = Self {
            engine,
            module,
            limits,
            digest: ModuleDigest::of(&octets),
            octets,
            ticker,
        };
        sandbox.try_instance()?;
        Ok(sandbox)
    }

    /// The types of what is exported come to light with an instance only; and whether it gets up.
    fn try_instance(&self) -> Result<(), LoadError> {
        match self.instance() {
            Ok(_) => Ok(()),
            Err(SandboxError::Trapped(why)) => Err(LoadError::Contract(why)),
            Err(bound) => Err(LoadError::Bound(bound.to_string())),
        }
    }

    /// The SHA-256 of the module's bytes, as they were before they were compiled.
    #[must_use]
    pub fn digest(&self) -> ModuleDigest {
        self.digest
    }

    /// The module's bytes, as they were before they were compiled: what its digest is of, and what
    /// it takes to run it again.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// What the module may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many instances run at this moment.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.ticker.running()
    }

    /// A new instance, which serves one request. Blocks for no longer than the deadline.
    ///
    /// # Errors
    /// If as many run already as may, or the module does not get up.
    pub fn instance(&self) -> Result<Instance<'_>, SandboxError> {
        Instance::new(self)
    }

    /// Asks the module for a to-be-signed certificate, in a fresh instance. Blocks for no longer
    /// than the deadline.
    ///
    /// # Errors
    /// If the module refuses the request, or misbehaves. Either way it leaves nothing behind.
    pub fn propose(&self, proposal: &Proposal<'_>) -> Result<Vec<u8>, SandboxError> {
        self.instance()?.propose(proposal).0
    }
}

/// An engine whose instances come from a pool: memory is mapped beforehand, a new instance sees the
/// module's own pages by copy-on-write, and what it wrote to is wiped when it ends.
fn engine(limits: &Limits) -> Result<Engine, LoadError> {
    let failed = |e: wasmtime::Error| LoadError::Engine(describe(&e));
    let mut config = engine::compilation(TARGET).map_err(failed)?;
    config.max_wasm_stack(limits.stack);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&config).map_err(failed)
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let table = limits.table_elements.saturating_mul(size_of::<usize>());
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(limits.instances)
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .total_core_instances(limits.instances.saturating_mul(limits::CORE_INSTANCES))
        .max_memories_per_component(limits::MEMORIES)
        .total_memories(limits.instances.saturating_mul(limits::MEMORIES))
        .max_memory_size(limits.memory)
        .max_tables_per_component(limits::TABLES)
        .max_tables_per_module(limits::TABLES)
        .total_tables(limits.instances.saturating_mul(limits::TABLES))
        .table_elements(limits.table_elements)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(table)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Takes in machine code that this build, or this engine, made. wasmtime compares its own version and
/// configuration with the code's; that it is code from its own compiler is ours to warrant.
#[allow(
    unsafe_code,
    reason = "the callers hand in what the build script embedded or this engine compiled"
)]
fn own_code(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `compiled` comes from `Engine::precompile_component` of the same wasmtime: embedded in
    // this program by its build script, or made a moment ago in this process. It is never read
    // from a file.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Everything that the component imports, if it may, bound to nothing.
fn sealed_linker(engine: &Engine, component: &Component) -> Result<Linker<Warden>, LoadError> {
    let mut linker = Linker::new(engine);
    for (import, _) in component.component_type().imports(engine) {
        let interface = import.split_once("@0.2.").map_or(import, |(name, _)| name);
        if !SEALED.contains(&interface) {
            return Err(LoadError::Import(import.to_owned()));
        }
        if interface == SEED {
            seed(&mut linker, import).map_err(|e| LoadError::Contract(describe(&e)))?;
        }
    }
    linker
        .define_unknown_imports_as_traps(component)
        .map_err(|e| LoadError::Contract(describe(&e)))?;
    Ok(linker)
}

/// `wasi:random/insecure-seed`: two constants, so that a module is deterministic.
fn seed(linker: &mut Linker<Warden>, import: &str) -> wasmtime::Result<()> {
    linker
        .instance(import)?
        .func_wrap("insecure-seed", |_, (): ()| Ok(((0_u64, 0_u64),)))
}

/// An error with its causes, on one line.
fn describe(error: &wasmtime::Error) -> String {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    causes
        .join(": ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
