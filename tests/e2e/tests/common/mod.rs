//! What every test here starts from.

use std::time::Duration;

use anyhow::Result;
use credence_e2e::{
    process::Fate,
    tools,
    world::{Options, World},
};

/// A life that no test outlasts.
#[allow(dead_code, reason = "each test program takes what it needs")]
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A world whose leaves live as long as given.
pub(crate) async fn world(leaf_life: Duration) -> Result<World> {
    World::start(options(leaf_life)?).await
}

/// How a test's world is to be.
pub(crate) fn options(leaf_life: Duration) -> Result<Options> {
    Ok(Options {
        credence: tools::fresh_credence()?,
        leaf_life,
        ca_key: "p256",
        fate: Fate::DiesWithUs,
    })
}
