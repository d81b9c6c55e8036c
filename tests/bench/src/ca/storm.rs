//! After an outage: many workloads that ask at once, each on a connection of its own, and ask again as istio-agent does.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    grpc::{Answer, Call, Dialer, Sender, send},
    load::host,
    world::World,
};
use crate::{signer::Figures, usage};

/// Nodes that the workloads run on.
const NODES: usize = 100;
/// How often istio-agent asks again.
const RETRIES: u32 = 5;
/// How long it waits before the first time; each next wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// How long gRPC gives a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// By when all of it has to be over.
const LIMIT: Duration = Duration::from_secs(180);
/// What the CA may have open at once. Its limits besides are those that it has by default: each identity asks once.
const SECTIONS: &str = "
[limits]
connections = 12000
";
/// The codes that istio-agent asks again after: Canceled, DeadlineExceeded, ResourceExhausted, Aborted, Internal, Unavailable.
const RETRIED: [u32; 6] = [1, 4, 8, 10, 13, 14];

/// How a workload fared.
struct Fate {
    /// The connection stays open to the end, as an agent's does.
    served: Option<Sender>,
    asked_again: u32,
    at: Duration,
}

/// One storm, with a CA that has just been started.
pub(super) struct Storm {
    seconds: f64,
    refused: usize,
    asked_again: u32,
    resident_mb: f64,
    descriptors: usize,
}

/// Measures it so many times.
pub(super) async fn measure(
    program: &Path,
    within: &Path,
    (workloads, times): (usize, usize),
    figures: &mut Figures,
) -> Result<()> {
    let mut storms = Vec::new();
    for _ in 0..times {
        storms.push(storm(program, within, workloads).await?);
    }
    let case = format!("storm/{workloads}");
    let mut add = |metric, unit, figure: fn(&Storm) -> f64| {
        figures.add(&case, metric, unit, storms.iter().map(figure))
    };
    add("seconds", "s", |storm| storm.seconds)?;
    add("refused", "1", |storm| count(storm.refused))?;
    add("asked_again", "1", |storm| f64::from(storm.asked_again))?;
    add("resident_mb", "MB", |storm| storm.resident_mb)?;
    add("descriptors", "1", |storm| count(storm.descriptors))
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn count(number: usize) -> f64 {
    number as f64
}

async fn storm(program: &Path, within: &Path, workloads: usize) -> Result<Storm> {
    let world = World::start(program, within, SECTIONS).await?;
    let calls = world.istio(workloads)?;
    let (begin, _) = watch::channel(None);
    let mut running = JoinSet::new();
    for number in 0..workloads {
        let (dialer, calls) = (world.dialer.clone(), Arc::clone(&calls));
        let mut begun = begin.subscribe();
        running.spawn(async move {
            let start: Option<Instant> = *begun.wait_for(Option::is_some).await?;
            let start = start.context("it has not begun")?;
            let call = calls.get(number).context("no such workload")?;
            let (served, asked_again) = workload(&dialer, number, call).await;
            Ok::<_, anyhow::Error>(Fate {
                served,
                asked_again,
                at: start.elapsed(),
            })
        });
    }
    begin.send_replace(Some(Instant::now()));
    let fates = timeout(LIMIT, all(running))
        .await
        .context("a storm without an end")??;
    ensure!(fates.len() == workloads, "workloads got lost");
    let pid = world.pid();
    let last = fates.iter().map(|fate| fate.at).max();
    Ok(Storm {
        seconds: last.unwrap_or_default().as_secs_f64(),
        refused: fates.iter().filter(|fate| fate.served.is_none()).count(),
        asked_again: fates.iter().map(|fate| fate.asked_again).sum(),
        resident_mb: usage::peak_kib(pid)? * 1024.0 / 1e6,
        descriptors: usage::descriptors(pid)?,
    })
}

async fn all(mut running: JoinSet<Result<Fate>>) -> Result<Vec<Fate>> {
    let mut fates = Vec::new();
    while let Some(ended) = running.join_next().await {
        fates.push(ended??);
    }
    Ok(fates)
}

/// Asks until there is a certificate, an answer that is final, or no patience any more.
async fn workload(dialer: &Dialer, number: usize, call: &Call) -> (Option<Sender>, u32) {
    let mut connected = None;
    for asked in 0..=RETRIES {
        if asked > 0 {
            sleep(wait(asked, number)).await;
        }
        if connected.is_none() {
            let connecting = timeout(CONNECT, dialer.connect(host(number % NODES)));
            connected = connecting.await.ok().and_then(Result::ok);
        }
        let Some(mut sender) = connected.take() else {
            continue;
        };
        match send(&mut sender, call).await {
            Ok(Answer::Served(_)) => return (Some(sender), asked),
            Ok(Answer::Refused(code)) if !RETRIED.contains(&code) => return (None, asked),
            Ok(Answer::Refused(_)) => connected = Some(sender),
            // the connection is gone, which gRPC tells as Unavailable
            Err(_) => {}
        }
    }
    (None, RETRIES)
}

/// Twice as long each time, a tenth more or less.
fn wait(asked: u32, number: usize) -> Duration {
    let tenth = u32::try_from(number % 21).unwrap_or(10);
    FIRST_WAIT * 2_u32.pow(asked - 1) * (90 + tenth) / 100
}
