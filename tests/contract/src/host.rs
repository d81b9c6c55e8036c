//! The host's side of proxy-wasm ABI 0.2.1, as much as the filter may use.

mod effects;

use wasmtime::{Caller, Engine, ExternType, Linker, Memory, Module, Result, Val};

use crate::script::{Headers, LocalResponse, Script, status};

const REQUEST_HEADERS: u32 = 0;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;

pub(crate) type Host<'a> = Caller<'a, Script>;

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

fn number(caller: &mut Host<'_>, at: u32, value: u32) -> Result<()> {
    memory(caller).write(caller, at as usize, &value.to_le_bytes())?;
    Ok(())
}

/// Hands a value to the module the way Envoy does: in memory that the module itself allocates.
fn give(caller: &mut Host<'_>, value: &[u8], data: u32, size: u32) -> Result<u32> {
    let allocate = caller
        .get_export("proxy_on_memory_allocate")
        .and_then(wasmtime::Extern::into_func)
        .expect("the module exports its allocator")
        .typed::<u32, u32>(&*caller)?;
    let length = u32::try_from(value.len())?;
    let at = match length {
        0 => 0,
        _ => allocate.call(&mut *caller, length)?,
    };
    memory(caller).write(&mut *caller, at as usize, value)?;
    number(caller, data, at)?;
    number(caller, size, length)?;
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
    headers(&mut linker)?;
    writes(&mut linker)?;
    effects::shared(&mut linker)?;
    effects::contexts(&mut linker)?;
    effects::metrics(&mut linker)?;
    effects::calls(&mut linker)?;
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

/// Notes a call of the module; the status to fail with if it is not granted or told to fail.
fn granted(caller: &mut Host<'_>, call: &str, on: &str) -> Option<u32> {
    let script = caller.data_mut();
    if !script.granted.contains(call) {
        script.ungranted.insert(call.to_owned());
        return Some(status::INTERNAL_FAILURE);
    }
    script.enter(format!("{call} {on}").trim_end().to_owned())
}

fn reads(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut caller: Host<'_>, kind: u32, _: u32, max: u32, data: u32, size: u32| -> Result<u32> {
            if let Some(failure) = granted(&mut caller, "proxy_get_buffer_bytes", "") {
                return Ok(failure);
            }
            let mut value = match kind {
                PLUGIN_CONFIGURATION => caller.data().configuration.clone(),
                CALL_RESPONSE_BODY => caller.data().call_response.1.clone(),
                other => panic!("buffer {other} is read"),
            };
            value.truncate(max as usize);
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
            let value = caller.data_mut().context().properties.get(&path).cloned();
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

fn headers(linker: &mut Linker<Script>) -> Result<()> {
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
            let key = bytes(&mut caller, key, length)?;
            let shown = String::from_utf8_lossy(&key).into_owned();
            if let Some(failure) = granted(&mut caller, "proxy_get_header_map_value", &shown) {
                return Ok(failure);
            }
            let value = find(map_of(&mut caller, map), &key);
            give_or_not_found(&mut caller, value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut caller: Host<'_>,
         map: u32,
         key: u32,
         length: u32,
         value: u32,
         value_size: u32|
         -> Result<u32> {
            let key = bytes(&mut caller, key, length)?;
            let value = bytes(&mut caller, value, value_size)?;
            let shown = String::from_utf8_lossy(&key).into_owned();
            if let Some(failure) = granted(&mut caller, "proxy_replace_header_map_value", &shown) {
                return Ok(failure);
            }
            let headers = map_of(&mut caller, map);
            headers.retain(|(name, _)| *name != key);
            headers.push((key, value));
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut caller: Host<'_>, map: u32, key: u32, length: u32| -> Result<u32> {
            let key = bytes(&mut caller, key, length)?;
            let shown = String::from_utf8_lossy(&key).into_owned();
            if let Some(failure) = granted(&mut caller, "proxy_remove_header_map_value", &shown) {
                return Ok(failure);
            }
            map_of(&mut caller, map).retain(|(name, _)| *name != key);
            Ok(status::OK)
        },
    )?;
    Ok(())
}

fn map_of<'a>(caller: &'a mut Host<'_>, map: u32) -> &'a mut Headers {
    match map {
        REQUEST_HEADERS => &mut caller.data_mut().context().headers,
        CALL_RESPONSE_HEADERS => &mut caller.data_mut().call_response.0,
        other => panic!("header map {other} is used"),
    }
}

fn find(headers: &Headers, key: &[u8]) -> Option<Vec<u8>> {
    let found = headers.iter().find(|(name, _)| *name == key);
    found.map(|(_, value)| value.clone())
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
        "proxy_set_property",
        |mut caller: Host<'_>, path: u32, length: u32, value: u32, size: u32| -> Result<u32> {
            let path = text(&mut caller, path, length)?;
            let value = text(&mut caller, value, size)?;
            if let Some(failure) = granted(&mut caller, "proxy_set_property", &path) {
                return Ok(failure);
            }
            caller.data_mut().context().filter_state.insert(path, value);
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
                headers: pairs(&bytes(&mut caller, headers, headers_size)?),
                grpc_status,
            };
            if let Some(failure) = granted(&mut caller, "proxy_send_local_response", "") {
                return Ok(failure);
            }
            caller.data_mut().context().response = Some(response);
            Ok(status::OK)
        },
    )?;
    Ok(())
}

/// A header map in the ABI's form: count, then the sizes, then the strings, each ended by NUL.
fn pairs(map: &[u8]) -> Vec<(String, String)> {
    let number = |at: usize| {
        let bytes = map.get(4 * at..4 * at + 4).expect("a whole map");
        u32::from_le_bytes(bytes.try_into().expect("4 bytes")) as usize
    };
    let count = if map.is_empty() { 0 } else { number(0) };
    let mut at = 4 + 8 * count;
    let mut next = |length: usize| {
        let bytes = map.get(at..at + length).expect("a whole map");
        assert_eq!(
            map.get(at + length),
            Some(&0),
            "each string is ended by NUL"
        );
        at += length + 1;
        String::from_utf8_lossy(bytes).into_owned()
    };
    (0..count)
        .map(|n| (next(number(2 * n + 1)), next(number(2 * n + 2))))
        .collect()
}
