//! A chain of somebody else's making, in files that stay theirs: loaded at each start, looked at while it runs.

use crate::{
    clock::Shared,
    lifecycle::{Import, Lifecycle, LifecycleError},
};
use credence_ca::{chain::Terms, validity::Time};
use credence_host::{
    authorities::KeyHome,
    chain::{BadChain, Layout, OwnChain, Reading, Seen, Watch},
};
use credence_ledger::entry::By;
use spiffe::SpiffeId;
use std::{sync::Arc, time::Duration};
use thiserror::Error;
use tokio::sync::watch;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where the chain is.
#[derive(Debug, Clone)]
pub struct ChainPlan {
    /// Its files.
    pub layout: Layout,
    /// How keys are read.
    pub reading: Reading,
    /// Whether it is begun with though it ends before a leaf of the longest life would: leaves then end with it.
    pub near_its_end: bool,
    /// The longest life of a leaf that others have signed below its roots: gates stay shut for as long.
    pub others: Duration,
}

/// Why a chain is not taken.
#[derive(Debug, Error)]
pub enum ChainError {
    /// What is wrong with it.
    #[error(transparent)]
    Bad(#[from] BadChain),
    /// Nothing is there.
    #[error("no chain is there: none of its files")]
    Absent,
}

impl ChainPlan {
    /// Reads the chain. One that is in use already may be near its end.
    ///
    /// # Errors
    /// If it is not there, or not a good one.
    pub(crate) fn load(
        &self,
        trust_domain: &SpiffeId,
        now: Time,
        longest_leaf_life: Duration,
    ) -> Result<OwnChain, ChainError> {
        let terms = Terms {
            trust_domain,
            now,
            longest_leaf_life,
        };
        let chain = self.layout.load(&self.reading, &terms)?;
        let chain = chain.ok_or(ChainError::Absent)?;
        for warning in &chain.warnings {
            tracing::warn!(%warning, "the chain that was brought along");
        }
        Ok(chain)
    }

    /// Its keys are not written down here.
    pub(crate) fn import(&self, chain: OwnChain) -> Result<Import, LifecycleError> {
        Import::of(chain, KeyHome::Elsewhere, self.others)
    }
}

/// Looks at the files for as long as it runs. A changed chain goes the lifecycle's way; one that is not good is told, and changes nothing.
pub(crate) async fn follow(
    plan: ChainPlan,
    mut files: Watch,
    trust_domain: SpiffeId,
    longest_leaf_life: Duration,
    lifecycle: Arc<Lifecycle>,
    clock: Shared,
    trouble: watch::Sender<Option<String>>,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (domain, now) = (trust_domain.clone(), clock.time());
        let looked = tokio::task::spawn_blocking(move || {
            let terms = Terms {
                trust_domain: &domain,
                now,
                longest_leaf_life,
            };
            let seen = files.look(&terms);
            (files, seen)
        });
        let Ok((back, seen)) = looked.await else {
            return;
        };
        files = back;
        match seen {
            Seen::Unchanged if !files.is_bad() => told(&trouble, None),
            Seen::Unchanged => {}
            Seen::Bad(why) => {
                tracing::error!(error = %why, "the chain's files have changed and are REFUSED; the chain in use goes on");
                told(
                    &trouble,
                    Some(format!("the chain's files are refused: {why}")),
                );
            }
            Seen::Changed(chain) => {
                let issuer = credence_ca::lifecycle::CertificateId::of(chain.issuer.der());
                let taken = match plan.import(*chain) {
                    Ok(import) => lifecycle.import(import, By::Itself).await,
                    Err(error) => Err(error),
                };
                match taken {
                    Ok(()) => {
                        tracing::warn!(%issuer, "the chain's files have changed: they are taken up");
                    }
                    Err(error) => {
                        tracing::error!(%error, %issuer, "the chain's files have changed and are REFUSED; the chain in use goes on");
                        told(
                            &trouble,
                            Some(format!("the chain's files are refused: {error}")),
                        );
                    }
                }
            }
        }
    }
}

fn told(trouble: &watch::Sender<Option<String>>, what: Option<String>) {
    trouble.send_if_modified(|now| {
        let changed = *now != what;
        *now = what;
        changed
    });
}
