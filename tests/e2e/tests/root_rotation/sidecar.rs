//! What istio-agent is beside an Envoy: it gets a certificate with a token, renews it with itself, hears of roots on the CA's stream,
//! and hands all of it to its Envoy. It tells the CA that it has a bundle when Envoy has said so.

use anyhow::{Context, Result, bail, ensure};
use credence_ca_tests::{
    client::{Client, Csr, ISTIO, Pair, bearing, certificates},
    daemon::SELF,
    wire::{IstioResponse, istio},
};
use credence_e2e::agent::{Agent, Served};
use envoy_types::pb::envoy::{
    config::core::v3::{Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::{
        discovery::v3::{DiscoveryRequest, DiscoveryResponse},
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use prost::Message as _;
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How soon a CA that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long one answer may take: a request that was under way when the CA was killed is not waited for.
const ANSWER: Duration = Duration::from_secs(2);

/// A leaf's certificate, its key and what is above it.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) pair: Pair,
    /// The serial number, in lower-case hexadecimal without zeros in front.
    pub(crate) serial: String,
    /// Leaf and issuer, PEM.
    chain: String,
    /// The roots that were told last, with it or since, PEM.
    roots: String,
}

/// Where the CA is. It changes when it is started again.
pub(crate) type Place = watch::Receiver<SocketAddr>;

/// What is beside one Envoy; it ends when this is dropped.
pub(crate) struct Sidecar {
    inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

struct Inner {
    name: String,
    life: Duration,
    ca: Place,
    agent: Agent,
    leaf: watch::Sender<Leaf>,
    all: Mutex<Vec<Leaf>>,
    troubles: Mutex<Vec<String>>,
}

impl Sidecar {
    /// Gets a first certificate with a token, and serves it on a socket at `path`.
    pub(crate) async fn start(
        name: &str,
        life: Duration,
        ca: Place,
        roots: &[Vec<u8>],
        token: &str,
        path: &Path,
    ) -> Result<Self> {
        let address = *ca.borrow();
        let client = Client::new(address, roots, SELF, None);
        let leaf = ask(&client, Some(token)).await?;
        let agent = Agent::serve_pems(path, leaf.served())?;
        let inner = Arc::new(Inner {
            name: name.to_owned(),
            life,
            ca,
            agent,
            all: Mutex::new(vec![leaf.clone()]),
            leaf: watch::Sender::new(leaf),
            troubles: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&inner).renew());
        tasks.spawn(Arc::clone(&inner).follow());
        Ok(Self {
            inner,
            _tasks: tasks,
        })
    }

    /// The leaf that it has now.
    pub(crate) fn leaf(&self) -> Leaf {
        self.inner.leaf.borrow().clone()
    }

    /// All leaves that it has had.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        self.inner.all.lock().unwrap().clone()
    }

    /// The roots that its Envoy said last that it uses.
    pub(crate) fn accepted(&self) -> Vec<Vec<u8>> {
        certificates(&self.inner.agent.accepted().borrow())
    }

    /// What did not go as it should, in its words.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.inner.troubles.lock().unwrap().clone()
    }
}

impl Inner {
    /// At half of the leaf's life, counted from when it came; while the CA is away it is asked again and again.
    async fn renew(self: Arc<Self>) {
        loop {
            sleep(self.life / 2).await;
            loop {
                match self.renewed().await {
                    Ok(leaf) => break self.take(leaf),
                    Err(error) => self.trouble(&format!("renewal: {error:#}")),
                }
                sleep(AGAIN).await;
            }
        }
    }

    async fn renewed(&self) -> Result<Leaf> {
        timeout(ANSWER, ask(&self.client(), None)).await?
    }

    /// A client that shows the newest leaf, and goes by the roots that Envoy has been given last.
    fn client(&self) -> Client {
        let leaf = self.leaf.borrow().clone();
        let roots = certificates(&leaf.roots);
        Client::new(*self.ca.borrow(), &roots, SELF, Some(&leaf.pair))
    }

    fn take(&self, leaf: Leaf) {
        self.agent.change(|served| *served = leaf.served());
        self.all.lock().unwrap().push(leaf.clone());
        self.leaf.send_replace(leaf);
    }

    fn trouble(&self, what: &str) {
        self.troubles
            .lock()
            .unwrap()
            .push(format!("{}: {what}", self.name));
    }

    /// A stream of the bundle with each leaf: it ends with the leaf.
    async fn follow(self: Arc<Self>) {
        let mut leaves = self.leaf.subscribe();
        loop {
            leaves.borrow_and_update();
            tokio::select! {
                ended = self.stream() => {
                    if let Err(error) = ended {
                        self.trouble(&format!("bundle stream: {error:#}"));
                    }
                    sleep(AGAIN).await;
                }
                changed = leaves.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn stream(&self) -> Result<()> {
        let channel = timeout(ANSWER, self.client().channel()).await??;
        let mut sds = SecretDiscoveryServiceClient::new(channel);
        let (requests, outgoing) = mpsc::channel(8);
        requests.send(request(&self.name, None)).await?;
        let opened = sds.stream_secrets(ReceiverStream::new(outgoing));
        let mut responses = timeout(ANSWER, opened).await??.into_inner();
        while let Some(response) = responses.message().await? {
            let roots = roots(&response)?;
            self.leaf.send_if_modified(|leaf| {
                leaf.roots.clone_from(&roots);
                false
            });
            let mut accepted = self.agent.accepted();
            self.agent.change(|served| served.roots.clone_from(&roots));
            accepted.wait_for(|accepted| *accepted == roots).await?;
            requests.send(request(&self.name, Some(&response))).await?;
        }
        bail!("the CA ended it")
    }
}

impl Leaf {
    fn served(&self) -> Served {
        let key = pem::Pem::new("PRIVATE KEY", self.pair.key.as_slice());
        Served {
            chain: self.chain.clone(),
            key: pem::encode(&key),
            roots: self.roots.clone(),
            handed_on: None,
        }
    }
}

async fn ask(client: &Client, token: Option<&str>) -> Result<Leaf> {
    let csr = Csr::p256();
    let request = match token {
        Some(token) => bearing(istio(&csr.pem), token),
        None => tonic::Request::new(istio(&csr.pem)),
    };
    let answer: IstioResponse = client.call(ISTIO, request).await?;
    let (roots, chain) = answer.cert_chain.split_last().context("an empty answer")?;
    ensure!(chain.len() == 2, "not leaf and issuer: {chain:?}");
    let chain = chain.concat();
    let ders = certificates(&chain);
    Ok(Leaf {
        pair: csr.pair(&ders),
        serial: serial(&ders[0])?,
        chain,
        roots: roots.clone(),
    })
}

fn serial(der: &[u8]) -> Result<String> {
    let (_, certificate) = X509Certificate::from_der(der)?;
    let digits = certificate.raw_serial_as_string().replace(':', "");
    Ok(digits.trim_start_matches('0').to_owned())
}

/// The first request, or the acknowledgement of a response.
fn request(name: &str, answered: Option<&DiscoveryResponse>) -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(Node {
            id: name.to_owned(),
            ..Node::default()
        }),
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".to_owned(),
        resource_names: vec!["ROOTCA".to_owned()],
        version_info: answered.map_or_else(String::new, |response| response.version_info.clone()),
        response_nonce: answered.map_or_else(String::new, |response| response.nonce.clone()),
        ..DiscoveryRequest::default()
    }
}

fn roots(response: &DiscoveryResponse) -> Result<String> {
    let resource = response.resources.first().context("no secret")?;
    let Some(Type::ValidationContext(context)) = Secret::decode(resource.value.as_slice())?.r#type
    else {
        bail!("a secret of another kind");
    };
    match context.trusted_ca.and_then(|source| source.specifier) {
        Some(Specifier::InlineBytes(bytes)) => Ok(String::from_utf8(bytes)?),
        _ => bail!("roots that are not inline"),
    }
}
