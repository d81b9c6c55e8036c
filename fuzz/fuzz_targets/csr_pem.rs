//! Reading a certification request's PEM and writing it again agree.
//!
//! What is accepted has one label of those expected, and written anew reads back as the same octets. What was written by us
//! is always accepted, whatever white space stands around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pem_rfc7468::{LineEnding, encode_string};

#[path = "../../signer/daemon/src/pem.rs"]
#[expect(dead_code, reason = "only the reader is under test")]
mod pem;

const LABELS: &[&str] = &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

fuzz_target!(|input: (&[u8], bool)| {
    let (octets, written) = input;
    if written {
        accepts_what_was_written(octets);
    } else if let Ok(der) = pem::request(octets, LABELS) {
        let begins = octets
            .windows(11)
            .filter(|window| window == b"-----BEGIN ")
            .count();
        assert_eq!(begins, 1);
        accepts_what_was_written(&der);
    }
});

/// A block of nothing is no request.
fn accepts_what_was_written(der: &[u8]) {
    if der.is_empty() {
        return;
    }
    for ending in [LineEnding::LF, LineEnding::CRLF] {
        let text = encode_string("CERTIFICATE REQUEST", ending, der).expect("it can be written");
        if text.len() + 3 <= pem::LONGEST {
            let around = format!("\n{text}\r\n");
            assert_eq!(pem::request(around.as_bytes(), LABELS).as_deref(), Ok(der));
        }
    }
}
