//! The messages and services on the wire, generated from the daemon's `proto/`. The services' sides are there for tests.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "written by a generator"
)]

/// `istio.v1.auth`
pub mod istio {
    tonic::include_proto!("istio.v1.auth");
}

/// `dapr.proto.sentry.v1`
pub mod dapr {
    tonic::include_proto!("dapr.proto.sentry.v1");
}
