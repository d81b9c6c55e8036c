//! Runs the rotation of one identity: asks the CA, checks what comes, publishes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spiffe::SpiffeId;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::key::{KeyError, WorkloadKey};
use crate::rotation::{Action, Draw, Event, Rotation, Setback};
use crate::shelf::Shelf;
use crate::svid::{Rejection, Svid};
use crate::upstream::{Issued, Upstream, UpstreamError};

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
            Self::Upstream(UpstreamError::Unavailable(_))
            | Self::TimedOut(_)
            | Self::Rejected(_)
            | Self::Key(_) => Setback::Passing,
        }
    }
}

type Asked = Result<(WorkloadKey, Issued), Failure>;
type Attempt = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// Keeps one identity supplied.
pub(crate) struct Keeper {
    id: SpiffeId,
    /// What is asked for beside it.
    dns_names: Arc<[String]>,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    rotation: Rotation,
    shelf: Shelf,
    attempt: Option<Attempt>,
    /// The serial number of the last certificate that was published.
    serial: Option<String>,
}

impl Keeper {
    /// Begins without a certificate; what it gets goes to the shelf.
    pub(crate) fn new(
        (id, dns_names): (SpiffeId, Vec<String>),
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        shelf: Shelf,
    ) -> Self {
        let rotation = Rotation::new(Draw::of(&id), clock.now());
        Self {
            id,
            dns_names: dns_names.into(),
            upstream,
            clock,
            rotation,
            shelf,
            attempt: None,
            serial: None,
        }
    }

    /// Runs for ever. Dropping the future lets go of the attempt under way; what was published stays.
    pub(crate) async fn run(mut self) {
        loop {
            let idle = self.rotation.idle_for(self.clock.now());
            tokio::select! {
                asked = answer(&mut self.attempt) => self.on_answer(asked),
                () = sleep(idle) => self.on_tick(),
            }
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
            Ok(svid) => {
                let actions = self.rotation.step(
                    now,
                    Event::Received {
                        not_after: svid.not_after,
                    },
                );
                self.act(&actions, Some(svid));
            }
            Err(failure) => {
                let actions = self.rotation.step(now, Event::Failed(failure.setback()));
                self.act(&actions, None);
                self.report(&failure);
            }
        }
    }

    /// Validates before anything is published.
    fn take(&self, asked: Asked, now: SystemTime) -> Result<Svid, Failure> {
        let (key, issued) = asked?;
        Ok(Svid::check(issued, key, &self.id, now)?)
    }

    fn act(&mut self, actions: &[Action], mut received: Option<Svid>) {
        for action in actions {
            match action {
                Action::Ask { patience } => self.attempt = Some(self.ask(*patience)),
                Action::Withdraw => self.withdraw(),
                Action::Publish => {
                    if let Some(svid) = received.take() {
                        self.publish(svid);
                    }
                }
            }
        }
    }

    fn ask(&self, patience: Duration) -> Attempt {
        let upstream = Arc::clone(&self.upstream);
        let (id, dns_names) = (self.id.clone(), Arc::clone(&self.dns_names));
        Box::pin(async move {
            let key = WorkloadKey::generate()?;
            let csr = key.request(&id, &dns_names)?;
            let issued = timeout(patience, upstream.issue(&id, csr)).await;
            let issued = issued.map_err(|_| Failure::TimedOut(patience))??;
            Ok((key, issued))
        })
    }

    fn publish(&mut self, svid: Svid) {
        let (serial, not_after) = (svid.serial.clone(), svid.not_after);
        self.shelf.put_svid(&self.id, svid);
        let old_serial = self.serial.replace(serial.clone());
        tracing::info!(
            identity = %self.id,
            old_serial = %old_serial.as_deref().unwrap_or("none"),
            new_serial = %serial,
            not_after = %humantime::format_rfc3339_seconds(not_after),
            next_renewal = %self.next_request(),
            "certificate received",
        );
    }

    /// Envoy has no way to be told that a certificate is gone, and keeps it; nobody else gets it any more.
    fn withdraw(&self) {
        self.shelf.withdraw(&self.id);
        tracing::error!(
            identity = %self.id,
            serial = self.serial.as_deref().unwrap_or("none"),
            "the certificate has expired and could not be renewed in time",
        );
    }

    fn report(&self, reason: &Failure) {
        tracing::warn!(
            identity = %self.id,
            serial = self.serial.as_deref().unwrap_or("none"),
            %reason,
            next_try = %self.next_request(),
            "no new certificate",
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

/// What the attempt under way comes to; nothing while there is none.
async fn answer(attempt: &mut Option<Attempt>) -> Asked {
    match attempt {
        Some(attempt) => attempt.await,
        None => std::future::pending().await,
    }
}
