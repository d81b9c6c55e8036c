//! A canonical host or method is the only spelling of what it stands for: it is canonical itself and stays
//! what it is, no lenient reader makes another of it, and another spelling of it is refused or the same.
#![no_main]

use credence_policy::{canonical_host, canonical_method, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(method) = canonical_method(octets) {
        assert_eq!(method.as_bytes(), octets);
        assert_eq!(method, method.trim().to_ascii_uppercase());
        assert!(!method.contains([',', ' ', '\0', '\r', '\n']));
        for other in [
            format!("{method} "),
            format!("{method},GET"),
            method.to_ascii_lowercase(),
        ] {
            assert!(canonical_method(other.as_bytes()).is_err() || other == method);
        }
    }
    let Ok(host) = canonical_host(octets) else {
        return;
    };
    assert_eq!(canonical_host(host.as_bytes()).as_ref(), Ok(&host));
    assert_eq!(leniently(&host), host);
    // What came in is the host, in whatever case, and at most a port.
    let text = std::str::from_utf8(octets).expect("a host is text");
    let rest = text.get(host.len()..).expect("the host comes first");
    assert!(text.to_ascii_lowercase().starts_with(&host));
    assert!(
        rest.is_empty()
            || rest
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok())
    );
    for same in [format!("{host}:80"), host.to_ascii_uppercase()] {
        if same.len() <= limits::MAX_HOST_BYTES {
            assert_eq!(canonical_host(same.as_bytes()).as_ref(), Ok(&host));
        }
    }
    for other in [
        format!("{host}."),
        format!(".{host}"),
        format!("{host} "),
        format!("user@{host}"),
        format!("{host},example.org"),
        format!("{host}\0"),
        format!("http://{host}"),
        format!("{host}:80:80"),
    ] {
        assert!(canonical_host(other.as_bytes()).is_err(), "{other:?}");
    }
});

/// What a careless reader makes of a host.
fn leniently(host: &str) -> String {
    let host = host.trim().to_lowercase();
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host
        .split([',', '/', '?', '#', '\\', '\0', '%'])
        .next()
        .unwrap_or_default();
    host.trim_matches('.').to_owned()
}
