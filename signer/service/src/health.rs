//! How the parts are doing, in one report.

use crate::lifecycle::Report as LifecycleReport;
use credence_daemon::{
    health::{Part, Report, State},
    ports::Health,
};
use credence_host::signer::{Health as SignerHealth, Signer};
use credence_ledger::port::Health as LedgerHealth;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The signing module tells nobody when it changes: it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Watches the parts.
#[derive(Debug, Clone)]
pub struct Doctor(watch::Receiver<Report>);

impl Doctor {
    /// A doctor, and the future that it works in: it has to run.
    pub fn new(
        ledger: watch::Receiver<LedgerHealth>,
        lifecycle: watch::Receiver<LifecycleReport>,
        chain: watch::Receiver<Option<String>>,
        signer: Arc<Signer>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let parts = Parts {
            ledger,
            lifecycle,
            chain,
            signer,
        };
        let (sender, receiver) = watch::channel(parts.report());
        let work = watching(parts, sender);
        (Self(receiver), work)
    }
}

impl Health for Doctor {
    fn watch(&self) -> watch::Receiver<Report> {
        self.0.clone()
    }
}

struct Parts {
    ledger: watch::Receiver<LedgerHealth>,
    lifecycle: watch::Receiver<LifecycleReport>,
    /// Why changed files of somebody else's chain are not taken.
    chain: watch::Receiver<Option<String>>,
    signer: Arc<Signer>,
}

impl Parts {
    fn report(&self) -> Report {
        let part = |name: &str, state| Part {
            name: name.to_owned(),
            state,
        };
        let mut parts = vec![
            part("ledger", of_ledger(&self.ledger.borrow())),
            part("lifecycle", of_lifecycle(&self.lifecycle.borrow())),
            part("signer", of_signer(self.signer.health())),
        ];
        if let Some(why) = &*self.chain.borrow() {
            parts.push(part("chain", State::Warning(why.clone())));
        }
        Report { parts }
    }
}

/// Ends with the first part that ends: then nothing is known of it, which counts as failing.
async fn watching(mut parts: Parts, sender: watch::Sender<Report>) {
    loop {
        let alive = tokio::select! {
            changed = parts.ledger.changed() => changed.is_ok(),
            changed = parts.lifecycle.changed() => changed.is_ok(),
            Ok(()) = parts.chain.changed() => true,
            () = tokio::time::sleep(LOOK) => true,
        };
        let report = parts.report();
        sender.send_if_modified(|now| {
            let changed = *now != report;
            *now = report;
            changed
        });
        if !alive {
            return;
        }
    }
}

fn of_ledger(health: &LedgerHealth) -> State {
    match health {
        LedgerHealth::Writing => State::Good,
        LedgerHealth::Failing { trouble, since } => {
            State::Failing(format!("since {since}: {trouble}"))
        }
        LedgerHealth::Fenced(who) => State::Failing(format!("another daemon writes it: {who}")),
        LedgerHealth::Closed => State::Failing("it is closed".into()),
    }
}

fn of_lifecycle(report: &LifecycleReport) -> State {
    match (&report.failing, report.warnings.as_slice()) {
        (Some(why), _) => State::Warning(why.clone()),
        (None, []) => State::Good,
        (None, warnings) => State::Warning(warnings.join("; ")),
    }
}

fn of_signer(health: SignerHealth) -> State {
    match health {
        SignerHealth::Good => State::Good,
        SignerHealth::Degraded { .. } => State::Warning("the signing module misbehaves".into()),
    }
}
