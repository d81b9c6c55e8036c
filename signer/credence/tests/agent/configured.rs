//! Configurations that are not good ones.

use crate::BINARY;
use credence_ca_tests::agent::Agent;

const LEAST: &str = "trust_domain = \"example.org\"\n[ca]\naddress = \"127.0.0.1:1\"\nroots_file = \"r\"\ntoken_file = \"t\"\n\
                     [[identities]]\nid = \"spiffe://example.org/web\"\nsocket = \"web.sock\"\n";

#[test]
fn every_fault_is_told_at_once_and_nothing_is_begun() {
    let toml = LEAST
        .replace("127.0.0.1:1", "nowhere")
        .replace("/web\"", "\"");
    let agent = Agent::prepared(BINARY, &toml);
    let (code, told) = agent.refused();
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("ca.address") && told.contains("identities[0].id"),
        "{told}"
    );
    assert!(!agent.path("web.sock").exists());
}

#[test]
fn a_name_that_is_none_and_a_folder_that_is_not_there_are_told() {
    let named = LEAST.replace("roots_file", "name = \"no name\"\nroots_file");
    let (code, told) = Agent::prepared(BINARY, &named).refused();
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("ca.name"), "{told}");
    let (code, told) = Agent::prepared(BINARY, &LEAST.replace("web.sock", "no/web.sock")).refused();
    assert_eq!(code, 5, "{told}");
    assert!(told.contains("must exist already"), "{told}");
}
