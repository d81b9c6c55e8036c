//! Ports with moods, that remember what they were asked.

use super::{
    ca::{Ca, not_after, uri},
    now,
};
use credence_daemon::{
    health::{Part, Report, State},
    ports::{
        Applied, Attesting, BoxFuture, Bundle, Bundles, Claimed, Clock, Evidence, Figures, Health,
        Identified, Issued, Issuing, Lists, Order, Reader, Revoked, Tokens, Validator,
        WorkloadTokens,
    },
    refusal::{AttestError, Refusal},
};
use spiffe::{SpiffeId, TrustDomain};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::sync::{Semaphore, watch};

/// Somebody who was attested.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    identity: SpiffeId,
    expires: Option<SystemTime>,
}

impl Identified for Who {
    fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

/// What an attestor was shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) token: Option<String>,
    pub(crate) claimed: Option<Claimed>,
    pub(crate) certificates: usize,
    pub(crate) cluster: Option<String>,
    pub(crate) impersonated: Option<String>,
    /// Uid and number.
    pub(crate) process: Option<(u32, Option<i32>)>,
    pub(crate) peer: Option<String>,
}

/// Believes what tokens say: `spiffe://…`, `believe-the-claim`, `denied`, `unavailable`, `hangs`.
#[derive(Default)]
pub(crate) struct Attestor {
    pub(crate) shown: Mutex<Vec<Shown>>,
}

impl Attestor {
    pub(crate) fn last(&self) -> Shown {
        self.shown.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.shown.lock().unwrap().len()
    }
}

impl Attesting<Who> for Attestor {
    fn attest(&self, evidence: Evidence) -> BoxFuture<'_, Result<Who, AttestError>> {
        let token = evidence
            .token
            .as_ref()
            .map(|token| token.expose().to_owned());
        self.shown.lock().unwrap().push(Shown {
            token: token.clone(),
            claimed: evidence.claimed.clone(),
            certificates: evidence.certificates.len(),
            cluster: evidence.cluster.clone(),
            impersonated: evidence.impersonated.clone(),
            process: evidence.process.as_ref().map(|peer| {
                let process = peer.process.as_ref();
                (peer.uid, process.map(credence_attest::peer::Process::id))
            }),
            peer: (evidence.process.as_ref())
                .and(evidence.peer)
                .map(|peer| peer.to_string()),
        });
        Box::pin(async move {
            match token.as_deref() {
                Some("denied") => return Err(AttestError::Denied("secret detail".into())),
                Some("unavailable") => {
                    return Err(AttestError::Unavailable("secret detail".into()));
                }
                Some("hangs") => std::future::pending().await,
                _ => {}
            }
            who(&evidence, token.as_deref())
                .ok_or_else(|| AttestError::Unauthenticated("secret detail".into()))
        })
    }
}

fn who(evidence: &Evidence, token: Option<&str>) -> Option<Who> {
    let by = |identity: String, expires| {
        Some(Who {
            identity: SpiffeId::new(identity).ok()?,
            expires,
        })
    };
    let claim = |claimed: &Claimed| {
        by(
            format!(
                "spiffe://{}/ns/{}/{}",
                claimed.trust_domain, claimed.namespace, claimed.app_id
            ),
            None,
        )
    };
    match (&evidence.claimed, token, evidence.certificates.first()) {
        (Some(claimed), _, _) if claimed.validator == Validator::Insecure => claim(claimed),
        (Some(claimed), Some("believe-the-claim"), _) => claim(claimed),
        (None, Some(id), _) if id.starts_with("spiffe://") => by(id.to_owned(), None),
        (None, None, Some(leaf)) => by(uri(leaf), Some(not_after(leaf))),
        (None, None, None) => {
            let process = evidence.process.as_ref()?;
            by(format!("spiffe://example.org/uid/{}", process.uid), None)
        }
        _ => None,
    }
}

/// How the CA answers.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    Good,
    Refuses(Refusal),
    Empty,
    /// As soon as there is a permit.
    Waits,
}

pub(crate) struct Issuer {
    pub(crate) ca: Arc<Ca>,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) permits: Semaphore,
    pub(crate) orders: Mutex<Vec<(Who, Order)>>,
    pub(crate) recorded: Mutex<Vec<(Who, Applied, Refusal)>>,
    /// More than one root.
    pub(crate) bundle: Mutex<Vec<Vec<u8>>>,
}

impl Issuer {
    pub(crate) fn new(ca: Arc<Ca>) -> Self {
        Self {
            bundle: Mutex::new(ca.bundle()),
            ca,
            mood: Mutex::new(Mood::Good),
            permits: Semaphore::new(0),
            orders: Mutex::default(),
            recorded: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn orders(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Order {
        self.orders.lock().unwrap().last().unwrap().1.clone()
    }

    fn issued(&self, who: &Who, order: &Order) -> Result<Issued, Refusal> {
        let id = who.identity.to_string();
        let chain = self
            .ca
            .chain(&order.csr, &id, order.life)
            .map_err(Refusal::Csr)?;
        Ok(Issued {
            chain,
            bundle: self.bundle.lock().unwrap().clone(),
            not_after: now() + order.life,
        })
    }
}

impl Issuing<Who> for Issuer {
    fn issue(&self, applicant: Who, order: Order) -> BoxFuture<'_, Result<Issued, Refusal>> {
        self.orders
            .lock()
            .unwrap()
            .push((applicant.clone(), order.clone()));
        let mood = self.mood.lock().unwrap().clone();
        Box::pin(async move {
            match mood {
                Mood::Good => self.issued(&applicant, &order),
                Mood::Refuses(why) => Err(why),
                Mood::Empty => Ok(Issued {
                    chain: Vec::new(),
                    bundle: Vec::new(),
                    not_after: now(),
                }),
                Mood::Waits => {
                    self.permits.acquire().await.unwrap().forget();
                    self.issued(&applicant, &order)
                }
            }
        })
    }

    fn refused(&self, applicant: Who, applied: Applied, why: Refusal) -> BoxFuture<'_, ()> {
        self.recorded
            .lock()
            .unwrap()
            .push((applicant, applied, why));
        Box::pin(async {})
    }
}

/// Writes down for whom a token is, and signs nothing.
#[derive(Default)]
pub(crate) struct Notary {
    pub(crate) fails: bool,
    pub(crate) asked: Mutex<Vec<(SpiffeId, Vec<String>)>>,
}

impl Tokens for Notary {
    fn issue(
        &self,
        identity: SpiffeId,
        audiences: Vec<String>,
    ) -> BoxFuture<'_, Result<WorkloadTokens, Refusal>> {
        let tokens = WorkloadTokens {
            jwt: format!("{identity} for all"),
            by_audience: audiences
                .iter()
                .map(|audience| (audience.clone(), format!("{identity} for {audience}")))
                .collect(),
        };
        self.asked.lock().unwrap().push((identity, audiences));
        Box::pin(async move {
            match self.fails {
                false => Ok(tokens),
                true => Err(Refusal::Failed("secret detail".into())),
            }
        })
    }
}

/// What a bundle's readers did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Opened(String, Option<Vec<u8>>),
    Acknowledged(u64),
    Rejected(u64, String),
    Closed,
}

pub(crate) struct Published {
    pub(crate) now: Mutex<Option<watch::Sender<Arc<Bundle>>>>,
    readers: watch::Receiver<Arc<Bundle>>,
    revoked: watch::Sender<Arc<Revoked>>,
    pub(crate) said: Mutex<Vec<(SpiffeId, Said)>>,
}

impl Published {
    pub(crate) fn new(roots: Vec<Vec<u8>>) -> Self {
        let (now, readers) = watch::channel(Arc::new(bundle(roots, 1)));
        Self {
            now: Mutex::new(Some(now)),
            readers,
            revoked: watch::channel(Arc::new(revoked(Lists::Without, 1))).0,
            said: Mutex::default(),
        }
    }

    pub(crate) fn revoke(&self, lists: Lists, number: u64) {
        self.revoked.send_replace(Arc::new(revoked(lists, number)));
    }

    pub(crate) fn publish(&self, roots: Vec<Vec<u8>>, sequence: u64) {
        let now = self.now.lock().unwrap();
        now.as_ref()
            .unwrap()
            .send_replace(Arc::new(bundle(roots, sequence)));
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.said
            .lock()
            .unwrap()
            .iter()
            .map(|(_, said)| said.clone())
            .collect()
    }

    fn note(&self, reader: &Reader, said: Said) {
        self.said
            .lock()
            .unwrap()
            .push((reader.identity.clone(), said));
    }
}

pub(crate) fn bundle(roots: Vec<Vec<u8>>, sequence: u64) -> Bundle {
    Bundle {
        trust_domain: TrustDomain::new("example.org").unwrap(),
        roots,
        sequence,
        refresh_hint: Duration::from_secs(300),
    }
}

pub(crate) fn revoked(lists: Lists, number: u64) -> Revoked {
    Revoked {
        lists,
        deny_list: format!("{{\"number\":{number}}}"),
    }
}

impl Bundles for Published {
    fn revoked(&self) -> watch::Receiver<Arc<Revoked>> {
        self.revoked.subscribe()
    }

    fn watch(&self) -> watch::Receiver<Arc<Bundle>> {
        self.readers.clone()
    }

    fn opened(&self, reader: &Reader) {
        self.note(
            reader,
            Said::Opened(reader.node.clone(), reader.certificate.clone()),
        );
    }

    fn acknowledged(&self, reader: &Reader, sequence: u64) {
        self.note(reader, Said::Acknowledged(sequence));
    }

    fn rejected(&self, reader: &Reader, sequence: u64, why: &str) {
        self.note(reader, Said::Rejected(sequence, why.to_owned()));
    }

    fn closed(&self, reader: &Reader) {
        self.note(reader, Said::Closed);
    }
}

pub(crate) struct Doctor(pub(crate) watch::Sender<Report>);

impl Doctor {
    pub(crate) fn new() -> Self {
        Self(watch::channel(Report::default()).0)
    }

    pub(crate) fn say(&self, state: State) {
        let name = "ledger".to_owned();
        self.0.send_replace(Report {
            parts: vec![Part { name, state }],
        });
    }
}

impl Health for Doctor {
    fn watch(&self) -> watch::Receiver<Report> {
        self.0.subscribe()
    }
}

pub(crate) struct MoreFigures;

impl Figures for MoreFigures {
    fn text(&self) -> String {
        "# TYPE others gauge\nothers 7\n".into()
    }
}

/// Stands still unless it is set.
pub(crate) struct TestClock(pub(crate) Mutex<SystemTime>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}
