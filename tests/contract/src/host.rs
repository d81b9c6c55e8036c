//! The host's side of proxy-wasm ABI 0.2.1, as much as the filter may use.

use std::collections::{BTreeMap, BTreeSet};

use wasmtime::{Caller, Engine, ExternType, Linker, Memory, Module, Result, Val};

/// Statuses of the ABI.
pub mod status {
    /// It worked.
    pub const OK: u32 = 0;
    /// There is no such thing.
    pub const NOT_FOUND: u32 = 1;
    /// The host refuses the arguments.
    pub const BAD_ARGUMENT: u32 = 2;
    /// The host failed.
    pub const INTERNAL_FAILURE: u32 = 10;
    /// Every status but OK that the ABI knows or could come to know.
    pub const ALL_FAILURES: [u32; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, u32::MAX];
}

/// An answer that the filter gave in the application's stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalResponse {
    /// HTTP status.
    pub status: u32,
    /// What the access log gets.
    pub details: String,
    /// The body.
    pub body: String,
    /// The headers as the ABI serialises them.
    pub headers: Vec<u8>,
    /// -1: derived from the HTTP status.
    pub grpc_status: i32,
}

/// What the module sees, and what it did.
#[derive(Debug, Default)]
pub struct Script {
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// Properties by path, its elements joined by NUL.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Request headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Nanoseconds since 1970.
    pub now: u64,
    /// A host call that fails: its number from the last [`Script::arm`] on (0 is the next), and its
    /// status.
    pub fail: Option<(usize, u32)>,
    /// Names of the host calls made since the last [`Script::arm`].
    pub calls: Vec<String>,
    /// Host calls that no capability grants.
    pub ungranted: BTreeSet<String>,
    /// Log lines with their level.
    pub logs: Vec<(u32, String)>,
    /// Counters by name.
    pub counters: BTreeMap<String, i64>,
    /// The answer to the request under way.
    pub response: Option<LocalResponse>,
    granted: BTreeSet<String>,
    counter_names: Vec<String>,
}

impl Script {
    pub(crate) fn granting(granted: BTreeSet<String>) -> Self {
        Self {
            granted,
            ..Self::default()
        }
    }

    /// Starts to count host calls anew, with the one to fail.
    pub fn arm(&mut self, fail: Option<(usize, u32)>) {
        self.calls.clear();
        self.fail = fail;
    }

    /// How often a property was read since the last [`Script::arm`].
    #[must_use]
    pub fn reads_of(&self, property: &str) -> usize {
        let call = format!("proxy_get_property {property}");
        self.calls.iter().filter(|made| **made == call).count()
    }

    /// Notes a call; the status that it must fail with, if it must.
    fn enter(&mut self, call: String) -> Option<u32> {
        let number = self.calls.len();
        self.calls.push(call);
        match self.fail {
            Some((at, status)) if at == number => Some(status),
            _ => None,
        }
    }
}

type Host<'a> = Caller<'a, Script>;

fn memory(caller: &mut Host<'_>) -> Memory {
    let export = caller.get_export("memory");
    export
        .and_then(wasmtime::Extern::into_memory)
        .expect("the module exports its memory")
}

fn bytes(caller: &mut Host<'_>, at: u32, size: u32) -> Result<Vec<u8>> {
    let mut buffer = vec![0; size as usize];
    memory(caller).read(&*caller, at as usize, &mut buffer)?;
    Ok(buffer)
}

fn text(caller: &mut Host<'_>, at: u32, size: u32) -> Result<String> {
    bytes(caller, at, size).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Hands a value to the module the way Envoy does: in memory that the module itself allocates.
fn give(caller: &mut Host<'_>, value: &[u8], data: u32, size: u32) -> Result<u32> {
    let allocate = caller
        .get_export("proxy_on_memory_allocate")
        .and_then(wasmtime::Extern::into_func)
        .expect("the module exports its allocator")
        .typed::<u32, u32>(&*caller)?;
    let length = u32::try_from(value.len())?;
    let at = allocate.call(&mut *caller, length)?;
    let memory = memory(caller);
    memory.write(&mut *caller, at as usize, value)?;
    memory.write(&mut *caller, data as usize, &at.to_le_bytes())?;
    memory.write(&mut *caller, size as usize, &length.to_le_bytes())?;
    Ok(status::OK)
}

fn give_or_not_found(
    caller: &mut Host<'_>,
    value: Option<Vec<u8>>,
    data: u32,
    size: u32,
) -> Result<u32> {
    match value {
        Some(value) => give(caller, &value, data, size),
        None => Ok(status::NOT_FOUND),
    }
}

/// Defines every import of the module: what the filter uses as it is, the rest as ungranted.
pub(crate) fn link(engine: &Engine, module: &Module) -> Result<Linker<Script>> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    deny_all(&mut linker, module)?;
    reads(&mut linker)?;
    writes(&mut linker)?;
    metrics(&mut linker)?;
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "random_get",
        |mut caller: Host<'_>, at: u32, size: u32| -> Result<u32> {
            // Constant, so that a run can be repeated.
            let constant = vec![7; size as usize];
            memory(&mut caller).write(&mut caller, at as usize, &constant)?;
            Ok(0)
        },
    )?;
    Ok(linker)
}

fn deny_all(linker: &mut Linker<Script>, module: &Module) -> Result<()> {
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else {
            panic!("{} imports something that is no function", import.name());
        };
        let name = import.name().to_owned();
        linker.func_new(
            import.module(),
            import.name(),
            ty,
            move |mut caller, _, results| {
                caller.data_mut().ungranted.insert(name.clone());
                for result in results {
                    *result = Val::I32(status::INTERNAL_FAILURE.cast_signed());
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn reads(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut caller: Host<'_>, kind: u32, _: u32, _: u32, data: u32, size: u32| -> Result<u32> {
            assert_eq!(kind, 7, "only the plugin's configuration may be read");
            if let Some(failure) = granted(&mut caller, "proxy_get_buffer_bytes", "") {
                return Ok(failure);
            }
            let value = caller.data().configuration.clone();
            give(&mut caller, &value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut caller: Host<'_>, path: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            let path = bytes(&mut caller, path, length)?;
            let shown = String::from_utf8_lossy(&path).replace('\0', ".");
            if let Some(failure) = granted(&mut caller, "proxy_get_property", &shown) {
                return Ok(failure);
            }
            let value = caller.data().properties.get(&path).cloned();
            give_or_not_found(&mut caller, value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut caller: Host<'_>,
         map: u32,
         key: u32,
         length: u32,
         data: u32,
         size: u32|
         -> Result<u32> {
            assert_eq!(map, 0, "only request headers may be read");
            let key = bytes(&mut caller, key, length)?;
            let shown = String::from_utf8_lossy(&key).into_owned();
            if let Some(failure) = granted(&mut caller, "proxy_get_header_map_value", &shown) {
                return Ok(failure);
            }
            let headers = &caller.data().headers;
            let value = headers.iter().find(|(name, _)| *name == key);
            let value = value.map(|(_, value)| value.clone());
            give_or_not_found(&mut caller, value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut caller: Host<'_>, at: u32| -> Result<u32> {
            if let Some(failure) = granted(&mut caller, "proxy_get_current_time_nanoseconds", "") {
                return Ok(failure);
            }
            let now = caller.data().now.to_le_bytes();
            memory(&mut caller).write(&mut caller, at as usize, &now)?;
            Ok(status::OK)
        },
    )?;
    Ok(())
}

fn writes(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut caller: Host<'_>, level: u32, at: u32, size: u32| -> Result<u32> {
            let line = text(&mut caller, at, size)?;
            if let Some(failure) = granted(&mut caller, "proxy_log", "") {
                return Ok(failure);
            }
            caller.data_mut().logs.push((level, line));
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut caller: Host<'_>,
         code: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         grpc_status: i32|
         -> Result<u32> {
            let response = LocalResponse {
                status: code,
                details: text(&mut caller, details, details_size)?,
                body: text(&mut caller, body, body_size)?,
                headers: bytes(&mut caller, headers, headers_size)?,
                grpc_status,
            };
            if let Some(failure) = granted(&mut caller, "proxy_send_local_response", "") {
                return Ok(failure);
            }
            caller.data_mut().response = Some(response);
            Ok(status::OK)
        },
    )?;
    Ok(())
}

fn metrics(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut caller: Host<'_>, kind: u32, name: u32, size: u32, id: u32| -> Result<u32> {
            assert_eq!(kind, 0, "only counters are defined");
            let name = text(&mut caller, name, size)?;
            if let Some(failure) = granted(&mut caller, "proxy_define_metric", &name) {
                return Ok(failure);
            }
            let number = caller.data_mut().define(name);
            memory(&mut caller).write(&mut caller, id as usize, &number.to_le_bytes())?;
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |mut caller: Host<'_>, id: u32, by: i64| -> Result<u32> {
            if let Some(failure) = granted(&mut caller, "proxy_increment_metric", "") {
                return Ok(failure);
            }
            Ok(caller.data_mut().increment(id, by))
        },
    )?;
    Ok(())
}

impl Script {
    /// As Envoy: defining a name again gives the same counter. Ids start above 0 to catch a 0 that
    /// nobody gave.
    fn define(&mut self, name: String) -> u32 {
        let known = self.counter_names.iter().position(|other| *other == name);
        let at = known.unwrap_or_else(|| {
            self.counters.insert(name.clone(), 0);
            self.counter_names.push(name);
            self.counter_names.len() - 1
        });
        u32::try_from(at).expect("few counters") + 1
    }

    fn increment(&mut self, id: u32, by: i64) -> u32 {
        let at = (id as usize).checked_sub(1);
        let Some(name) = at.and_then(|at| self.counter_names.get(at)) else {
            return status::NOT_FOUND;
        };
        if by <= 0 {
            return status::BAD_ARGUMENT;
        }
        *self.counters.entry(name.clone()).or_default() += by;
        status::OK
    }
}

/// Notes a call of the module; the status to fail with if it is not granted or told to fail.
fn granted(caller: &mut Host<'_>, call: &str, on: &str) -> Option<u32> {
    let script = caller.data_mut();
    if !script.granted.contains(call) {
        script.ungranted.insert(call.to_owned());
        return Some(status::INTERNAL_FAILURE);
    }
    script.enter(format!("{call} {on}").trim_end().to_owned())
}
