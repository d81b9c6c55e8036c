//! The SPIFFE Workload API (SPIFFE Workload API §5): X.509-SVIDs and bundles for applications without Envoy.

mod package;
mod proto;
mod service;

pub(crate) use package::Packages;
pub(crate) use proto::spiffe_workload_api_server::SpiffeWorkloadApiServer;
pub(crate) use service::WorkloadApi;
