//! Thousands of Envoys on one agent: memory, and how long a new certificate takes to reach all of them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use credence_e2e::wait;
use tokio::task::JoinSet;

use super::{
    Effort, ROTATIONS,
    stream::{self, Board},
    world::{World, allow_files},
};
use crate::{signer::Figures, usage::CpuTime};

/// The shortest life that there is, in seconds: it is renewed every two and a half.
const LIFE: u32 = 5;
/// How long opening all streams may take, and a hundred rotations.
const LIMIT: Duration = Duration::from_secs(600);

/// Streams that are under way, and what reached them.
struct Streams {
    board: Arc<Board>,
    running: JoinSet<Result<()>>,
    count: usize,
}

pub(super) async fn measure(
    program: &Path,
    within: &Path,
    effort: &Effort,
    figures: &mut Figures,
) -> Result<()> {
    let case = format!("sds/{}", effort.streams);
    eprintln!("... {case}");
    allow_files(u64::try_from(effort.streams)? * 2 + 1_000)?;
    let world = World::start(program, within, 1, LIFE)?;
    figures.add(&case, "idle_mb", "MB", [world.resident_mb()?])?;
    let mut streams = Streams::open(&world, effort);
    let settled = streams.all_have(effort.settling).await?;
    let (resident, cpu) = (world.resident_mb()?, CpuTime::of(world.pid())?);
    figures.add(&case, "resident_mb", "MB", [resident])?;
    let half = streams
        .all_have(settled + effort.rotations.div_ceil(2))
        .await?;
    let halfway = world.resident_mb()?;
    let last = streams.all_have(half + effort.rotations / 2).await?;
    let whole = world.resident_mb()?;
    let cpu = CpuTime::of(world.pid())?.since(cpu).exact.as_secs_f64();
    figures.add(&case, "peak_mb", "MB", [world.peak_mb()?])?;
    if effort.rotations >= ROTATIONS {
        let grown = whole - resident;
        figures.add(&case, "growth_mb_100_rotations", "MB", [grown])?;
        // what goes on growing does so in both halves
        figures.add(&case, "growth_mb_second_half", "MB", [whole - halfway])?;
    } else {
        let why = format!("{} rotations only", effort.rotations);
        figures.not_run(&case, "growth_mb_100_rotations", "MB", why);
    }
    let times = streams.times(&world, settled..last)?;
    let slowest = times.iter().copied().fold(0.0, f64::max);
    figures.add(&case, "push_all_s", "s", times)?;
    figures.add(&case, "push_all_s_slowest", "s", [slowest])?;
    figures.add(
        &case,
        "cpu_us_per_push",
        "us",
        [cpu * 1e6 / count((last - settled) * effort.streams)],
    )
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn count(number: usize) -> f64 {
    number as f64
}

impl Streams {
    fn open(world: &World, effort: &Effort) -> Self {
        let (board, mut running) = (Arc::default(), JoinSet::new());
        for number in 0..effort.streams {
            let first: Bytes = stream::first_request(number, effort.node_bytes);
            running.spawn(stream::follow(world.socket(0), first, Arc::clone(&board)));
        }
        Self {
            board,
            running,
            count: effort.streams,
        }
    }

    /// Waits until all of them have had so many certificates; gives that number.
    async fn all_have(&mut self, certificates: usize) -> Result<usize> {
        let board = Arc::clone(&self.board);
        let waiting = wait::until("the same certificate everywhere", LIMIT, async || {
            let reached = board.reached();
            let nth = certificates.checked_sub(1).and_then(|at| reached.get(at));
            let all = nth.is_some_and(|one| one.streams == self.count);
            Ok(all.then_some(certificates))
        });
        tokio::select! {
            waited = waiting => waited,
            ended = self.running.join_next() => match ended {
                Some(Ok(Err(error))) => Err(error.context("a stream ended")),
                _ => bail!("a stream ended"),
            },
        }
    }

    /// Of each of these certificates: from its receipt to the last stream that has it, in seconds.
    fn times(&self, world: &World, certificates: std::ops::Range<usize>) -> Result<Vec<f64>> {
        let (reached, received) = (self.board.reached(), world.received()?);
        // streams may have come after the first certificates; the last of both are the same
        let behind = received.len().checked_sub(reached.len());
        let behind = behind.context("more certificates than were received")?;
        let time = |at: usize| {
            let (one, certificate) = (reached.get(at), received.get(at + behind));
            let (one, certificate) = one.zip(certificate).context("no such certificate")?;
            ensure!(one.streams == self.count, "it has not come everywhere");
            Ok((one.last - certificate.at).as_seconds_f64())
        };
        certificates.map(time).collect()
    }
}
