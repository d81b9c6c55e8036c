//! Certificates rotate, and nobody notices.

mod common;

use std::time::Duration;

use anyhow::{Result, ensure};
use common::world;
use credence_e2e::{
    credence::Credence, process::Fate, rotation, steps, traffic::Traffic, wait, world::World,
};

/// Short, so that the test is; long enough for a busy machine.
const LIFE: Duration = Duration::from_secs(12);

#[tokio::test]
async fn three_rotations_without_a_failed_request() -> Result<()> {
    let world = world(LIFE).await?;
    let seen = rotation::under_load(&world, 3, LIFE * 4, |line| eprintln!("{line}")).await?;
    eprintln!("{}", seen.evidence());
    let expected = steps::Expected {
        allowed: seen.traffic.succeeded,
        denied: 0,
    };
    steps::metrics_count_what_happened(&world, expected).await?;
    Ok(())
}

/// The CA and the agent crash and come back: the Envoys serve on with what they have, and then
/// rotate again, under the same root.
#[tokio::test]
async fn a_crash_of_credence_is_not_noticed() -> Result<()> {
    let mut world = world(LIFE).await?;
    let root = std::fs::read(world.credence.state("ca/root.pem"))?;
    let traffic = Traffic::start(world.frontend.address(), "/api/hello");
    world.credence.process().kill()?;
    let before = world.frontend.held().await?;
    let credence = restart(&world).await?;
    wait::until("a new certificate", LIFE, async || {
        let held = world.frontend.held().await?;
        Ok((!held.is_subset(&before)).then_some(()))
    })
    .await?;
    let tally = traffic.stop().await;
    tally.without_failure()?;
    ensure!(
        std::fs::read(credence.state("ca/root.pem"))? == root,
        "the restart made another root"
    );
    Ok(())
}

async fn restart(world: &World) -> Result<Credence> {
    let binary = &world.options().credence;
    Credence::start_again(binary, world.folder(), Fate::DiesWithUs).await
}
