//! SPIFFE workload identity for Envoy.

fn main() {}
