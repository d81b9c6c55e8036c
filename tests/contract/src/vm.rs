//! One worker's VM, driven the way Envoy drives it.

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use wasmtime::{Engine, Instance, Linker, Module, Store, WasmParams, WasmResults};

use crate::host::{LocalResponse, Script, link};

const ROOT: u32 = 1;
/// 2026-01-01, in seconds since 1970: what the scripted clock shows unless a test sets it.
const NOW: u64 = 1_767_225_600;

/// What the module tells Envoy to do with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    Continue,
    /// Hold it back.
    Pause,
}

/// The module trapped: in Envoy, its worker's VM would be gone.
#[derive(Debug)]
pub struct Trap(wasmtime::Error);

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the module trapped: {:?}", self.0)
    }
}

impl std::error::Error for Trap {}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The module's answer to the headers, the body and the trailers. Envoy asks no more once there
    /// is a response.
    pub actions: Vec<Action>,
    /// The answer that it gave in the application's stead.
    pub response: Option<LocalResponse>,
}

impl Outcome {
    /// Whether the request reached the application.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.response.is_none() && self.actions.contains(&Action::Continue)
    }

    /// The response's status, details and body.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn refusal(&self) -> (u32, &str, &str) {
        let response = self.response.as_ref().expect("a local response");
        (response.status, &response.details, &response.body)
    }
}

/// What a request and its connection look like to the module.
#[derive(Debug, Clone, Default)]
pub struct Request {
    properties: Vec<(Vec<u8>, Vec<u8>)>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Request {
    /// A request for `path`, on a connection of which nothing is known yet.
    #[must_use]
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::default()
            .header(":method", "GET")
            .header(":path", path)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let header = (name.as_bytes().to_vec(), value.as_ref().to_vec());
        self.headers.push(header);
        self
    }

    /// With a property, `path` as in `connection.mtls`.
    #[must_use]
    pub fn property(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        let path = path.replace('.', "\0").into_bytes();
        self.properties.push((path, value.as_ref().to_vec()));
        self
    }

    /// From a peer that presented this certificate.
    #[must_use]
    pub fn peer(self, digest: &str, pem: impl AsRef<[u8]>) -> Self {
        self.property("connection.mtls", [1])
            .property("connection.sha256_peer_certificate_digest", digest)
            .property("connection.peer_certificate", pem)
    }
}

/// One worker's VM with the shipped filter in it.
pub struct Vm {
    store: Store<Script>,
    instance: Instance,
    next_context: u32,
    granted: BTreeSet<String>,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").finish_non_exhaustive()
    }
}

/// The capabilities that the shipped Envoy configs grant, from `filter/plugin/capabilities.txt`.
#[must_use]
pub fn capabilities() -> BTreeSet<String> {
    include_str!("../../../filter/plugin/capabilities.txt")
        .lines()
        .map(str::to_owned)
        .collect()
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

impl Vm {
    /// Starts a VM, makes the root context and leaves it unconfigured.
    ///
    /// # Panics
    /// If the module cannot be instantiated or traps.
    #[must_use]
    pub fn start() -> Self {
        let (module, linker) = compiled();
        let granted = capabilities();
        let mut script = Script::granting(granted.clone());
        script.now = NOW * 1_000_000_000;
        let mut store = Store::new(module.engine(), script);
        let instance = linker
            .instantiate(&mut store, module)
            .expect("the module can be instantiated");
        let mut vm = Self {
            store,
            instance,
            next_context: ROOT + 1,
            granted,
        };
        vm.export::<(), ()>("_initialize", ()).expect("no trap");
        vm.callback::<_, ()>("proxy_on_context_create", (ROOT, 0))
            .expect("no trap");
        vm.callback::<_, u32>("proxy_on_vm_start", (ROOT, 0))
            .expect("no trap");
        vm
    }

    /// A VM with this configuration in force.
    ///
    /// # Panics
    /// If the module does not accept it.
    #[must_use]
    pub fn with_config(json: &str) -> Self {
        let mut vm = Self::start();
        assert!(vm.configure(json), "refused: {:?}", vm.script().logs);
        vm
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

    /// Hands the module a configuration; whether it accepts it.
    ///
    /// # Panics
    /// If it traps.
    pub fn configure(&mut self, json: impl AsRef<[u8]>) -> bool {
        let json = json.as_ref();
        self.store.data_mut().configuration = json.to_vec();
        let size = u32::try_from(json.len()).expect("a configuration under 4 GiB");
        let accepted: Result<Option<u32>, Trap> = self.callback("proxy_on_configure", (ROOT, size));
        match accepted {
            Ok(accepted) => accepted == Some(1),
            Err(trap) => panic!("on_configure: {trap}"),
        }
    }

    /// Runs one request to its end.
    ///
    /// # Panics
    /// If the module traps.
    pub fn request(&mut self, request: &Request) -> Outcome {
        match self.try_request(request) {
            Ok(outcome) => outcome,
            Err(trap) => panic!("{trap}\n{:?}", self.script().logs),
        }
    }

    /// Runs one request to its end.
    ///
    /// # Errors
    /// If the module traps.
    pub fn try_request(&mut self, request: &Request) -> Result<Outcome, Trap> {
        let context = self.next_context;
        self.next_context += 1;
        let script = self.store.data_mut();
        script.properties = request.properties.iter().cloned().collect();
        script.headers.clone_from(&request.headers);
        script.response = None;
        self.callback::<_, ()>("proxy_on_context_create", (context, ROOT))?;
        let count = u32::try_from(request.headers.len()).unwrap_or(u32::MAX);
        let mut actions = vec![self.stream("proxy_on_request_headers", (context, count, 0))?];
        if self.store.data().response.is_none() {
            actions.push(self.stream("proxy_on_request_body", (context, 10, 0))?);
        }
        if self.store.data().response.is_none() {
            actions.push(self.stream("proxy_on_request_trailers", (context, 1))?);
        }
        self.callback::<_, u32>("proxy_on_done", (context,))?;
        self.callback::<_, ()>("proxy_on_log", (context,))?;
        self.callback::<_, ()>("proxy_on_delete", (context,))?;
        let response = self.store.data_mut().response.take();
        Ok(Outcome { actions, response })
    }

    /// A stream callback. One that is not granted is not made, and Envoy goes on without it.
    fn stream(&mut self, name: &str, with: impl WasmParams) -> Result<Action, Trap> {
        match self.callback::<_, u32>(name, with)? {
            None | Some(0) => Ok(Action::Continue),
            Some(_) => Ok(Action::Pause),
        }
    }

    fn callback<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
        with: P,
    ) -> Result<Option<R>, Trap> {
        if !self.granted.contains(name) {
            return Ok(None);
        }
        self.export(name, with).map(Some)
    }

    fn export<P: WasmParams, R: WasmResults>(&mut self, name: &str, with: P) -> Result<R, Trap> {
        self.instance
            .get_typed_func::<P, R>(&mut self.store, name)
            .and_then(|function| function.call(&mut self.store, with))
            .map_err(Trap)
    }
}
