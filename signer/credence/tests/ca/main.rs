//! `credence ca run` as it is typed, and clients that speak Istio's and Dapr's protocols to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

mod issuing;

use credence_ca_tests::daemon::Setup;

fn setup(sections: &str) -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_credence"), sections)
}
