//! A canonical path is the only spelling of what it stands for: decoded and encoded anew it is itself again,
//! and no lenient reader (decoding, folding slashes, dot segments and parameters) gets to another path.
#![no_main]

use credence_policy::canonical_path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &[u8]| {
    let Ok(path) = canonical_path(target) else {
        return;
    };
    assert!(target.starts_with(path.as_bytes()));
    assert_eq!(canonical_path(path.as_bytes()), Ok(path));
    let decoded = decode(path.as_bytes());
    assert!(std::str::from_utf8(&decoded).is_ok());
    assert_eq!(encode(&decoded), path.as_bytes());
    assert_eq!(leniently(&decoded), decoded);
});

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, after) {
            let hex = [*high, *low];
            let hex = std::str::from_utf8(&hex).unwrap();
            out.push(u8::from_str_radix(hex, 16).unwrap());
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

fn encode(decoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in decoded {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(byte) {
            out.push(*byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

/// What a careless server makes of a path.
fn leniently(decoded: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(decoded).replace('\\', "/");
    let ends_in_slash = text.ends_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if ends_in_slash && !kept.is_empty() {
        out.push('/');
    }
    out.into_bytes()
}
