//! Credence's agent in this process, with a CA that a test holds the reins of, and Envoys on its socket.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use credence_agent::{
    Agent, Bundle, Clock, CsrDer, Issuance, Issued, Limits, Shelf, Standing, Standings, Upstream,
    UpstreamError, Workload,
};
use credence_e2e::{
    envoy::{Envoy, Generation, Plan, text},
    filter::{FilterFile, Layer},
    process::Fate,
    template::{Edit, seconds},
    wait,
    world::TRUST_DOMAIN,
};
use serde_json::json;
use spiffe::SpiffeId;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::ca::{Order, TestCa};

/// How long something may take that needs a renewal or two.
pub(crate) const SOON: Duration = Duration::from_secs(30);

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        OffsetDateTime::now_utc().into()
    }
}

/// A CA that answers once it is opened.
struct Ca {
    ca: TestCa,
    life: Duration,
    open: AtomicBool,
    serial: AtomicU64,
}

impl Upstream for Ca {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        let now = WallClock.now();
        let mut order = Order::new(
            &id.to_string(),
            now - Duration::from_secs(2),
            now + self.life,
        );
        order.serial = 0x1000 + self.serial.fetch_add(1, Ordering::Relaxed);
        let issued = self.open.load(Ordering::Relaxed).then(|| Issued {
            chain: self.ca.chain(csr.as_bytes(), &order),
            bundle: self.ca.bundle(),
        });
        let issued = issued.ok_or_else(|| UpstreamError::Unavailable("not yet".to_owned()));
        Box::pin(std::future::ready(issued))
    }
}

/// A running agent with one identity on one socket; all of it goes when this is dropped.
pub(crate) struct Rig {
    folder: TempDir,
    ca: Arc<Ca>,
    shelf: Shelf,
    standings: Arc<Standings>,
    agent: JoinHandle<()>,
}

impl Rig {
    /// Its CA answers nothing yet.
    pub(crate) fn closed(life: Duration) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let ca = Arc::new(Ca {
            ca: TestCa::new(WallClock.now()),
            life,
            open: AtomicBool::new(false),
            serial: AtomicU64::new(0),
        });
        let workload = Workload {
            id: id(),
            socket: folder.path().join("agent.sock"),
            uid: None,
            dns_names: Vec::new(),
        };
        let upstream = Arc::clone(&ca) as Arc<dyn Upstream>;
        let clock = Arc::new(WallClock);
        let agent = Agent::bind(vec![workload], upstream, clock, Limits::default())?;
        let (shelf, standings) = (agent.shelf(), agent.standings());
        let agent = tokio::spawn(async move { drop(agent.run(std::future::pending()).await) });
        Ok(Self {
            folder,
            ca,
            shelf,
            standings,
            agent,
        })
    }

    pub(crate) fn open(life: Duration) -> Result<Self> {
        let rig = Self::closed(life)?;
        rig.let_ca_answer();
        Ok(rig)
    }

    pub(crate) fn let_ca_answer(&self) {
        self.ca.open.store(true, Ordering::Relaxed);
    }

    /// The roots of its CA.
    pub(crate) fn roots(&self) -> Vec<Vec<u8>> {
        self.ca.ca.bundle()
    }

    /// Puts other roots in the place of the trust domain's, the later ones with a higher turn.
    /// The numbers are beyond those that the agent gives to what its CA says.
    pub(crate) fn trust(&self, roots: Vec<Vec<u8>>, turn: u64) {
        let sequence = turn.saturating_add(1_000);
        let bundle = Bundle {
            roots,
            sequence: Some(sequence),
            ..Bundle::default()
        };
        assert!(self.shelf.put_bundle(id().trust_domain(), bundle));
    }

    /// How the Envoys are doing, as the agent has it.
    pub(crate) fn standing(&self) -> Standing {
        self.standings.report().remove(&id()).unwrap_or_default()
    }

    /// Starts a server's Envoy, with these changes to the bootstrap that ships.
    pub(crate) async fn server(&self, name: &str, edits: &[Edit]) -> Result<Envoy> {
        let values = self.server_values(name)?;
        let plan = server_plan(name, &values, edits);
        Envoy::start(self.folder.path(), &plan).await
    }

    /// Starts one of the generations of a server's Envoy.
    pub(crate) async fn generation(&self, epoch: u32, port: u16) -> Result<Envoy> {
        let name = format!("server{epoch}");
        let values = self.server_values(&name)?;
        let plan = server_plan(&name, &values, &[]);
        let generation = Generation {
            epoch,
            base_id: &self.folder.path().join("base-id"),
            port,
        };
        Envoy::start_generation(self.folder.path(), &plan, generation).await
    }

    /// Starts a client's Envoy that leads to a server on this port.
    pub(crate) async fn client(&self, port: u16, edits: &[Edit]) -> Result<Envoy> {
        let roles = ["outbound"];
        let config = json!({
            "role": "outbound",
            "policy": {
                "trustDomains": [TRUST_DOMAIN],
                "servers": [{"name": "server", "clusters": ["server"], "principals": [id().to_string()]}],
            },
        });
        let filter = self.filter("client", &roles, &config.to_string())?;
        let values = [
            ("CLIENT", "client".to_owned()),
            ("AGENT_SOCKET", text(&self.socket())?),
            ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("SERVER_ID", id().to_string()),
            ("SERVER_PORT", port.to_string()),
            ("CONNECTION_LIFE", seconds(self.ca.life / 4)),
            ("FILTER_CONFIG", text(filter.path())?),
        ];
        let plan = Plan {
            name: "client",
            bootstrap: "client",
            roles: &roles,
            values: &values,
            edits,
            workers: 1,
            fate: Fate::DiesWithUs,
        };
        Envoy::start(self.folder.path(), &plan).await
    }

    fn server_values(&self, name: &str) -> Result<Vec<(&'static str, String)>> {
        let rule = json!({"name": "itself", "principals": [id().to_string()], "paths": ["/*"]});
        let policy = json!({"trustDomains": [TRUST_DOMAIN], "rules": [rule]});
        let config = json!({"policy": policy, "expiry": {"drainHeader": true}});
        let filter = self.filter(name, &SERVER_ROLES, &config.to_string())?;
        Ok(vec![
            ("AGENT_SOCKET", text(&self.socket())?),
            ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("CONNECTION_LIFE", seconds(self.ca.life / 4)),
            ("DRAIN_TIME", seconds(self.ca.life / 10)),
            (
                "ACCESS_LOG",
                text(&self.folder.path().join(format!("{name}.access.log")))?,
            ),
            ("FILTER_CONFIG", text(filter.path())?),
        ])
    }

    fn filter(&self, name: &str, roles: &[&str], config: &str) -> Result<FilterFile> {
        let path = self.folder.path().join(format!("{name}.filter.yaml"));
        FilterFile::create(&path, Layer::Http, roles, &[], config)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

const SERVER_ROLES: [&str; 2] = ["inbound", "companion"];

fn server_plan<'a>(
    name: &'a str,
    values: &'a [(&'static str, String)],
    edits: &'a [Edit],
) -> Plan<'a> {
    Plan {
        name,
        bootstrap: "server",
        roles: &SERVER_ROLES,
        values,
        edits,
        workers: 1,
        fate: Fate::DiesWithUs,
    }
}

/// The one identity that there is: both ends have it.
pub(crate) fn id() -> SpiffeId {
    let id = SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/server"));
    id.expect("it is a SPIFFE ID")
}

/// Delta SDS in the place of state-of-the-world.
pub(crate) fn delta() -> Edit {
    Edit::replace("api_type: GRPC", "api_type: DELTA_GRPC")
}

/// The serial number of the one certificate that an Envoy holds.
pub(crate) async fn serial(envoy: &Envoy) -> Result<String> {
    let held = envoy.held().await?;
    let held = held.into_iter().next().context("it holds no certificate")?;
    Ok(held.serial)
}

/// Waits until an Envoy holds another certificate than this one.
pub(crate) async fn renewed(envoy: &Envoy, than: &str) -> Result<String> {
    wait::until("another certificate", SOON, async || {
        let now = serial(envoy).await?;
        Ok((now != than).then_some(now))
    })
    .await
}
