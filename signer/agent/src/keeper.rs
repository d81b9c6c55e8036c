//! Runs the rotation of one identity: asks the CA, checks what comes, publishes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spiffe::SpiffeId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::bundle::{Anchors, Heard, Hearer, Mark, Source};
use crate::clock::Clock;
use crate::follow::Kept;
use crate::key::{KeyError, WorkloadKey};
use crate::report::{self, CertificateReport, Phase, Reports};
use crate::rotation::{Action, Draw, Event, Lead, Proof, Rotation, Setback, State};
use crate::shelf::Bundle;
use crate::svid::{Rejection, Svid, leads};
use crate::upstream::{Held, Issued, UpstreamError};

/// Why an attempt to get a certificate came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the CA did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("what the CA sent is not usable: {0}")]
    Rejected(#[from] Rejection),
    #[error("{0}")]
    Key(#[from] KeyError),
}

impl Failure {
    fn setback(&self) -> Setback {
        match self {
            Self::Upstream(UpstreamError::Refused(_)) => Setback::Refused,
            Self::Upstream(UpstreamError::Unattested(_)) => Setback::NoProof,
            Self::Upstream(UpstreamError::Unavailable(_))
            | Self::TimedOut(_)
            | Self::Rejected(_)
            | Self::Key(_) => Setback::Passing,
        }
    }
}

/// A key and what was issued for it, and which bundle was known when it was asked for.
type Asked = Result<(WorkloadKey, Issued, Mark), Failure>;
type Attempt = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// Keeps one identity supplied.
pub(crate) struct Keeper {
    id: SpiffeId,
    /// What is asked for beside it.
    dns_names: Arc<[String]>,
    anchors: Anchors,
    clock: Arc<dyn Clock>,
    reports: Arc<Reports>,
    rotation: Rotation,
    attempt: Option<Attempt>,
    /// The serial number of the last certificate that was published.
    serial: Option<String>,
    /// What a CA is shown; none once it has ended.
    held: watch::Sender<Option<Held>>,
}

impl Keeper {
    /// Begins without a certificate; what it gets goes to the shelf.
    pub(crate) fn new(
        (id, dns_names): (SpiffeId, Vec<String>),
        anchors: Anchors,
        clock: Arc<dyn Clock>,
        reports: Arc<Reports>,
    ) -> Self {
        let renewals = anchors.upstream().renewals();
        let rotation = Rotation::new(Draw::of(&id), renewals, clock.now());
        Self {
            id,
            dns_names: dns_names.into(),
            anchors,
            clock,
            reports,
            rotation,
            attempt: None,
            serial: None,
            held: watch::Sender::new(None),
        }
    }

    /// Serves what was kept, if it is of use still.
    pub(crate) fn begin_with(&mut self, kept: Kept) {
        let now = self.clock.now();
        match self.of_use(kept, now) {
            Ok(svid) => {
                self.publish(svid, Mark::default());
                tracing::info!(identity = %self.id, serial = self.serial, "the certificate from before is served");
            }
            Err(reason) => {
                tracing::info!(identity = %self.id, %reason, "the certificate from before is of no use any more");
            }
        }
        self.note_state();
    }

    fn of_use(&mut self, kept: Kept, now: SystemTime) -> Result<Svid, Failure> {
        let key = WorkloadKey::from_pem(&kept.key)?;
        let issued = Issued {
            chain: kept.chain,
            bundle: kept.bundle,
        };
        let svid = Svid::check(issued, key, &self.id, now)?;
        match self.rotation.take_up(now, svid.not_after) {
            true => Ok(svid),
            false => Err(Rejection::Ended(svid.not_after).into()),
        }
    }

    /// Runs for ever. Dropping the future lets go of the attempt under way; what was published stays.
    pub(crate) async fn run(mut self) {
        let (upstream, id) = (Arc::clone(self.anchors.upstream()), self.id.clone());
        let mut changes = self.anchors.changes();
        let hearer = Arc::new(Hearer {
            anchors: self.anchors.clone(),
            domain: id.trust_domain().clone(),
        });
        let mut following = upstream.follow(&id, self.held.subscribe(), hearer);
        let mut follows = true;
        loop {
            let idle = self.rotation.idle_for(self.clock.now());
            tokio::select! {
                asked = answer(&mut self.attempt) => self.on_answer(asked),
                Ok(()) = changes.changed() => self.on_roots(),
                () = &mut following, if follows => follows = false,
                () = sleep(idle) => self.on_tick(),
            }
            self.note_state();
        }
    }

    fn on_tick(&mut self) {
        let actions = self.rotation.step(self.clock.now(), Event::Tick);
        self.act(&actions, None);
    }

    fn on_answer(&mut self, asked: Asked) {
        self.attempt = None;
        let now = self.clock.now();
        match self.take(asked, now) {
            Ok((svid, since)) => {
                let actions = self.rotation.step(
                    now,
                    Event::Received {
                        not_after: svid.not_after,
                    },
                );
                self.act(&actions, Some((svid, since)));
                self.lead(now);
            }
            Err(failure) => {
                let actions = self.rotation.step(now, Event::Failed(failure.setback()));
                self.act(&actions, None);
                self.report(&failure);
            }
        }
    }

    /// The roots are served already; what is left is whether they are those of the certificate.
    fn on_roots(&mut self) {
        let now = self.clock.now();
        let lead = self.lead(now);
        let actions = self.rotation.step(now, Event::Roots(lead));
        self.act(&actions, None);
    }

    /// Where the held certificate leads to. That it leads nowhere is told.
    fn lead(&self, now: SystemTime) -> Lead {
        let roots = self.anchors.roots(self.id.trust_domain());
        let held = self.held.borrow();
        let astray = held
            .as_ref()
            .is_some_and(|held| !leads(held.chain(), &roots, now));
        if !astray {
            return Lead::Home;
        }
        tracing::warn!(
            identity = %self.id,
            serial = self.serial.as_deref().unwrap_or("none"),
            "the certificate does not lead to a root of the trust bundle that is served",
        );
        Lead::Astray
    }

    /// Validates before anything is published.
    fn take(&self, asked: Asked, now: SystemTime) -> Result<(Svid, Mark), Failure> {
        let (key, issued, since) = asked?;
        Ok((Svid::check(issued, key, &self.id, now)?, since))
    }

    fn act(&mut self, actions: &[Action], mut received: Option<(Svid, Mark)>) {
        for action in actions {
            match action {
                Action::Ask { proof, patience } => {
                    self.attempt = Some(self.ask(*proof, *patience));
                }
                Action::Withdraw => self.withdraw(),
                Action::Publish => {
                    if let Some((svid, since)) = received.take() {
                        self.publish(svid, since);
                    }
                }
            }
        }
    }

    fn ask(&self, proof: Proof, patience: Duration) -> Attempt {
        let held = match proof {
            Proof::First => None,
            Proof::Held => self.held.borrow().clone(),
        };
        let upstream = Arc::clone(self.anchors.upstream());
        let since = self.anchors.mark(self.id.trust_domain());
        let (id, dns_names) = (self.id.clone(), Arc::clone(&self.dns_names));
        Box::pin(async move {
            let key = WorkloadKey::generate()?;
            let csr = key.request(&id, &dns_names)?;
            let issuance = match held {
                Some(held) => upstream.renew(&id, csr, held),
                None => upstream.issue(&id, csr),
            };
            let issued = timeout(patience, issuance).await;
            let issued = issued.map_err(|_| Failure::TimedOut(patience))??;
            Ok((key, issued, since))
        })
    }

    /// The roots first: nobody gets a certificate whose peers' roots are not there.
    fn publish(&mut self, svid: Svid, since: Mark) {
        // before anybody gets it: whoever measures deliveries counts from here
        let received = self.clock.now();
        let (serial, not_before, not_after) =
            (svid.serial.clone(), svid.not_before, svid.not_after);
        let bundle = Bundle {
            roots: svid.bundle.clone(),
            ..Bundle::default()
        };
        let source = Source::Answer;
        let heard = Heard {
            bundle,
            source,
            since,
        };
        self.anchors.take(self.id.trust_domain(), heard);
        let held = Held::new(svid.chain.clone(), svid.key.to_der());
        self.anchors.shelf().put_svid(&self.id, svid);
        self.held.send_replace(Some(held));
        self.reports.note(&self.id, |report| {
            report.received += 1;
            report.last_error = None;
            report.certificate = Some(CertificateReport {
                serial: serial.clone(),
                received,
                not_before,
                not_after,
            });
        });
        let old_serial = self.serial.replace(serial.clone());
        tracing::info!(
            identity = %self.id,
            old_serial = %old_serial.as_deref().unwrap_or("none"),
            new_serial = %serial,
            received = %humantime::format_rfc3339_micros(received),
            not_after = %humantime::format_rfc3339_seconds(not_after),
            next_renewal = %self.next_request(),
            "certificate received",
        );
    }

    /// Envoy has no way to be told that a certificate is gone, and keeps it; nobody else gets it any more.
    fn withdraw(&self) {
        self.anchors.shelf().withdraw(&self.id);
        self.held.send_replace(None);
        tracing::error!(
            identity = %self.id,
            serial = self.serial.as_deref().unwrap_or("none"),
            "the certificate has expired and could not be renewed in time",
        );
    }

    fn note_state(&self) {
        let (phase, next) = (
            Phase::of(self.rotation.state()),
            self.rotation.next_request(),
        );
        self.reports.note(&self.id, |report| {
            (report.phase, report.next_request) = (phase, next);
        });
    }

    fn report(&self, reason: &Failure) {
        self.reports.note(&self.id, |report| {
            report.failures += 1;
            report.last_error = Some(report::Setback {
                at: self.clock.now(),
                reason: reason.to_string(),
            });
        });
        tracing::warn!(
            identity = %self.id,
            serial = self.serial.as_deref().unwrap_or("none"),
            %reason,
            next_try = %self.next_request(),
            "{}", told(self.rotation.state()),
        );
    }

    fn next_request(&self) -> String {
        let moment = self.rotation.next_request();
        moment.map_or_else(
            || "now".to_owned(),
            |at| humantime::format_rfc3339_millis(at).to_string(),
        )
    }
}

/// What a failure leaves an identity with, for the log.
fn told(state: State) -> &'static str {
    match state {
        State::Unattested { .. } => "no new certificate: there is nothing to ask the CA with",
        State::Refused { .. }
        | State::CannotRenew {
            why: Setback::Refused,
            ..
        } => "no new certificate: the CA said no, and somebody has to look at it",
        State::WaitingForFirst(_)
        | State::Expired(_)
        | State::Holding { .. }
        | State::Renewing { .. }
        | State::CannotRenew {
            why: Setback::Passing | Setback::NoProof,
            ..
        } => "no new certificate",
    }
}

/// What the attempt under way comes to; nothing while there is none.
async fn answer(attempt: &mut Option<Attempt>) -> Asked {
    match attempt {
        Some(attempt) => attempt.await,
        None => std::future::pending().await,
    }
}
