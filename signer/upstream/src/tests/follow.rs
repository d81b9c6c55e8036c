//! The bundle's stream, and what the CA hears of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credence_agent::{Bundle, Hear, Held, Mark, Telling, Upstream, Verdict};
use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret,
};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::ca::{Ca, pem};
use super::istio::{Folder, line, terms};
use super::server::{Running, Script};
use super::{id, until};
use crate::{CredenceCa, Following};

/// Serves a bundle when the test lets it.
struct Desk {
    heard: Mutex<Vec<Bundle>>,
    permits: Semaphore,
    verdict: Mutex<Verdict>,
}

impl Hear for Desk {
    fn mark(&self) -> Mark {
        Mark::default()
    }

    fn hear(&self, bundle: Bundle, _since: Mark) -> Telling<'_> {
        self.heard.lock().unwrap().push(bundle);
        Box::pin(async {
            self.permits.acquire().await.unwrap().forget();
            self.verdict.lock().unwrap().clone()
        })
    }
}

struct Rig {
    ca: Arc<Ca>,
    script: Arc<Script>,
    desk: Arc<Desk>,
    held: watch::Sender<Option<Held>>,
    following: JoinHandle<()>,
    _server: Running,
    _folder: Folder,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Rig {
    async fn start() -> Self {
        let ca = Arc::new(Ca::new("Root"));
        let script = Script::new(&ca);
        Self::start_with(&ca, script).await
    }

    async fn start_with(ca: &Arc<Ca>, script: Arc<Script>) -> Self {
        let folder = Folder::new(ca);
        let server = script.serve("127.0.0.1:0").await;
        let desk = Arc::new(Desk {
            heard: Mutex::default(),
            permits: Semaphore::new(0),
            verdict: Mutex::new(Verdict::Served(Mark::default())),
        });
        let held = watch::Sender::new(Some(ca.held(0)));
        let following = Following {
            node: "host-1".to_owned(),
            poll: Duration::from_millis(10),
        };
        let upstream = CredenceCa::new(
            line(&server.address, folder.first_trust()),
            terms(&folder.path("token")),
            following,
        );
        let (receiver, hearer) = (held.subscribe(), Arc::clone(&desk));
        let following = tokio::spawn(async move {
            upstream.follow(&id(), receiver, hearer).await;
        });
        Self {
            ca: Arc::clone(ca),
            script,
            desk,
            held,
            following,
            _server: server,
            _folder: folder,
        }
    }

    async fn opened(&self, streams: usize) {
        until("the first request of the stream", || {
            let heard = self.script.heard();
            let first = heard.iter().filter(|request| request.node.is_some());
            first.count() == streams
        })
        .await;
    }

    async fn sends(&self, number: usize, response: DiscoveryResponse) {
        self.script.news.send(response).unwrap();
        until("the bundle to be heard", || {
            self.desk.heard.lock().unwrap().len() == number
        })
        .await;
    }

    /// What came on the stream after its first request.
    fn answers(&self) -> Vec<DiscoveryRequest> {
        let heard = self.script.heard().into_iter();
        heard.filter(|request| request.node.is_none()).collect()
    }

    async fn answered(&self, times: usize) -> DiscoveryRequest {
        until("the answer to the bundle", || self.answers().len() == times).await;
        self.answers().pop().unwrap()
    }
}

fn inline(text: String) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineBytes(text.into_bytes())),
        ..DataSource::default()
    })
}

fn news(version: &str, roots: &str, lists: &str) -> DiscoveryResponse {
    let context = CertificateValidationContext {
        trusted_ca: inline(roots.to_owned()),
        crl: (!lists.is_empty())
            .then(|| inline(lists.to_owned()))
            .flatten(),
        ..CertificateValidationContext::default()
    };
    let secret = Secret {
        name: "ROOTCA".to_owned(),
        r#type: Some(Type::ValidationContext(context)),
    };
    DiscoveryResponse {
        version_info: version.to_owned(),
        nonce: format!("nonce {version}"),
        resources: vec![Any {
            type_url: super::super::follow::SECRET.to_owned(),
            value: secret.encode_to_vec(),
        }],
        ..DiscoveryResponse::default()
    }
}

#[tokio::test]
async fn the_ca_hears_nothing_while_the_bundle_is_not_served_yet() {
    let rig = Rig::start().await;
    rig.opened(1).await;
    let lists = pem("X509 CRL", b"one") + &pem("X509 CRL", b"two");
    rig.sends(1, news("1", &rig.ca.root_pem(), &lists)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        rig.answers().is_empty(),
        "acknowledged before it was served"
    );
    rig.desk.permits.add_permits(1);
    let ack = rig.answered(1).await;
    assert_eq!((ack.version_info.as_str(), ack.error_detail), ("1", None));
    assert_eq!(ack.response_nonce, "nonce 1");
    let heard = rig.desk.heard.lock().unwrap().clone();
    assert_eq!(heard[0].roots, [rig.ca.root()]);
    assert_eq!(heard[0].lists, [b"one".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_bundle_that_is_refused_or_cannot_be_read_is_refused_by_the_version_before() {
    let rig = Rig::start().await;
    rig.opened(1).await;
    rig.desk.permits.add_permits(10);
    rig.sends(1, news("1", &rig.ca.root_pem(), "")).await;
    rig.answered(1).await;
    *rig.desk.verdict.lock().unwrap() = Verdict::Refused("not today".to_owned());
    rig.sends(2, news("2", &rig.ca.root_pem(), "")).await;
    let nack = rig.answered(2).await;
    assert_eq!(nack.version_info, "1");
    assert_eq!(nack.response_nonce, "nonce 2");
    assert_eq!(nack.error_detail.unwrap().message, "not today");
    rig.sends(2, news("3", "nonsense", "")).await;
    let nack = rig.answered(3).await;
    assert!(nack.error_detail.is_some());
    *rig.desk.verdict.lock().unwrap() = Verdict::Superseded;
    rig.sends(3, news("4", &rig.ca.root_pem(), "")).await;
    *rig.desk.verdict.lock().unwrap() = Verdict::Served(Mark::default());
    rig.sends(4, news("5", &rig.ca.root_pem(), "")).await;
    let ack = rig.answered(4).await;
    assert_eq!(ack.version_info, "5", "nothing was said of version 4");
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again() {
    let rig = Rig::start().await;
    rig.opened(1).await;
    rig.script.news.send(DiscoveryResponse::default()).unwrap();
    rig.opened(2).await;
}

#[tokio::test]
async fn the_ca_knows_the_reader_by_its_present_certificate() {
    let rig = Rig::start().await;
    rig.opened(1).await;
    let next = rig.ca.held(0);
    rig.held.send_replace(Some(next.clone()));
    rig.opened(2).await;
    let readers = rig.script.readers.lock().unwrap().clone();
    assert_eq!(readers[1].as_ref(), next.chain().first());
    assert_ne!(readers[0], readers[1]);
    rig.held.send_replace(None);
    rig.held.send_replace(Some(rig.ca.held(0)));
    rig.opened(3).await;
}

#[tokio::test]
async fn where_there_is_no_stream_the_bundle_is_fetched() {
    let ca = Arc::new(Ca::new("Root"));
    let script = Script::new(&ca);
    *script.streams.lock().unwrap() = false;
    *script.fetched.lock().unwrap() = news("1", &ca.root_pem(), "");
    let rig = Rig::start_with(&ca, script).await;
    rig.desk.permits.add_permits(10);
    until("two fetches", || {
        rig.script.fetches.load(Ordering::SeqCst) >= 2
    })
    .await;
    assert_eq!(rig.desk.heard.lock().unwrap()[0].roots, [ca.root()]);
    assert!(rig.answers().is_empty(), "a fetch acknowledges nothing");
}
