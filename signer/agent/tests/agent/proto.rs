//! The Workload API's client, generated from the same file as the server.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "written by a generator"
)]

tonic::include_proto!("_");
