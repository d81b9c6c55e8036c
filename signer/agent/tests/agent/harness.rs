//! What the tests share: a CA with moods, a clock that follows tokio's, an agent in the background, a client.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credence_agent::{
    Agent, AgentError, Clock, CsrDer, Issuance, Issued, Limits, Plan, Shelf, Standing, Standings,
    Upstream, UpstreamError, Workload,
};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status as Refusal;
use hyper_util::rt::TokioIo;
use prost::Message;
use spiffe::SpiffeId;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};
use tower::ServiceExt;

use crate::ca::{Order, TestCa};

pub(crate) const ID: &str = "spiffe://example.org/frontend";
pub(crate) const SECRET_TYPE: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Longer than anything takes; the time is not real.
const FOR_EVER: Duration = Duration::from_secs(30 * 86_400);

/// What a client takes before it reads, in bytes: the least that HTTP/2 has by default, so that a client that reads nothing
/// is soon full.
const WINDOW: u32 = 65_535;

/// The wall clock of a test: moves with tokio's, which is paused.
pub(crate) struct TestClock {
    start: Instant,
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.start.elapsed()
    }
}

/// How the CA answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Unavailable,
    Refuses,
    Silent,
    Panics,
    ForAnotherKey,
    ForAnotherIdentity,
    AlreadyExpired,
    FromAnotherIssuer,
}

pub(crate) struct FakeCa {
    clock: Arc<TestClock>,
    honest: Mutex<TestCa>,
    other: TestCa,
    life: Duration,
    backdating: Duration,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<SystemTime>>,
    keys: Mutex<Vec<Vec<u8>>>,
    serial: AtomicU64,
}

impl FakeCa {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// When it was asked.
    pub(crate) fn asked(&self) -> Vec<SystemTime> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests that it saw.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.keys.lock().unwrap().clone()
    }

    pub(crate) fn replace_root(&self) {
        *self.honest.lock().unwrap() = TestCa::named("New root", self.clock.now());
    }

    fn answer(&self, id: &SpiffeId, csr: &[u8], mood: Mood) -> Issued {
        let now = self.clock.now();
        let mut order = Order::new(&id.to_string(), now - self.backdating, now + self.life);
        order.serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let honest = self.honest.lock().unwrap();
        let bundle = honest.bundle();
        let chain = match mood {
            Mood::ForAnotherKey => honest.chain(&self.requests()[0], &order),
            Mood::ForAnotherIdentity => {
                order.uris = vec!["spiffe://example.org/admin".to_owned()];
                honest.chain(csr, &order)
            }
            Mood::AlreadyExpired => {
                order.not_before = now - 2 * MINUTE;
                order.not_after = now - MINUTE;
                honest.chain(csr, &order)
            }
            Mood::FromAnotherIssuer => self.other.chain(csr, &order),
            Mood::Good | Mood::Unavailable | Mood::Refuses | Mood::Silent | Mood::Panics => {
                honest.chain(csr, &order)
            }
        };
        Issued { chain, bundle }
    }
}

impl Upstream for FakeCa {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        let mood = *self.mood.lock().unwrap();
        self.asked.lock().unwrap().push(self.clock.now());
        self.keys.lock().unwrap().push(csr.as_bytes().to_vec());
        Box::pin(async move {
            match mood {
                Mood::Unavailable => {
                    Err(UpstreamError::Unavailable("connection refused".to_owned()))
                }
                Mood::Refuses => Err(UpstreamError::Refused("not registered".to_owned())),
                Mood::Silent => std::future::pending().await,
                Mood::Panics => panic!("as a broken implementation does"),
                _ => Ok(self.answer(id, csr.as_bytes(), mood)),
            }
        })
    }
}

/// What an agent needs.
pub(crate) struct Setup {
    pub(crate) folder: TempDir,
    pub(crate) ca: Arc<FakeCa>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) limits: Limits,
}

impl Setup {
    pub(crate) fn new(life: Duration) -> Self {
        Self::backdated(life, Duration::ZERO)
    }

    pub(crate) fn backdated(life: Duration, backdating: Duration) -> Self {
        crate::log::listen();
        let clock = Arc::new(TestClock {
            start: Instant::now(),
        });
        let now = clock.now();
        let ca = FakeCa {
            clock: Arc::clone(&clock),
            honest: Mutex::new(TestCa::new(now)),
            other: TestCa::new(now),
            life,
            backdating,
            mood: Mutex::new(Mood::Good),
            asked: Mutex::default(),
            keys: Mutex::default(),
            serial: AtomicU64::new(1),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            ca: Arc::new(ca),
            clock,
            limits: Limits::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn workload(&self, name: &str) -> Workload {
        Workload {
            id: SpiffeId::new(ID).unwrap(),
            socket: self.path(name),
            uid: None,
            dns_names: Vec::new(),
        }
    }

    pub(crate) fn bind(&self, workloads: Vec<Workload>) -> Result<Agent, AgentError> {
        let (ca, clock) = (Arc::clone(&self.ca), Arc::clone(&self.clock));
        Agent::bind(workloads, ca, clock, self.limits)
    }

    /// An agent that serves one workload on the socket `s`.
    pub(crate) fn start(&self) -> Running {
        self.start_with(vec![self.workload("s")])
    }

    pub(crate) fn start_with(&self, workloads: Vec<Workload>) -> Running {
        Self::start_agent(self.bind(workloads).unwrap())
    }

    pub(crate) fn start_plan(&self, plan: Plan) -> Running {
        let (ca, clock) = (Arc::clone(&self.ca), Arc::clone(&self.clock));
        Self::start_agent(Agent::carry_out(plan, ca, clock).unwrap())
    }

    pub(crate) fn start_bound(&self, agent: Agent) -> Running {
        Self::start_agent(agent)
    }

    fn start_agent(agent: Agent) -> Running {
        let (standings, shelf) = (agent.standings(), agent.shelf());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(agent.run(async {
            let _ = stopped.await;
        }));
        Running {
            stop,
            task,
            standings,
            shelf,
        }
    }

    pub(crate) async fn envoy(&self) -> Envoy {
        Envoy::connect(&self.path("s")).await
    }
}

/// An agent in the background.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AgentError>>,
    standings: Arc<Standings>,
    pub(crate) shelf: Shelf,
}

impl Running {
    /// How the clients of [`ID`] are doing.
    pub(crate) fn standing(&self) -> Standing {
        let id = SpiffeId::new(ID).unwrap();
        self.standings.report().remove(&id).unwrap_or_default()
    }

    /// How it ends by itself.
    pub(crate) async fn end(self) -> Result<(), AgentError> {
        self.task.await.unwrap()
    }

    pub(crate) async fn stop(self) -> Result<(), AgentError> {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

pub(crate) async fn client(socket: &Path) -> SecretDiscoveryServiceClient<Channel> {
    SecretDiscoveryServiceClient::new(channel(socket).await)
}

pub(crate) async fn channel(socket: &Path) -> Channel {
    channel_over(UnixStream::connect(socket).await.unwrap()).await
}

/// A channel over this connection and no other.
pub(crate) async fn channel_over<IO>(connection: IO) -> Channel
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut connection = Some(connection);
    let connector = tower::service_fn(move |_: Uri| {
        let connection = connection.take().map(TokioIo::new);
        std::future::ready(connection.ok_or(std::io::ErrorKind::NotConnected))
    });
    let connector = connector.map_err(std::io::Error::from);
    let endpoint = Endpoint::from_static("http://agent").initial_stream_window_size(WINDOW);
    endpoint.connect_with_connector(connector).await.unwrap()
}

pub(crate) fn request(names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: SECRET_TYPE.to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

pub(crate) fn first(names: &[&str]) -> DiscoveryRequest {
    let node = Node {
        id: "envoy-1".to_owned(),
        ..Node::default()
    };
    DiscoveryRequest {
        node: Some(node),
        ..request(names)
    }
}

/// One SDS stream, seen from Envoy's side.
pub(crate) struct Envoy {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

impl Envoy {
    pub(crate) async fn connect(socket: &Path) -> Self {
        Self::open(&mut client(socket).await).await.unwrap()
    }

    pub(crate) async fn open(
        client: &mut SecretDiscoveryServiceClient<Channel>,
    ) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(8);
        let responses = client.stream_secrets(ReceiverStream::new(outgoing)).await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
        })
    }

    pub(crate) async fn send(&self, request: DiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn subscribe(&self, names: &[&str]) {
        self.send(first(names)).await;
    }

    pub(crate) async fn next(&mut self) -> Result<Option<DiscoveryResponse>, Status> {
        timeout(FOR_EVER, self.responses.message())
            .await
            .expect("nothing came for ever")
    }

    pub(crate) async fn response(&mut self) -> DiscoveryResponse {
        self.next().await.unwrap().expect("the stream ended")
    }

    /// How the stream ends.
    pub(crate) async fn fault(&mut self) -> Status {
        self.next().await.expect_err("the stream goes on")
    }

    /// Nothing comes for so long.
    pub(crate) async fn silence(&mut self, time: Duration) {
        let heard = timeout(time, self.responses.message()).await;
        assert!(
            heard.is_err(),
            "{:?} came",
            heard.map(|response| response.map(|_| "a response"))
        );
    }

    pub(crate) async fn ack(&self, response: &DiscoveryResponse, names: &[&str]) {
        let ack = DiscoveryRequest {
            version_info: response.version_info.clone(),
            response_nonce: response.nonce.clone(),
            ..request(names)
        };
        self.send(ack).await;
    }

    pub(crate) async fn nack(&self, response: &DiscoveryResponse, names: &[&str]) {
        let error = Refusal {
            code: 13,
            message: "Failed to load private key".to_owned(),
            ..Refusal::default()
        };
        let nack = DiscoveryRequest {
            response_nonce: response.nonce.clone(),
            error_detail: Some(error),
            ..request(names)
        };
        self.send(nack).await;
    }

    /// The next response, acknowledged.
    pub(crate) async fn accept(&mut self, names: &[&str]) -> DiscoveryResponse {
        let response = self.response().await;
        self.ack(&response, names).await;
        response
    }
}

/// The secrets in a response.
pub(crate) fn secrets(response: &DiscoveryResponse) -> Vec<Secret> {
    let decode = |any: &envoy_types::pb::google::protobuf::Any| {
        assert_eq!(any.type_url, SECRET_TYPE);
        Secret::decode(any.value.as_slice()).unwrap()
    };
    response.resources.iter().map(decode).collect()
}

pub(crate) fn names(response: &DiscoveryResponse) -> Vec<String> {
    secrets(response)
        .into_iter()
        .map(|secret| secret.name)
        .collect()
}

/// The private key of `default` in a response, PEM.
pub(crate) fn private_key(response: &DiscoveryResponse) -> Vec<u8> {
    let certificate = secrets(response)
        .into_iter()
        .find_map(|secret| match secret.r#type {
            Some(Type::TlsCertificate(certificate)) => Some(certificate),
            _ => None,
        });
    match certificate.unwrap().private_key.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => bytes,
        _ => panic!("the key is not inline"),
    }
}
