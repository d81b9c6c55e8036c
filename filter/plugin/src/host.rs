//! The calls to the proxy-wasm host (ABI 0.2.1) that the filter makes, and their failures.
//!
//! The SDK's own wrappers panic on a status that they do not expect, and its `Status` is an enum
//! that a newer host could give a value outside of. A panic here would take the worker's VM down, so each
//! call is made directly and every status but 0 is an error value. One call is left to the SDK:
//! `dispatch_http_call`, since its dispatcher has to know the token; only the singleton makes it, and no request
//! ever comes near it.
#![allow(
    unsafe_code,
    reason = "host calls are foreign functions; this module is the only one that makes them"
)]

use std::ptr;

/// A status other than Ok: the call had no effect that could be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

const REQUEST_HEADERS: u32 = 0;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
const DOWNSTREAM: u32 = 2;
/// Envoy derives the gRPC status from the HTTP one where the request is gRPC.
const NO_GRPC_STATUS: i32 = -1;

/// Severities of Envoy's log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Info = 2,
    Error = 4,
    Critical = 5,
}

/// The properties that are read: path elements, each ended by NUL.
pub(crate) mod property {
    pub(crate) const CONNECTION: &[u8] = b"connection\0id";
    pub(crate) const MTLS: &[u8] = b"connection\0mtls";
    pub(crate) const TLS_VERSION: &[u8] = b"connection\0tls_version";
    pub(crate) const PEER_DIGEST: &[u8] = b"connection\0sha256_peer_certificate_digest";
    pub(crate) const PEER_PEM: &[u8] = b"connection\0peer_certificate";
    pub(crate) const PORT: &[u8] = b"destination\0port";
    pub(crate) const SOURCE: &[u8] = b"source\0address";
    pub(crate) const ROUTE: &[u8] = b"xds\0route_name";
    pub(crate) const CLUSTER: &[u8] = b"xds\0cluster_name";
    pub(crate) const SERVER_DIGEST: &[u8] = b"upstream\0sha256_peer_certificate_digest";
    pub(crate) const SERVER_PEM: &[u8] = b"upstream\0peer_certificate";
    pub(crate) const RESPONSE_DETAILS: &[u8] = b"response\0code_details";
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_close_stream(kind: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

/// Writes to Envoy's log; there is nowhere to report a failure to.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: the host reads `len` bytes at the pointer during the call and keeps neither.
    unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> Result<u64, Failed> {
    let mut time = 0;
    // SAFETY: the host writes 8 bytes at a pointer that is valid for the call.
    ok(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) }).map(|()| time)
}

/// The plugin's configuration, `size` bytes of it.
pub(crate) fn plugin_configuration(size: usize) -> Result<Vec<u8>, Failed> {
    // SAFETY: `read` gives pointers that are valid for the call.
    read(|data, len| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, len) })
        .map(Option::unwrap_or_default)
}

/// The body of the response to a call of ours, at most `size` bytes of it.
pub(crate) fn call_response_body(size: usize) -> Result<Vec<u8>, Failed> {
    // SAFETY: `read` gives pointers that are valid for the call.
    read(|data, len| unsafe { proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, size, data, len) })
        .map(Option::unwrap_or_default)
}

/// A header of the response to a call of ours; none if there is none.
pub(crate) fn call_response_header(name: &str) -> Result<Option<Vec<u8>>, Failed> {
    header(CALL_RESPONSE_HEADERS, name)
}

/// A request header's bytes; none if there is none.
pub(crate) fn request_header(name: &str) -> Result<Option<Vec<u8>>, Failed> {
    header(REQUEST_HEADERS, name)
}

fn header(map: u32, name: &str) -> Result<Option<Vec<u8>>, Failed> {
    // SAFETY: `read` gives pointers that are valid for the call; the host only reads the name.
    read(|data, len| unsafe {
        proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, len)
    })
}

/// Sets a request header; whatever was there under its name is gone.
pub(crate) fn set_request_header(name: &str, value: &str) -> Result<(), Failed> {
    // SAFETY: the host reads both during the call and keeps none.
    ok(unsafe {
        proxy_replace_header_map_value(
            REQUEST_HEADERS,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes a request header, however often it is there; fine if it is not.
pub(crate) fn remove_request_header(name: &str) -> Result<(), Failed> {
    // SAFETY: the host reads the name during the call and does not keep it.
    match unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) } {
        NOT_FOUND => Ok(()),
        status => ok(status),
    }
}

/// Sets filter state, for access logs: `%FILTER_STATE(wasm.<name>:PLAIN)%`.
pub(crate) fn set_property(name: &str, value: &str) -> Result<(), Failed> {
    // SAFETY: the host reads both during the call and keeps none.
    ok(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A property's bytes; none if there is none.
pub(crate) fn property(path: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
    // SAFETY: `read` gives pointers that are valid for the call; the host only reads the path.
    read(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// Answers the request. `details` goes to Envoy's access log.
pub(crate) fn send_local_response(
    status: u32,
    details: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(), Failed> {
    let headers = serialize(headers);
    // SAFETY: the host reads each buffer during the call and keeps none.
    ok(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// A value that the workers share, and its `cas`; none if there is none.
pub(crate) fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, Failed> {
    let mut cas = 0;
    let at = &raw mut cas;
    // SAFETY: `read` gives pointers that are valid for the call, as `at` is; the host only reads the key.
    let value =
        read(|data, len| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, len, at) })?;
    Ok(value.map(|value| (value, cas)))
}

/// Sets a value that the workers share; false if it is there and its `cas` is another. 0 sets it in any case.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<bool, Failed> {
    // SAFETY: the host reads both during the call and keeps none.
    let status =
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) };
    match status {
        CAS_MISMATCH => Ok(false),
        status => ok(status).map(|()| true),
    }
}

/// Calls a function that Envoy has beside the ABI.
pub(crate) fn call_foreign(name: &str, arguments: &[u8]) -> Result<(), Failed> {
    // SAFETY: `read` gives pointers that are valid for the call; the host only reads the rest.
    read(|data, len| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            len,
        )
    })?
    .map(|_| ())
    .ok_or(Failed)
}

/// Makes calls speak of another context of this VM, until this callback returns or it is called again.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_set_effective_context(context) })
}

/// Closes the connection of the effective context. The host may call back before this returns.
pub(crate) fn close_downstream() -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_close_stream(DOWNSTREAM) })
}

/// Has the root called each so many milliseconds.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// The id of the metric of this name, which is made if it is not there.
pub(crate) fn define_metric(kind: Kind, name: &str) -> Result<u32, Failed> {
    let mut id = 0;
    // SAFETY: the host reads the name and writes 4 bytes at a pointer that is valid for the call.
    ok(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })
        .map(|()| id)
}

/// Adds to a counter; adding 0 is an error to Envoy.
pub(crate) fn increment(id: u32, by: i64) -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_increment_metric(id, by) })
}

/// Sets a gauge, or adds a value to a histogram.
pub(crate) fn record(id: u32, value: u64) -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_record_metric(id, value) })
}

fn ok(status: u32) -> Result<(), Failed> {
    match status {
        OK => Ok(()),
        _ => Err(Failed),
    }
}

fn read(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, Failed> {
    let mut data: *mut u8 = ptr::null_mut();
    let mut size = 0;
    match call(&raw mut data, &raw mut size) {
        OK if data.is_null() || size == 0 => Ok(Some(Vec::new())),
        // SAFETY: the host got this memory from the SDK's `proxy_on_memory_allocate(size)`, a boxed
        // slice of `size` bytes, filled it, and gave it to us to own.
        OK => Ok(Some(unsafe {
            Box::from_raw(ptr::slice_from_raw_parts_mut(data, size)).into_vec()
        })),
        NOT_FOUND => Ok(None),
        _ => Err(Failed),
    }
}

/// The ABI's form of a header map: count, then the sizes, then the strings, each ended by NUL;
/// numbers are 32-bit little-endian.
fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let texts = || headers.iter().flat_map(|(name, value)| [name, value]);
    let mut bytes = number(headers.len()).to_vec();
    bytes.extend(texts().flat_map(|text| number(text.len())));
    bytes.extend(texts().flat_map(|text| text.bytes().chain([0])));
    bytes
}
