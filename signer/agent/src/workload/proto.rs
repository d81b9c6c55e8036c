//! The messages and the service on the wire, generated from `proto/`.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "written by a generator"
)]

tonic::include_proto!("_");
