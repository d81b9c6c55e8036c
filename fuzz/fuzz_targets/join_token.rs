//! A join token prints as it was written, in the one form there is; whatever else is read as one differs in what is
//! kept of it.
#![no_main]

use credence_attest::join::{JoinToken, RootPin};
use credence_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| {
    let good = JoinToken::new([7; 32], RootPin::of(b"root"));
    let text = good.to_text();
    let octets = input.apply(text.as_bytes());
    let Ok(tried) = std::str::from_utf8(&octets) else {
        return;
    };
    match JoinToken::parse(tried) {
        Ok(token) => {
            assert_eq!(token.to_text().as_str(), tried);
            assert_eq!(token.hash() == good.hash(), tried == text.as_str());
        }
        Err(error) => {
            assert_ne!(tried, text.as_str());
            // nothing of what may be a secret is told
            let told = error.to_string();
            assert!(tried.len() < 40 || !told.contains(tried), "{told}");
        }
    }
});
