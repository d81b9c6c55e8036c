//! The sandbox: a signing module under wasmtime, a fresh instance for each request.
//!
//! A module is a pure function. It is given its request and nothing else: the WASI interfaces
//! that a standard library drags in are there, so that it loads, but are sealed: a constant seed
//! for its hash maps, and a trap behind everything else. A component that imports anything more
//! is refused when it is loaded, by the name of what it imports.

mod bindings;
mod error;
mod limits;

pub use error::{LoadError, Rejection, SandboxError};
pub use limits::Limits;

use bindings::{SignerPre, wit};
use credence_ca::{hex, issuance::Issuance};
use limits::Warden;
use sha2::{Digest, Sha256};
use std::{thread, time::Duration};
use wasmtime::{
    Config, Engine, Store, Trap,
    component::{Component, Linker},
};

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

/// How finely deadlines are kept.
const TICK: Duration = Duration::from_millis(5);

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
    digest: String,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox(sha256:{})", self.digest)
    }
}

impl Sandbox {
    /// Compiles a module and checks that it keeps the contract.
    ///
    /// # Errors
    /// If it is not a component, imports what it may not have, or does not export the contract.
    pub fn load(module: &[u8], limits: Limits) -> Result<Self, LoadError> {
        let engine = engine(&limits)?;
        let component =
            Component::new(&engine, module).map_err(|e| LoadError::NotAComponent(describe(&e)))?;
        let linker = sealed_linker(&engine, &component)?;
        let module_pre = linker
            .instantiate_pre(&component)
            .and_then(SignerPre::new)
            .map_err(|e| LoadError::Contract(describe(&e)))?;
        start_ticking(&engine)?;
        let digest = hex(&Sha256::digest(module));
        let sandbox = Self {
            engine,
            module: module_pre,
            limits,
            digest,
        };
        sandbox.try_instance()?;
        Ok(sandbox)
    }

    /// The types of what is exported come to light with an instance only.
    fn try_instance(&self) -> Result<(), LoadError> {
        self.module
            .instantiate(&mut self.store())
            .map(drop)
            .map_err(|e| LoadError::Contract(describe(&e)))
    }

    /// The SHA-256 of the module's bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Asks the module for a to-be-signed certificate, in a fresh instance. Blocks for no longer
    /// than the deadline.
    ///
    /// # Errors
    /// If the module refuses the request, or misbehaves. Either way it leaves nothing behind.
    pub fn propose(&self, proposal: &Proposal<'_>) -> Result<Vec<u8>, SandboxError> {
        let mut store = self.store();
        let answer = self.call(&mut store, &proposal.into());
        let tbs = answer.map_err(|e| self.explain(&e, store.data()))??;
        if tbs.len() > self.limits.proposal {
            return Err(SandboxError::Oversized(tbs.len(), self.limits.proposal));
        }
        Ok(tbs)
    }

    /// A new world, under its limits, for one instance.
    fn store(&self) -> Store<Warden> {
        let mut store = Store::new(&self.engine, Warden::new(self.limits));
        store.limiter(|warden| warden);
        store.set_epoch_deadline(self.ticks());
        store
    }

    fn call(
        &self,
        store: &mut Store<Warden>,
        request: &wit::Request,
    ) -> wasmtime::Result<Result<Vec<u8>, Rejection>> {
        let instance = self.module.instantiate(&mut *store)?;
        let answer = instance
            .credence_signer_certificates()
            .call_issue(store, request)?;
        Ok(answer.map_err(Rejection::from))
    }

    /// One more than the deadline has, since the first may come at once.
    fn ticks(&self) -> u64 {
        let ticks = self.limits.deadline.as_millis().div_ceil(TICK.as_millis());
        u64::try_from(ticks).unwrap_or(u64::MAX - 1) + 1
    }

    fn explain(&self, error: &wasmtime::Error, warden: &Warden) -> SandboxError {
        match (error.downcast_ref::<Trap>(), warden.hit) {
            (Some(Trap::Interrupt), _) => SandboxError::Deadline(self.limits.deadline),
            (Some(Trap::StackOverflow), _) => SandboxError::Bound("stack limit"),
            (_, Some(bound)) => SandboxError::Bound(bound),
            (Some(trap), None) => SandboxError::Trapped(trap.to_string()),
            (None, None) => SandboxError::Trapped(error.root_cause().to_string()),
        }
    }
}

fn describe(error: &wasmtime::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn engine(limits: &Limits) -> Result<Engine, LoadError> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(limits.stack);
    // a trap's message is for a log line: no backtrace of the guest
    config.wasm_backtrace_max_frames(None);
    Engine::new(&config).map_err(|e| LoadError::Engine(describe(&e)))
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

/// Moves the engine's epoch on for as long as the engine lives.
fn start_ticking(engine: &Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("credence-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(|e| LoadError::Engine(e.to_string()))
}
