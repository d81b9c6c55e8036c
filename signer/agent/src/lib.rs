//! Keeps a workload supplied with a good certificate and serves Envoy over SDS.
