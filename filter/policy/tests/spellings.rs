//! Random spellings of a guarded path or host: whatever some server could take for it is refused.
#![allow(clippy::unwrap_used, reason = "tests throughout, helpers too")]

mod guards;

use guards::{decide, host_guards, path_guards, with_host, with_path};
use proptest::{prelude::*, sample::select};

/// What some server or other makes of a path: decodes it (twice), turns backslashes, cuts parameters,
/// queries, fragments and what is behind a NUL, folds slashes, resolves dots.
fn served(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = decoded(&text);
    }
    let text = text.replace('\\', "/");
    let text = text.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut kept = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.get(1..3).filter(|_| first == '%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(char::from(byte));
            rest = rest.get(3..).unwrap_or_default();
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// What some server or other makes of a host.
fn named(host: &str) -> Vec<String> {
    let lower = host.to_lowercase();
    let parts = lower.split([',', '@', '/', '\0', '\r', '\n', ';', '\\', '#', '?']);
    parts
        .map(|part| part.trim().split(':').next().unwrap_or_default())
        .map(|part| part.trim().trim_matches('.').to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a path is put together: if somebody could take it for the guarded one, it is refused.
    #[test]
    fn no_spelling_of_a_path_gets_past(parts in prop::collection::vec(select(vec![
        "/", "/", "//", "\\", "%2F", "%5c", "admin", "admin", "open", "%61dmin", "%2561dmin", "..", ".", "%2e", ";", ";x=1",
        "%3B", "?", "#", "%23", "%00", "\0", " ", "%20", "x", "\u{e4}",
    ]), 1..9)) {
        let path = parts.concat();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let served = served(&path);
        if served == "/admin" || served.starts_with("/admin/") {
            for policy in path_guards() {
                prop_assert!(!decide(&policy, with_path(path.as_bytes())), "{:?} is served as {:?}", path, served);
            }
        }
    }

    #[test]
    fn no_spelling_of_a_host_gets_past(parts in prop::collection::vec(select(vec![
        "admin", "admin.test", "admin.test", "ADMIN", ".", "test", "Test", ":", ":80", "@", ",", " ", "\0", "/", "open.test",
        "\r\n", "#", "?", "\t", ";",
    ]), 1..7)) {
        let host = parts.concat();
        if named(&host).iter().any(|name| name == "admin.test") {
            for policy in host_guards() {
                prop_assert!(!decide(&policy, with_host(host.as_bytes())), "{:?}", host);
            }
        }
    }
}
