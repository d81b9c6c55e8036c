//! A principal prints as it was written, and what is exact or a prefix in it is of a SPIFFE ID by an
//! independent reading of SPIFFE-ID §2; a prefix holds its whole trust domain.
#![no_main]

use credence_policy::Principal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(principal) = Principal::new(text) else {
        // Whatever is plainly an exact principal is one.
        assert!(text.len() > 2048 || !plainly_exact(text), "{text}");
        return;
    };
    assert_eq!(principal.to_string(), text);
    let domain = principal.trust_domain().map(ToString::to_string);
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(end), _) => {
            assert_eq!(domain, None);
            assert!(!end.contains('*'));
        }
        (None, Some(start)) => {
            let domain = domain.expect("a prefix has a trust domain");
            assert!(start.starts_with(&format!("spiffe://{domain}/")), "{text}");
            // Some ID starts like this.
            let some = if start.ends_with('/') {
                format!("{start}x")
            } else {
                start.to_owned()
            };
            assert!(plainly_exact(&some), "{text}");
        }
        (None, None) => {
            assert!(plainly_exact(text), "{text}");
            assert!(text.starts_with(&format!("spiffe://{}/", domain.expect("an ID has one"))));
        }
    }
});

fn plainly_exact(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let segments: Vec<_> = parts.collect();
    let in_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let in_segment = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=255).contains(&domain.len())
        && domain.chars().all(in_domain)
        && !segments.is_empty()
        && segments
            .iter()
            .all(|s| !s.is_empty() && *s != "." && *s != ".." && s.chars().all(in_segment))
}
