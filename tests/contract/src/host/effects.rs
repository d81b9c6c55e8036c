//! Host calls that change something beyond a request: shared data, other contexts, metrics, calls.

use wasmtime::{Linker, Result, Val};

use super::{Host, bytes, give, granted, number, pairs, text};
use crate::script::{HttpCall, Script, status};

const DOWNSTREAM: u32 = 2;

pub(super) fn shared(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut caller: Host<'_>,
         key: u32,
         length: u32,
         data: u32,
         size: u32,
         cas: u32|
         -> Result<u32> {
            let key = text(&mut caller, key, length)?;
            if let Some(failure) = granted(&mut caller, "proxy_get_shared_data", &key) {
                return Ok(failure);
            }
            let Some((value, at)) = caller.data().shared.get(&key) else {
                return Ok(status::NOT_FOUND);
            };
            number(&mut caller, cas, at)?;
            give(&mut caller, &value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut caller: Host<'_>,
         key: u32,
         length: u32,
         value: u32,
         size: u32,
         cas: u32|
         -> Result<u32> {
            let key = text(&mut caller, key, length)?;
            let value = bytes(&mut caller, value, size)?;
            if let Some(failure) = granted(&mut caller, "proxy_set_shared_data", &key) {
                return Ok(failure);
            }
            Ok(caller.data().shared.set(&key, value, cas))
        },
    )?;
    Ok(())
}

pub(super) fn contexts(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut caller: Host<'_>, context: u32| -> Result<u32> {
            if let Some(failure) = granted(&mut caller, "proxy_set_effective_context", "") {
                return Ok(failure);
            }
            let script = caller.data_mut();
            if !script.contexts.contains_key(&context) {
                return Ok(status::BAD_ARGUMENT);
            }
            script.effective = Some(context);
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_close_stream",
        |mut caller: Host<'_>, kind: u32| -> Result<u32> {
            assert_eq!(kind, DOWNSTREAM, "only connections are closed");
            if let Some(failure) = granted(&mut caller, "proxy_close_stream", "") {
                return Ok(failure);
            }
            caller.data_mut().context().closes += 1;
            let script = caller.data();
            let context = script.effective.unwrap_or(script.current);
            match script.closes_at_once {
                true => end(&mut caller, context)?,
                false => caller.data_mut().ended.push(context),
            }
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut caller: Host<'_>, period: u32| -> Result<u32> {
            let call = "proxy_set_tick_period_milliseconds";
            if let Some(failure) = granted(&mut caller, call, "") {
                return Ok(failure);
            }
            let script = caller.data_mut();
            script.tick_periods.insert(script.current, period);
            Ok(status::OK)
        },
    )?;
    Ok(())
}

/// The end of a connection, called back from within the call that asked for it.
fn end(caller: &mut Host<'_>, context: u32) -> Result<()> {
    let (current, effective) = (caller.data().current, caller.data().effective);
    for (name, arguments) in [
        ("proxy_on_downstream_connection_close", vec![context, 1]),
        ("proxy_on_done", vec![context]),
        ("proxy_on_delete", vec![context]),
    ] {
        if !caller.data().granted.contains(name) {
            continue;
        }
        caller.data_mut().current = context;
        caller.data_mut().effective = None;
        let function = caller
            .get_export(name)
            .and_then(wasmtime::Extern::into_func)
            .expect("the module exports its callbacks");
        let arguments: Vec<Val> = arguments
            .into_iter()
            .map(|argument| Val::I32(argument.cast_signed()))
            .collect();
        let mut results = vec![Val::I32(0); function.ty(&*caller).results().len()];
        function.call(&mut *caller, &arguments, &mut results)?;
    }
    let script = caller.data_mut();
    script.current = current;
    script.effective = effective.filter(|effective| *effective != context);
    script.contexts.remove(&context);
    Ok(())
}

pub(super) fn metrics(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut caller: Host<'_>, kind: u32, name: u32, size: u32, id: u32| -> Result<u32> {
            let name = text(&mut caller, name, size)?;
            if let Some(failure) = granted(&mut caller, "proxy_define_metric", &name) {
                return Ok(failure);
            }
            match caller.data_mut().define(kind, name) {
                Some(defined) => number(&mut caller, id, defined).map(|()| status::OK),
                None => Ok(status::BAD_ARGUMENT),
            }
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
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |mut caller: Host<'_>, id: u32, value: u64| -> Result<u32> {
            if let Some(failure) = granted(&mut caller, "proxy_record_metric", "") {
                return Ok(failure);
            }
            Ok(caller.data_mut().record(id, value))
        },
    )?;
    Ok(())
}

pub(super) fn calls(linker: &mut Linker<Script>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut caller: Host<'_>,
         name: u32,
         length: u32,
         arguments: u32,
         arguments_size: u32,
         _: u32,
         _: u32|
         -> Result<u32> {
            let name = text(&mut caller, name, length)?;
            let arguments = bytes(&mut caller, arguments, arguments_size)?;
            if let Some(failure) = granted(&mut caller, "proxy_call_foreign_function", &name) {
                return Ok(failure);
            }
            let context = caller.data_mut().context();
            context.foreign_calls.push((name, arguments));
            Ok(status::OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |mut caller: Host<'_>,
         cluster: u32,
         length: u32,
         headers: u32,
         headers_size: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         timeout_ms: u32,
         token: u32|
         -> Result<u32> {
            let cluster = text(&mut caller, cluster, length)?;
            let headers = pairs(&bytes(&mut caller, headers, headers_size)?);
            if let Some(failure) = granted(&mut caller, "proxy_http_call", &cluster) {
                return Ok(failure);
            }
            let calls = &mut caller.data_mut().http_calls;
            let id = u32::try_from(calls.len())? + 1;
            calls.push(HttpCall {
                token: id,
                cluster,
                headers,
                timeout_ms,
            });
            number(&mut caller, token, id)?;
            Ok(status::OK)
        },
    )?;
    Ok(())
}
