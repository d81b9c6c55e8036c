//! One worker's VM, driven the way Envoy drives it.

mod streams;

use std::{collections::BTreeSet, fmt, mem, sync::OnceLock};

use serde_json::Value;
use wasmtime::{Engine, Instance, Linker, Module, Store, WasmParams, WasmResults};

use crate::{
    host::link,
    request::Action,
    script::{ContextState, Script, SharedData},
};

/// 2026-01-01, in seconds since 1970: what the scripted clock shows unless a test sets it.
const NOW: u64 = 1_767_225_600;
const MILLISECOND: u64 = 1_000_000;

/// The module trapped: in Envoy, its worker's VM would be gone.
#[derive(Debug)]
pub struct Trap(wasmtime::Error);

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the module trapped: {:?}", self.0)
    }
}

impl std::error::Error for Trap {}

/// A configuration of the plugin in a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root(u32);

/// A connection of the network role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection(u32);

/// One worker's VM with the shipped filter in it.
pub struct Vm {
    store: Store<Script>,
    instance: Instance,
    roots: Vec<Root>,
    next_context: u32,
    next_connection: u64,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").finish_non_exhaustive()
    }
}

/// The capabilities that `filter/plugin/capabilities.txt` lists, each with the roles that need it; none: all do.
#[must_use]
pub fn capabilities() -> Vec<(String, BTreeSet<String>)> {
    let lines = include_str!("../../../filter/plugin/capabilities.txt").lines();
    lines
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            (words.next().unwrap_or_default(), words.collect())
        })
        .collect()
}

/// What the shipped Envoy configs grant a VM that plays these roles.
#[must_use]
pub fn granted(roles: &[&str]) -> BTreeSet<String> {
    let needed = |of: &BTreeSet<String>| of.is_empty() || roles.iter().any(|r| of.contains(*r));
    let needed = capabilities().into_iter().filter(|(_, of)| needed(of));
    needed.map(|(name, _)| name).collect()
}

/// The shipped module.
///
/// # Panics
/// If it is not WebAssembly.
#[must_use]
pub fn module() -> &'static Module {
    &compiled().0
}

fn compiled() -> &'static (Module, Linker<Script>) {
    static COMPILED: OnceLock<(Module, Linker<Script>)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let engine = Engine::default();
        let module = Module::from_file(&engine, env!("CREDENCE_FILTER_WASM"))
            .expect("credence_filter.wasm compiles");
        let linker = link(&engine, &module).expect("every import can be given");
        (module, linker)
    })
}

/// The role that a configuration asks for, as the capability list names it.
fn role_of(json: &str) -> String {
    let config: Value = serde_json::from_str(json).unwrap_or_default();
    match config.get("role").and_then(Value::as_str) {
        Some("tcp") if config.get("companion") == Some(&Value::Bool(true)) => "companion".into(),
        Some(role) => role.to_owned(),
        None => "inbound".into(),
    }
}

impl Vm {
    /// Starts a VM for the HTTP role, makes a root context and leaves it unconfigured.
    ///
    /// # Panics
    /// If the module cannot be instantiated or traps.
    #[must_use]
    pub fn start() -> Self {
        let mut vm = Self::playing(&["inbound"], SharedData::default());
        vm.add_root();
        vm
    }

    /// Starts a VM without root context, granted what these roles need, among VMs that share this data.
    ///
    /// # Panics
    /// If the module cannot be instantiated or traps.
    #[must_use]
    pub fn playing(roles: &[&str], shared: SharedData) -> Self {
        let (module, linker) = compiled();
        let mut script = Script::granting(granted(roles), shared);
        script.now = NOW * 1000 * MILLISECOND;
        let mut store = Store::new(module.engine(), script);
        let instance = linker
            .instantiate(&mut store, module)
            .expect("the module can be instantiated");
        let mut vm = Self {
            store,
            instance,
            roots: Vec::new(),
            next_context: 1,
            next_connection: 1 << 40,
        };
        vm.export::<(), ()>("_initialize", ()).expect("no trap");
        vm
    }

    /// A VM with this configuration in force, alone in its Envoy.
    ///
    /// # Panics
    /// If the module does not accept it.
    #[must_use]
    pub fn with_config(json: &str) -> Self {
        Self::sharing(json, SharedData::default())
    }

    /// A VM with this configuration in force, among VMs that share this data.
    ///
    /// # Panics
    /// If the module does not accept it.
    #[must_use]
    pub fn sharing(json: &str, shared: SharedData) -> Self {
        let mut vm = Self::playing(&[&role_of(json)], shared);
        vm.accept(json);
        vm
    }

    /// One more configuration in force.
    ///
    /// # Panics
    /// If the module does not accept it.
    pub fn accept(&mut self, json: &str) -> Root {
        let root = self.add_root();
        let accepted = self.configure_root(root, json);
        assert!(accepted, "refused: {:?}", self.script().logs);
        root
    }

    /// One more root context, unconfigured.
    ///
    /// # Panics
    /// If the module traps.
    pub fn add_root(&mut self) -> Root {
        let id = self.context(ContextState::default());
        self.callback::<_, ()>("proxy_on_context_create", id, (id, 0))
            .expect("no trap");
        let root = Root(id);
        self.roots.push(root);
        root
    }

    /// What the module sees, and did.
    #[must_use]
    pub fn script(&self) -> &Script {
        self.store.data()
    }

    /// To change what the module sees.
    pub fn script_mut(&mut self) -> &mut Script {
        self.store.data_mut()
    }

    /// Bytes of linear memory that the module has taken.
    ///
    /// # Panics
    /// If the module exports no memory.
    pub fn memory_bytes(&mut self) -> usize {
        self.instance
            .get_memory(&mut self.store, "memory")
            .expect("the module exports its memory")
            .data_size(&self.store)
    }

    /// Hands the first root a configuration; whether it accepts it.
    ///
    /// # Panics
    /// If it traps.
    pub fn configure(&mut self, json: impl AsRef<[u8]>) -> bool {
        let root = *self.roots.first().expect("a root");
        self.configure_root(root, json)
    }

    /// Hands a root a configuration; whether it accepts it.
    ///
    /// # Panics
    /// If it traps.
    pub fn configure_root(&mut self, root: Root, json: impl AsRef<[u8]>) -> bool {
        let json = json.as_ref();
        self.store.data_mut().configuration = json.to_vec();
        let size = u32::try_from(json.len()).expect("a configuration under 4 GiB");
        let accepted = self.callback("proxy_on_configure", root.0, (root.0, size));
        match accepted {
            Ok(accepted) => accepted == Some(1_u32),
            Err(trap) => panic!("on_configure: {trap}"),
        }
    }

    /// A quarter of a second goes by, and every root is called.
    ///
    /// # Panics
    /// If the module traps.
    pub fn tick(&mut self) {
        if let Err(trap) = self.try_tick() {
            panic!("{trap}\n{:?}", self.script().logs);
        }
    }

    /// A quarter of a second goes by, and every root is called.
    ///
    /// # Errors
    /// If the module traps.
    pub fn try_tick(&mut self) -> Result<(), Trap> {
        self.script_mut().now += 250 * MILLISECOND;
        for root in self.roots.clone() {
            self.callback::<_, ()>("proxy_on_tick", root.0, (root.0,))?;
        }
        Ok(())
    }

    /// So many ticks.
    ///
    /// # Panics
    /// If the module traps.
    pub fn ticks(&mut self, count: usize) {
        (0..count).for_each(|_| self.tick());
    }

    /// The roots go, as when Envoy takes their configurations away.
    ///
    /// # Panics
    /// If the module traps.
    pub fn shut_down(&mut self) {
        for root in mem::take(&mut self.roots) {
            self.callback::<_, u32>("proxy_on_done", root.0, (root.0,))
                .expect("no trap");
            self.callback::<_, ()>("proxy_on_delete", root.0, (root.0,))
                .expect("no trap");
        }
    }

    fn context(&mut self, state: ContextState) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        self.script_mut().contexts.insert(id, state);
        id
    }

    fn end(&mut self, id: u32) -> Result<(), Trap> {
        self.callback::<_, ()>("proxy_on_downstream_connection_close", id, (id, 2))?;
        self.callback::<_, u32>("proxy_on_done", id, (id,))?;
        self.callback::<_, ()>("proxy_on_delete", id, (id,))?;
        self.script_mut().contexts.remove(&id);
        Ok(())
    }

    /// A stream callback. One that is not granted is not made, and Envoy goes on without it.
    fn act(&mut self, name: &str, context: u32, with: impl WasmParams) -> Result<Action, Trap> {
        match self.callback::<_, u32>(name, context, with)? {
            None | Some(0) => Ok(Action::Continue),
            Some(_) => Ok(Action::Pause),
        }
    }

    /// Calls the module for a context; then connections end that it asked to be closed meanwhile.
    fn callback<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
        context: u32,
        with: P,
    ) -> Result<Option<R>, Trap> {
        let script = self.script_mut();
        if !script.granted.contains(name) {
            return Ok(None);
        }
        script.current = context;
        script.effective = None;
        let result = self.export(name, with)?;
        for ended in mem::take(&mut self.script_mut().ended) {
            if self.script().contexts.contains_key(&ended) {
                self.end(ended)?;
            }
        }
        Ok(Some(result))
    }

    fn export<P: WasmParams, R: WasmResults>(&mut self, name: &str, with: P) -> Result<R, Trap> {
        self.instance
            .get_typed_func::<P, R>(&mut self.store, name)
            .and_then(|function| function.call(&mut self.store, with))
            .map_err(Trap)
    }
}
