//! From a proof to a SPIFFE ID.

pub mod claimed;
pub mod domains;
pub mod pattern;
pub mod template;

use crate::error::{Refusal, cut};
use spiffe::SpiffeId;

/// The longest SPIFFE ID, in octets (SPIFFE-ID §2.3).
pub const LONGEST_ID: usize = 2048;
/// The longest value that a template puts into a path, in octets: the longest name of a Kubernetes service
/// account or pod.
pub const LONGEST_VALUE: usize = 253;

/// Reads a workload's SPIFFE ID: with a path, and written as it is compared, in at most [`LONGEST_ID`] octets.
///
/// # Errors
/// If it is anything else.
pub fn workload(text: &str) -> Result<SpiffeId, Refusal> {
    let refused = || Refusal::Identity(cut(text));
    if text.len() > LONGEST_ID {
        return Err(refused());
    }
    let id = SpiffeId::new(text).map_err(|_| refused())?;
    // upper case in the trust domain is read, but would not be the same octets in a certificate
    if id.path().is_empty() || id.to_string() != text {
        return Err(refused());
    }
    Ok(id)
}

/// Whether a text can stand in a path as one segment (SPIFFE-ID §2.2).
#[must_use]
pub fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_VALUE
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_a_workload_s_id_and_nothing_else() {
        assert!(workload("spiffe://example.org/ns/a/sa/b").is_ok());
        let long = format!("spiffe://example.org/{}", "a/".repeat(1100));
        for bad in [
            "",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://Example.org/a",
            "SPIFFE://example.org/a",
            "https://example.org/a",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a//b",
            "spiffe://example.org/a%2fb",
            "spiffe://example.org/a b",
            "spiffe://example.org:1/a",
            "spiffe://u@example.org/a",
            "spiffe://example.org/a?x",
            "spiffe://example.org/é",
            long.trim_end_matches('/'),
        ] {
            assert!(workload(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_segment_is_just_what_a_path_takes(text in "[ -~é]{0,8}|\\.{0,3}|[a-z]{250,256}") {
            let path = SpiffeId::new(format!("spiffe://example.org/{text}"));
            let expected = path.is_ok_and(|id| id.path() == format!("/{text}"))
                && !text.contains('/')
                && text.len() <= LONGEST_VALUE;
            prop_assert_eq!(is_segment(&text), expected);
        }
    }
}
