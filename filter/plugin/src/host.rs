//! The calls to the proxy-wasm host (ABI 0.2.1) that the filter makes, and their failures.
//!
//! The SDK's own wrappers panic on a status that they do not expect, and its `Status` is an enum
//! that a newer host could give a value outside of. A panic here would take the worker's VM down, so each
//! call is made directly and every status but 0 is an error value.
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

const REQUEST_HEADERS: u32 = 0;
const PLUGIN_CONFIGURATION: u32 = 7;
const COUNTER: u32 = 0;
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
    pub(crate) const MTLS: &[u8] = b"connection\0mtls";
    pub(crate) const PEER_DIGEST: &[u8] = b"connection\0sha256_peer_certificate_digest";
    pub(crate) const PEER_PEM: &[u8] = b"connection\0peer_certificate";
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
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
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

/// A request header's bytes; none if there is none.
pub(crate) fn request_header(name: &str) -> Result<Option<Vec<u8>>, Failed> {
    // SAFETY: `read` gives pointers that are valid for the call; the host only reads the name.
    read(|data, len| unsafe {
        proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, len)
    })
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

/// The id of the counter of this name, which is made if it is not there.
pub(crate) fn define_counter(name: &str) -> Result<u32, Failed> {
    let mut id = 0;
    // SAFETY: the host reads the name and writes 4 bytes at a pointer that is valid for the call.
    ok(unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) }).map(|()| id)
}

/// Adds to a counter; adding 0 is an error to Envoy.
pub(crate) fn increment(id: u32, by: i64) -> Result<(), Failed> {
    // SAFETY: no pointer is passed.
    ok(unsafe { proxy_increment_metric(id, by) })
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
