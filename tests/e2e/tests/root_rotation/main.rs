//! The root changes while traffic runs through two real Envoys, and nobody notices.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod pair;
mod sidecar;

use anyhow::{Context, Result, ensure};
use credence_ca_tests::{
    client::verify,
    daemon::{Daemon, Setup},
};
use credence_e2e::{
    access_log::AccessLog,
    envoy::Envoy,
    tools,
    traffic::{Tally, Traffic},
};
use serde_json::Value;
use sidecar::{Leaf, Sidecar};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// What leaves live. Half of it is what a killed CA has to come back in: long enough for a busy machine.
const LIFE: Duration = Duration::from_secs(12);
/// How long one rotation may take.
const LIMIT: Duration = Duration::from_secs(150);
const REQUESTS: u64 = 50_000;
/// A handshake with each so many requests.
const A_CONNECTION: u32 = 100;

const SECTIONS: &str = r#"
[leaf]
shortest = "5s"
usual = "12s"
longest = "12s"

[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
issuer_life = "10min"
root_life = "1h"
rotate_roots = "on-order"

[limits]
identity_burst = 100000
"#;

/// All that runs.
struct Scene {
    // Fields are dropped from the top, the folder last.
    traffic: Traffic,
    frontend: Envoy,
    server: Envoy,
    sidecars: [Sidecar; 2],
    place: watch::Sender<SocketAddr>,
    ca: Daemon,
    log: AccessLog,
    /// Serial numbers of the frontend's certificates on which the server has answered.
    answered: BTreeSet<String>,
    _folder: TempDir,
}

impl Scene {
    async fn start() -> Result<Self> {
        let ca = Setup::new(tools::fresh_credence()?.to_str().unwrap(), SECTIONS).start();
        let place = watch::Sender::new(ca.running().grpc);
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let path = folder.path();
        let sidecar = async |name: &str| {
            let token = ca.setup.issuer.service_account("shop", name);
            let socket = pair::socket(path, name);
            let (place, roots) = (place.subscribe(), ca.roots());
            Sidecar::start(name, LIFE, place, &roots, &token, &socket).await
        };
        let sidecars = [sidecar("frontend").await?, sidecar("server").await?];
        let server = pair::server(path, LIFE).await?;
        let frontend = pair::frontend(path, LIFE, &server, A_CONNECTION).await?;
        Ok(Self {
            traffic: Traffic::start_with(
                frontend.address(),
                "/api/hello",
                8,
                Duration::from_millis(2),
            ),
            frontend,
            server,
            sidecars,
            place,
            log: AccessLog::new(&pair::access_log(path)),
            answered: BTreeSet::new(),
            ca,
            _folder: folder,
        })
    }

    /// Waits until something is so; fails as soon as a request has.
    async fn until(&mut self, what: &str, look: impl AsyncFn(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !look(self).await? {
            let log = self.log.news()?.into_iter();
            let answered = log.filter(|entry| entry.status == 200);
            self.answered
                .extend(answered.map(|entry| entry.certificate_serial));
            let troubled = || {
                let troubles: Vec<_> = self.sidecars.iter().flat_map(Sidecar::troubles).collect();
                let status = self.ca.order(&["ca", "status"]);
                format!("while waiting for {what}: {troubles:#?}\n{status}")
            };
            let tally = self.traffic.so_far();
            if tally.failed > 0 {
                tally.without_failure().with_context(troubled)?;
            }
            ensure!(begun.elapsed() < LIMIT, "not in time; {}", troubled());
            sleep(Duration::from_millis(250)).await;
        }
        eprintln!("{:>5.1} s  {what}", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// A rotation from the order to the old root's end, with `amid` in the middle of each phase.
    async fn rotate(&mut self, amid: impl Fn(&mut Self) -> Result<()>) -> Result<Vec<u8>> {
        let old = self.ca.roots();
        ensure!(old.len() == 1, "{} roots before", old.len());
        self.ca.order(&["ca", "rotate-root"]);
        let both = self.ca.roots();
        ensure!(both.len() == 2 && both[0] == old[0], "not both are told");
        ensure!(phases(&self.ca, "roots")[0] == "distributing");
        amid(self)?;
        let new = both[1].clone();
        self.until("the new root in both Envoys", async |this| {
            Ok(this
                .sidecars
                .iter()
                .all(|sidecar| sidecar.accepted() == both))
        })
        .await?;
        amid(self)?;
        self.until("the new root active", async |this| {
            Ok(this.ca.status()["roots"][0]["phase"] == "active" && this.ca.roots()[0] == new)
        })
        .await?;
        amid(self)?;
        let alone = [new.clone()];
        self.until("the old root gone from the bundle", async |this| {
            Ok(this.ca.roots() == alone)
        })
        .await?;
        self.until("the old root gone from both Envoys", async |this| {
            let accepted = this
                .sidecars
                .iter()
                .all(|sidecar| sidecar.accepted() == alone);
            Ok(accepted && this.told().await?.iter().all(|roots| *roots == alone))
        })
        .await?;
        Ok(new)
    }

    /// The roots in the Envoys' validation contexts, as their admin interfaces tell them.
    async fn told(&self) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut told = Vec::new();
        for envoy in [&self.frontend, &self.server] {
            let (_, bundle) = envoy.secrets().await?;
            told.push(credence_ca_tests::client::certificates(&bundle));
        }
        Ok(told)
    }

    /// Handshakes go on, with certificates below this root alone, on both sides.
    async fn handshakes_below(&mut self, root: &[u8]) -> Result<()> {
        let roots = [root.to_vec()];
        let below = |leaf: &Leaf| verify(&leaf.pair.chain, &roots).is_ok();
        ensure!(self.sidecars.iter().all(|sidecar| below(&sidecar.leaf())));
        let before = self.handshakes().await?;
        self.until("handshakes below the new root", async |this| {
            let frontend = this.sidecars[0].leaves();
            let mut own = frontend.iter().filter(|leaf| below(leaf));
            let known = own.any(|leaf| this.answered.contains(&leaf.serial));
            Ok(known && this.handshakes().await? > before + 10)
        })
        .await
    }

    async fn handshakes(&self) -> Result<u64> {
        self.frontend.stat("cluster.server.ssl.handshake").await
    }

    /// No handshake failed, on either side, whether a request was in it or not.
    async fn no_handshake_failed(&self) -> Result<()> {
        for (name, envoy) in [("frontend", &self.frontend), ("server", &self.server)] {
            let stats = envoy.ask("/stats?filter=ssl").await?;
            let failed = stats.lines().filter(|line| {
                let failure = ["fail_verify_", "connection_error"];
                failure.iter().any(|failure| line.contains(failure)) && !line.ends_with(": 0")
            });
            let failed: Vec<_> = failed.collect();
            ensure!(failed.is_empty(), "{name}: {failed:#?}");
        }
        Ok(())
    }
}

fn phases(ca: &Daemon, of: &str) -> Vec<String> {
    let status = ca.status();
    let all = status[of].as_array().into_iter().flatten();
    all.map(|one| one["phase"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// kill -9, and a start: the state is the one of before.
fn killed(scene: &mut Scene) -> Result<()> {
    let before = phases(&scene.ca, "roots");
    let roots = scene.ca.roots();
    let begun = Instant::now();
    scene.ca.kill();
    scene.ca.start_again();
    scene.place.send_replace(scene.ca.running().grpc);
    eprintln!("{:>5.1} s  away", begun.elapsed().as_secs_f64());
    ensure!(scene.ca.roots() == roots, "it came back with other roots");
    ensure!(phases(&scene.ca, "roots") == before, "another phase");
    Ok(())
}

/// Everything that was signed on the way is in the ledger, and is made again.
fn ledger_verifies(ca: &Daemon, at_least: usize) -> Result<()> {
    let state = ca.folder().join("state");
    let (code, out, err) = ca.command(&[
        "log",
        "verify",
        "--json",
        "--state",
        state.to_str().unwrap(),
    ]);
    ensure!(code == 0, "{out}{err}");
    let told: Value = serde_json::from_str(&out)?;
    ensure!(told["replayed"] == told["issued"], "{told}");
    let issued = told["issued"].as_u64().unwrap();
    ensure!(issued > u64::try_from(at_least)?, "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_roots_one_after_the_other_are_replaced_under_traffic_without_a_failed_request()
-> Result<()> {
    let mut scene = Scene::start().await?;
    let first = scene.rotate(killed).await?;
    scene.handshakes_below(&first).await?;
    let second = scene.rotate(|_| Ok(())).await?;
    ensure!(first != second);
    scene.handshakes_below(&second).await?;
    scene
        .until("enough requests", async |this| {
            Ok(this.traffic.so_far().succeeded >= REQUESTS)
        })
        .await?;
    scene.no_handshake_failed().await?;
    let handshakes = scene.handshakes().await?;
    let leaves: usize = scene.sidecars.iter().map(|one| one.leaves().len()).sum();
    ledger_verifies(&scene.ca, leaves)?;
    let Scene { traffic, .. } = scene;
    let tally: Tally = traffic.stop().await;
    tally.without_failure()?;
    ensure!(tally.succeeded >= REQUESTS);
    eprintln!(
        "{} requests, {} failed; {handshakes} handshakes, {leaves} certificates",
        tally.succeeded, tally.failed
    );
    Ok(())
}
