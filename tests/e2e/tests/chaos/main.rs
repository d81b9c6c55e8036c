//! What goes wrong around an agent, with traffic through two Envoys and without retries: no request fails while the last certificate is
//! valid, it recovers by itself, and no key is on a disk that nobody asked for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

#[path = "../root_rotation/pair.rs"]
mod pair;
mod scene;

use anyhow::{Result, ensure};
use credence_ca_tests::{agent::fetch, client::certificates};
use rustix::process::Signal;
use scene::{LIFE, Options, SOON, Scene};
use std::fs;

/// Two half-lives are a whole one: in between, the last certificates end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_is_gone_for_two_half_lives() -> Result<()> {
    let mut scene = Scene::start(Options::default()).await?;
    scene.renewed("a renewal").await?;
    let ends = scene.earliest_end();
    scene.ca.kill();
    scene.without_failure_until(ends).await?;
    scene
        .until("both to have ended", SOON, |scene| scene.all_are("expired"))
        .await?;
    scene.start_ca();
    scene.recovered().await?;
    scene.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_is_gone_for_a_while_and_nobody_notices() -> Result<()> {
    let mut scene = Scene::start(Options::default()).await?;
    for _ in 0..2 {
        scene.renewed("a renewal").await?;
        scene.ca.kill();
        scene
            .until("a renewal that failed", SOON, |scene| {
                scene.any_is("cannot_renew")
            })
            .await?;
        scene.start_ca();
        scene.renewed("the next renewal").await?;
    }
    scene.no_failure_at_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_killed_and_started_again() -> Result<()> {
    let mut scene = Scene::start(Options::default()).await?;
    for _ in 0..3 {
        scene.renewed("a renewal").await?;
        scene.agent.kill();
        scene.for_a(LIFE / 4).await?;
        scene.agent.start_again();
        scene
            .renewed("certificates of the new agent in both Envoys")
            .await?;
    }
    scene.no_failure_at_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sockets_are_deleted() -> Result<()> {
    let mut scene = Scene::start(Options::default()).await?;
    for name in ["frontend", "server"] {
        fs::remove_file(scene.socket(name))?;
    }
    scene
        .until("the sockets anew", SOON, |scene| {
            Ok(scene.socket("frontend").exists() && scene.socket("server").exists())
        })
        .await?;
    let chain = fetch(&scene.socket("server"), "default").await?;
    ensure!(
        !certificates(&chain).is_empty(),
        "nothing for who comes by the new socket"
    );
    scene.renewed("who is connected gets renewals").await?;
    scene.no_failure_at_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_moves() -> Result<()> {
    let mut scene = Scene::start(Options {
        moved_clock: true,
        ..Options::default()
    })
    .await?;
    // back by less than certificates are backdated: a renewal is not put off
    scene.move_clock("-3")?;
    scene.renewed("a renewal, seconds behind").await?;
    scene.renewed("another, seconds behind").await?;
    // so far back that no new certificate is valid yet: it says so, and goes on when the clock does
    scene.move_clock("-3600")?;
    scene
        .until("a certificate from the future", SOON, |scene| {
            scene.any_is("cannot_renew")
        })
        .await?;
    ensure!(scene.agent.log().contains("is this machine's clock slow?"));
    scene.move_clock("+0")?;
    scene.renewed("a renewal, on time").await?;
    // forward by less than a life, and where it should be
    scene.move_clock("+4")?;
    scene.renewed("a renewal, seconds ahead").await?;
    scene.move_clock("+0")?;
    scene.renewed("a renewal, on time").await?;
    // so far ahead that no certificate is any good, and back before the last one ends
    scene.move_clock("+3600")?;
    scene
        .until("both to have ended by its clock", SOON, |scene| {
            scene.all_are("expired")
        })
        .await?;
    scene.move_clock("+0")?;
    scene.renewed("a renewal, on time again").await?;
    scene.no_failure_at_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_full() -> Result<()> {
    let mut scene = Scene::start(Options {
        small_disk: true,
        ..Options::default()
    })
    .await?;
    scene
        .until("files", SOON, |scene| {
            Ok(scene.files()["serial"].is_string())
        })
        .await?;
    let filling = scene.fill_disk()?;
    scene
        .until("files that cannot be written", SOON, |scene| {
            Ok(scene.files()["last_error"].is_object())
        })
        .await?;
    scene
        .renewed("renewals in both Envoys all the same")
        .await?;
    fs::remove_file(filling)?;
    scene
        .until(
            "files that are written again, by themselves",
            SOON,
            |scene| {
                let files = scene.files();
                Ok(files["last_error"].is_null() && files["serial"].is_string())
            },
        )
        .await?;
    scene.no_failure_at_all().await
}

/// Renewals go by the token here, so that it matters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_has_expired() -> Result<()> {
    let mut scene = Scene::start(Options {
        by_token: true,
        ..Options::default()
    })
    .await?;
    scene.expire_tokens()?;
    scene
        .until("a refusal", SOON, |scene| scene.any_is("cannot_renew"))
        .await?;
    scene.put_tokens()?;
    scene.renewed("a renewal by the new token").await?;
    // and for so long that certificates end
    scene.expire_tokens()?;
    let ends = scene.earliest_end();
    scene.without_failure_until(ends).await?;
    scene
        .until("both refused, with nothing left", SOON, |scene| {
            scene.all_are("refused")
        })
        .await?;
    scene.put_tokens()?;
    scene.recovered().await?;
    scene.end().await
}

/// All of it at once, in the middle of a renewal or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_stopped_for_a_while_as_a_sleeping_machine_is() -> Result<()> {
    let mut scene = Scene::start(Options::default()).await?;
    scene.renewed("a renewal").await?;
    scene.agent.signal(Signal::STOP);
    scene.for_a(LIFE / 2).await?;
    scene.agent.signal(Signal::CONT);
    scene.renewed("a renewal after it woke up").await?;
    scene.no_failure_at_all().await
}
