//! A principal prints as it was written, and its SPIFFE ID is one by an independent reading of SPIFFE-ID §2.
#![no_main]

use credence_policy::Principal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let plain = plainly_an_id(text.strip_suffix("/*").unwrap_or(text));
    match Principal::new(text) {
        Ok(principal) => {
            assert_eq!(principal.to_string(), text);
            assert!(plain, "{text}");
        }
        // A trust domain alone is an ID but no principal.
        Err(_) => assert!(
            !plain || text.len() > 2048 || text.matches('/').count() == 2,
            "{text}"
        ),
    }
});

fn plainly_an_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let in_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let in_segment = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=255).contains(&domain.len())
        && domain.chars().all(in_domain)
        && parts.all(|s| !s.is_empty() && s != "." && s != ".." && s.chars().all(in_segment))
}
