//! A CA that runs, and calls that it answers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use credence_ca_tests::{
    client::{Csr, DAPR, ISTIO, certificates, uris, verify},
    daemon::{Daemon, SELF, Setup},
    token::Issuer,
    wire::{DaprRequest, IstioResponse, dapr, istio},
};
use prost::Message as _;

use super::{
    grpc::{Call, Dialer, served},
    load::host,
};

/// Dapr's frontend, beside Istio's.
const DAPR_SECTIONS: &str = r#"
[attestors.sidecars]
kind = "jwt"
issuer = "https://kubernetes.test"
audiences = ["dapr"]
jwks_file = "jwks.json"
algorithms = ["ES256"]
identity = "subject"

[dapr]
jwks = ["sidecars"]
"#;

/// Rates that nobody reaches: what an identity gets a second is not what is measured.
pub(super) const NO_RATES: &str = r#"
[limits]
identity_burst = 1000000000
identity_interval = "1us"
global_burst = 1000000000
global_interval = "1us"
"#;

/// Keeps the ledger without waiting for the disk.
pub(super) const VOLATILE: &str = "
[ledger]
volatile = true
";

/// A CA, and how to reach it.
pub(super) struct World {
    /// The process.
    pub(super) daemon: Daemon,
    /// To it.
    pub(super) dialer: Dialer,
}

impl World {
    /// Starts a CA with these further sections in a folder of its own below `within`.
    ///
    /// # Errors
    /// If it does not serve.
    pub(super) async fn start(program: &Path, within: &Path, sections: &str) -> Result<Self> {
        let mut setup = Setup::new(
            &program.to_string_lossy(),
            &format!("{DAPR_SECTIONS}{sections}"),
        );
        setup.within = PathBuf::from(within);
        let daemon = setup.start();
        Self::of(daemon).await
    }

    /// Of a daemon that serves. A certificate of it is looked at, once.
    ///
    /// # Errors
    /// If it is not good.
    pub(super) async fn of(daemon: Daemon) -> Result<Self> {
        let roots = daemon.roots();
        let dialer = Dialer::new(daemon.running().grpc, roots.clone(), SELF)?;
        let call = istio_call(&daemon.setup.issuer, "probe")?;
        let mut sender = dialer.connect(host(0)).await?;
        let message = served(&mut sender, &call).await?;
        let answer = IstioResponse::decode(message.slice(5..))?;
        let chain: Vec<_> = answer
            .cert_chain
            .iter()
            .flat_map(|pem| certificates(pem))
            .collect();
        verify(&chain, &roots)?;
        let named = chain.first().map(|leaf| uris(leaf));
        let wanted = "spiffe://example.org/ns/bench/sa/probe";
        ensure!(named == Some(vec![wanted.to_owned()]), "{named:?}");
        Ok(Self { daemon, dialer })
    }

    /// Its process.
    #[must_use]
    pub(super) fn pid(&self) -> u32 {
        self.daemon.running().pid()
    }

    /// Istio's calls of so many workloads, each with an identity, a token and a key of its own.
    ///
    /// # Errors
    /// If one cannot be made.
    pub(super) fn istio(&self, workloads: usize) -> Result<Arc<[Call]>> {
        let issuer = &self.daemon.setup.issuer;
        (0..workloads)
            .map(|number| istio_call(issuer, &format!("workload-{number}")))
            .collect()
    }

    /// Dapr's.
    ///
    /// # Errors
    /// If one cannot be made.
    pub(super) fn dapr(&self, workloads: usize) -> Result<Arc<[Call]>> {
        let issuer = &self.daemon.setup.issuer;
        (0..workloads)
            .map(|number| dapr_call(issuer, &format!("app-{number}")))
            .collect()
    }
}

fn istio_call(issuer: &Issuer, account: &str) -> Result<Call> {
    let token = issuer.service_account("bench", account);
    Call::new(ISTIO, Some(&token), &istio(&Csr::p256().pem))
}

fn dapr_call(issuer: &Issuer, app: &str) -> Result<Call> {
    let id = format!("spiffe://example.org/ns/prod/{app}");
    let message = DaprRequest {
        id: app.to_owned(),
        token: issuer.subject(&id, "dapr"),
        ..dapr(&Csr::p256().pem)
    };
    Call::new(DAPR, None, &message)
}
