//! The agent's library against `credence ca run` as it is typed: first proofs, renewals by certificate, a root's rotation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_agent::{Agent, AgentError, Clock, Limits, Renewals, Upstream, Workload};
use credence_ca_tests::{
    daemon::{Daemon, SELF, Setup},
    wait::until,
};
use credence_upstream::{
    Address, CredenceCa, Expected, FirstTrust, Following, IstioTerms, Line, Proof, Proofs, Trust,
};
use envoy_types::pb::envoy::{
    config::core::v3::{Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::{
        discovery::v3::DiscoveryRequest,
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustix::process::Signal;
use spiffe::SpiffeId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{net::UnixStream, sync::oneshot, task::JoinHandle};
use tonic::transport::{Endpoint, Uri};

const SHORT: &str = r#"
[leaf]
shortest = "5s"
usual = "6s"
longest = "6s"

[lifecycle]
clock_skew = "0s"
rotate_roots = "on-order"
"#;

const LONG: &str = r#"
[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
rotate_roots = "on-order"
"#;

struct RealClock;

impl Clock for RealClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the CA is a process, with the real clock"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// An agent beside a CA; it ends with this.
struct Running {
    socket: PathBuf,
    _stop: oneshot::Sender<()>,
    _task: JoinHandle<Result<(), AgentError>>,
}

/// The agent's upstream, and the file of its proof.
fn upstream(ca: &Daemon, proof: &Proof, first: FirstTrust) -> Arc<dyn Upstream> {
    let address = Address::Tcp {
        host: ca.running().grpc.to_string(),
        expected: Expected::Id(SpiffeId::new(SELF).unwrap()),
    };
    let line = Line::new(address, Arc::new(Trust::new(first)), Arc::new(RealClock));
    let terms = IstioTerms {
        proofs: Proofs::all(proof.clone()),
        life: None,
        cluster: None,
        renewals: Renewals::HeldCertificate,
        node_agent: false,
    };
    let following = Following {
        node: "host-1".into(),
        poll: Duration::from_secs(60),
    };
    Arc::new(CredenceCa::new(line, terms, following))
}

fn run(ca: &Daemon, id: &str, upstream: Arc<dyn Upstream>) -> Running {
    let socket = ca.folder().join("agent.sock");
    let workload = Workload {
        id: SpiffeId::new(id).unwrap(),
        socket: socket.clone(),
        uid: None,
        dns_names: vec![],
    };
    let agent = Agent::bind(
        vec![workload],
        upstream,
        Arc::new(RealClock),
        Limits::default(),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(agent.unwrap().run(async {
        let _ = stopped.await;
    }));
    Running {
        socket,
        _stop: stop,
        _task: task,
    }
}

/// What the agent serves under a name now, PEM; none while there is nothing.
async fn served(socket: &Path, name: &str) -> Option<String> {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://agent");
    let channel = endpoint.connect_with_connector(connector);
    let request = DiscoveryRequest {
        node: Some(Node {
            id: "envoy".into(),
            ..Node::default()
        }),
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".into(),
        resource_names: vec![name.into()],
        ..DiscoveryRequest::default()
    };
    let mut client = SecretDiscoveryServiceClient::new(channel.await.ok()?);
    let response = client.fetch_secrets(request).await.ok()?.into_inner();
    let secret = Secret::decode(response.resources.first()?.value.as_slice()).unwrap();
    let source = match secret.r#type? {
        Type::TlsCertificate(pair) => pair.certificate_chain,
        Type::ValidationContext(context) => context.trusted_ca,
        other => panic!("{other:?}"),
    };
    match source?.specifier? {
        Specifier::InlineBytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn daemon(sections: &str) -> Daemon {
    Setup::new(env!("CARGO_BIN_EXE_credence"), sections).start()
}

/// Its certificate lives for a day: without its word, the new root would wait for that.
#[tokio::test]
async fn a_new_root_is_served_at_once_and_the_agents_word_on_it_opens_the_gate() {
    let ca = daemon(LONG);
    let token = ca.folder().join("token");
    let roots = ca.folder().join("roots.pem");
    std::fs::write(&token, ca.setup.issuer.service_account("shop", "web")).unwrap();
    std::fs::write(&roots, ca.order(&["ca", "roots"])).unwrap();
    let upstream = upstream(&ca, &Proof::TokenFile(token), FirstTrust::File(roots));
    let agent = run(&ca, "spiffe://example.org/ns/shop/sa/web", upstream);
    let certificate = until("a certificate", async || {
        served(&agent.socket, "default").await
    })
    .await;
    ca.order(&["ca", "rotate-root"]);
    assert_ne!(ca.status()["roots"][0]["phase"], "active");
    until("both roots", async || {
        let roots = served(&agent.socket, "ROOTCA").await?;
        (roots.matches("BEGIN").count() == 2).then_some(())
    })
    .await;
    let same = served(&agent.socket, "default").await.unwrap();
    assert_eq!(certificate, same, "it did not wait for a certificate");
    until("the new root to be active", async || {
        (ca.status()["roots"][0]["phase"] == "active").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_join_token_is_enough_to_begin_renewals_go_by_certificate_and_a_lost_one_takes_a_new_token()
 {
    let ca = daemon(SHORT);
    let id = "spiffe://example.org/agent/one";
    let file = ca.folder().join("token");
    let put = || std::fs::write(&file, ca.order(&["token", "create", id, "--ttl", "5m"])).unwrap();
    put();
    let proof = Proof::join_token(file.clone());
    let Proof::JoinToken(first) = &proof else {
        unreachable!()
    };
    let upstream = upstream(&ca, &proof, FirstTrust::JoinToken(first.clone()));
    let agent = run(&ca, id, upstream);
    let mut seen = Vec::new();
    until("two renewals", async || {
        let now = served(&agent.socket, "default").await?;
        if !seen.contains(&now) {
            seen.push(now);
        }
        (seen.len() == 3).then_some(())
    })
    .await;
    // asleep until the certificate has ended
    ca.signal(Signal::STOP);
    until("the certificate to be withdrawn", async || {
        let gone = served(&agent.socket, "default").await.is_none();
        gone.then_some(())
    })
    .await;
    ca.signal(Signal::CONT);
    put();
    until("a certificate by the new token", async || {
        served(&agent.socket, "default").await
    })
    .await;
}
