//! Load on a CA: as much as it takes, or at a rate that is given.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{task::JoinSet, time::sleep_until};

use super::grpc::{Call, Dialer, Sender, served};
use crate::{stats::quantile, usage::CpuTime};

/// Connections that are kept open.
const CONNECTIONS: usize = 16;
/// Calls under way on each.
const CALLS: usize = 8;
/// Calls under way where each has a connection of its own.
const DIALS: usize = 16;

/// How calls find their connection.
#[derive(Clone)]
enum Way {
    Kept(Vec<Sender>),
    Own(Dialer),
}

/// Sends calls, one after the other of a list, and from its beginning again.
#[derive(Clone)]
pub(super) struct Load {
    way: Way,
    calls: Arc<[Call]>,
    next: Arc<AtomicUsize>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Certificates.
    pub(super) served: usize,
    /// From the first call to the last answer.
    pub(super) took: Duration,
}

impl Seen {
    /// Certificates a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    pub(super) fn per_second(&self) -> f64 {
        self.served as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of each certificate, of a process's time on a CPU. By ticks of 10 ms: what threads used that have ended is in it.
    #[must_use]
    pub(super) fn us_of(&self, used: CpuTime) -> f64 {
        let share = used.ticked.as_secs_f64() / self.took.as_secs_f64();
        share * self.us_per_certificate()
    }

    /// Microseconds from one certificate to the next.
    #[must_use]
    pub(super) fn us_per_certificate(&self) -> f64 {
        1e6 / self.per_second()
    }
}

impl Load {
    /// On connections that stay open.
    ///
    /// # Errors
    /// If one does not come to be.
    pub(super) async fn on_kept_connections(dialer: &Dialer, calls: Arc<[Call]>) -> Result<Self> {
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            senders.push(dialer.connect(Ipv4Addr::LOCALHOST.into()).await?);
        }
        Ok(Self::new(Way::Kept(senders), calls))
    }

    /// A new connection for each call.
    #[must_use]
    pub(super) fn on_own_connections(dialer: &Dialer, calls: Arc<[Call]>) -> Self {
        Self::new(Way::Own(dialer.clone()), calls)
    }

    fn new(way: Way, calls: Arc<[Call]>) -> Self {
        let next = Arc::default();
        Self { way, calls, next }
    }

    /// Each lane asks again as soon as it is answered, until the time is over.
    ///
    /// # Errors
    /// If a call is not served.
    pub(super) async fn closed(&self, time: Duration) -> Result<Seen> {
        let lanes = match &self.way {
            Way::Kept(senders) => senders.len() * CALLS,
            Way::Own(_) => DIALS,
        };
        let start = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..lanes {
            let this = self.clone();
            running.spawn(async move {
                let mut served = 0;
                while start.elapsed() < time {
                    this.one().await?;
                    served += 1;
                }
                Ok::<_, anyhow::Error>(served)
            });
        }
        let mut served = 0;
        while let Some(ended) = running.join_next().await {
            served += ended??;
        }
        Ok(Seen {
            served,
            took: start.elapsed(),
        })
    }

    /// So many calls a second, whatever becomes of them: milliseconds from when each was due to its answer, ascending.
    ///
    /// # Errors
    /// If a call is not served.
    pub(super) async fn open(&self, per_second: f64, time: Duration) -> Result<Vec<f64>> {
        let start = Instant::now();
        let mut running = JoinSet::new();
        for number in 0_u32.. {
            let after = Duration::from_secs_f64(f64::from(number) / per_second);
            if after >= time {
                break;
            }
            let due = start + after;
            if due > Instant::now() {
                sleep_until(due.into()).await;
            }
            let this = self.clone();
            running.spawn(async move {
                this.one().await?;
                Ok::<_, anyhow::Error>(due.elapsed().as_secs_f64() * 1e3)
            });
        }
        let mut latencies = Vec::new();
        while let Some(ended) = running.join_next().await {
            latencies.push(ended??);
        }
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }

    async fn one(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let call = self.calls.get(number % self.calls.len());
        let call = call.context("no calls")?;
        match &self.way {
            Way::Kept(senders) => {
                let sender = senders.get(number % senders.len());
                served(&mut sender.context("no connections")?.clone(), call).await?;
            }
            Way::Own(dialer) => {
                let mut sender = dialer.connect(host(number % DIALS)).await?;
                served(&mut sender, call).await?;
            }
        }
        Ok(())
    }
}

/// The 99th of a hundred.
///
/// # Errors
/// If there are none.
pub(super) fn p99(sorted: &[f64]) -> Result<f64> {
    quantile(sorted, 0.99).context("not one call was made")
}

/// One of this machine's many loopback addresses: a connection takes a port of its address for a minute after its end.
#[must_use]
pub(super) fn host(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number)
        .unwrap_or(0)
        .saturating_add(1)
        .to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}
