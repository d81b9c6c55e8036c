//! A CA that renews by certificate and tells of its bundle on the way, seen from Envoy.

use std::sync::{Arc, Mutex};

use credence_agent::{
    Agent, Bundle, Clock, CsrDer, Following, Hear, Held, Issuance, Renewals, Upstream,
    UpstreamError, Verdict,
};
use spiffe::SpiffeId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::ca::TestCa;
use crate::harness::{FakeCa, MINUTE, SECOND, Setup, names};

/// How renewals are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    Refuses,
}

type News = (Bundle, oneshot::Sender<Verdict>);

/// What the fake CA issues, by either proof, and a stream of bundles.
struct Telling {
    ca: Arc<FakeCa>,
    /// By which proofs it was asked: whether a certificate was shown.
    shown: Mutex<Vec<bool>>,
    renewals: Mutex<Mood>,
    first: Mutex<Option<UpstreamError>>,
    news: Mutex<Option<mpsc::Receiver<News>>>,
    trusted: Mutex<Vec<Vec<Vec<u8>>>>,
}

impl Upstream for Telling {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        self.shown.lock().unwrap().push(false);
        match self.first.lock().unwrap().clone() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.ca.issue(id, csr),
        }
    }

    fn renewals(&self) -> Renewals {
        Renewals::HeldCertificate
    }

    fn renew<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer, held: Held) -> Issuance<'a> {
        self.shown.lock().unwrap().push(true);
        assert_eq!(held.chain().len(), 2);
        match *self.renewals.lock().unwrap() {
            Mood::Good => self.ca.issue(id, csr),
            Mood::Refuses => {
                Box::pin(async { Err(UpstreamError::Refused("the lineage is too old".to_owned())) })
            }
        }
    }

    fn follow<'a>(
        &'a self,
        _id: &'a SpiffeId,
        _held: watch::Receiver<Option<Held>>,
        hearer: Arc<dyn Hear>,
    ) -> Following<'a> {
        let mut news = self.news.lock().unwrap().take().unwrap();
        Box::pin(async move {
            let mut since = hearer.mark();
            while let Some((bundle, said)) = news.recv().await {
                let verdict = hearer.hear(bundle, since).await;
                if let Verdict::Served(mark) = verdict {
                    since = mark;
                }
                let _ = said.send(verdict);
            }
        })
    }

    fn trusted(&self, roots: &[Vec<u8>]) {
        self.trusted.lock().unwrap().push(roots.to_vec());
    }
}

struct Rig {
    setup: Setup,
    upstream: Arc<Telling>,
    news: mpsc::Sender<News>,
}

impl Rig {
    fn start() -> Self {
        let setup = Setup::new(60 * MINUTE);
        let (news, receiver) = mpsc::channel(1);
        let upstream = Arc::new(Telling {
            ca: Arc::clone(&setup.ca),
            shown: Mutex::default(),
            renewals: Mutex::new(Mood::Good),
            first: Mutex::default(),
            news: Mutex::new(Some(receiver)),
            trusted: Mutex::default(),
        });
        let agent = Agent::bind(
            vec![setup.workload("s")],
            Arc::clone(&upstream) as Arc<dyn Upstream>,
            Arc::clone(&setup.clock) as Arc<dyn Clock>,
            setup.limits,
        );
        tokio::spawn(agent.unwrap().run(std::future::pending()));
        Self {
            setup,
            upstream,
            news,
        }
    }

    /// What the agent says of a bundle.
    async fn hear(&self, roots: Vec<Vec<u8>>) -> Verdict {
        let bundle = Bundle {
            roots,
            ..Bundle::default()
        };
        let (said, saying) = oneshot::channel();
        self.news.send((bundle, said)).await.unwrap();
        saying.await.unwrap()
    }

    fn shown(&self) -> Vec<bool> {
        self.upstream.shown.lock().unwrap().clone()
    }
}

fn root(rig: &Rig, name: &str) -> Vec<Vec<u8>> {
    TestCa::named(name, rig.setup.clock.now()).bundle()
}

#[tokio::test(start_paused = true)]
async fn a_new_root_is_served_without_a_new_certificate() {
    let rig = Rig::start();
    let mut envoy = rig.setup.envoy().await;
    envoy.subscribe(&["ROOTCA"]).await;
    let first = envoy.accept(&["ROOTCA"]).await;
    let mut roots = rig.upstream.trusted.lock().unwrap()[0].clone();
    roots.extend(root(&rig, "Next"));
    let verdict = rig.hear(roots.clone()).await;
    assert!(matches!(verdict, Verdict::Served(_)), "{verdict:?}");
    let second = envoy.accept(&["ROOTCA"]).await;
    assert_ne!(first.version_info, second.version_info);
    assert_eq!(rig.shown(), [false], "no certificate was asked for");
    assert_eq!(
        rig.upstream.trusted.lock().unwrap().last(),
        Some(&roots),
        "the next connection goes by it"
    );
    let again = rig.hear(roots).await;
    assert!(matches!(again, Verdict::Served(_)), "it is served already");
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_cannot_be_used_is_refused_and_the_one_before_goes_on() {
    let rig = Rig::start();
    let mut envoy = rig.setup.envoy().await;
    envoy.subscribe(&["ROOTCA"]).await;
    envoy.accept(&["ROOTCA"]).await;
    for roots in [vec![], vec![b"no certificate".to_vec()]] {
        let verdict = rig.hear(roots).await;
        assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    }
    envoy.silence(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_the_certificate_does_not_lead_to_is_served_and_calls_for_a_renewal() {
    let rig = Rig::start();
    let mut envoy = rig.setup.envoy().await;
    envoy.subscribe(&["ROOTCA"]).await;
    envoy.accept(&["ROOTCA"]).await;
    rig.setup.ca.replace_root();
    let verdict = rig.hear(root(&rig, "Elsewhere")).await;
    assert!(matches!(verdict, Verdict::Served(_)), "{verdict:?}");
    envoy.accept(&["ROOTCA"]).await;
    sleep(5 * MINUTE + SECOND).await;
    assert_eq!(rig.shown(), [false, true], "renewed before its time");
}

#[tokio::test(start_paused = true)]
async fn renewals_show_the_certificate_and_fall_back_to_the_first_proof() {
    let rig = Rig::start();
    sleep(35 * MINUTE).await;
    assert_eq!(rig.shown(), [false, true]);
    *rig.upstream.renewals.lock().unwrap() = Mood::Refuses;
    sleep(30 * MINUTE).await;
    assert_eq!(rig.shown(), [false, true, true, false]);
    sleep(24 * 60 * MINUTE).await;
    let shown = rig.shown();
    let by_certificate = shown[2..].iter().filter(|shown| **shown).count();
    assert_eq!(by_certificate * 2, shown.len() - 2, "one after the other");
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_lost_everything_recovers_when_there_is_a_proof_again() {
    let rig = Rig::start();
    let mut envoy = rig.setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.accept(&["default"]).await;
    *rig.upstream.renewals.lock().unwrap() = Mood::Refuses;
    let nothing = UpstreamError::Unattested("the join token was used up".to_owned());
    *rig.upstream.first.lock().unwrap() = Some(nothing);
    sleep(2 * 60 * MINUTE).await;
    let mut newcomer = rig.setup.envoy().await;
    newcomer.subscribe(&[]).await;
    assert_eq!(names(&newcomer.accept(&[]).await), ["ROOTCA"]);
    *rig.upstream.first.lock().unwrap() = None;
    sleep(6 * SECOND).await;
    let new = newcomer.accept(&[]).await;
    assert_eq!(names(&new), ["default"], "within seconds of the new token");
}
