//! The demo: two Envoys that trust each other through Credence, step by step.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use credence_e2e::{
    process::Fate,
    rotation,
    stage::{self, Stage},
    steps, tools,
    traffic::Tally,
    world::{Options, World},
};

/// Rotations to be seen before the demo is content.
const ROTATIONS: usize = 3;

/// Shows Credence at work: real Envoys, real certificates, each step checked.
#[derive(Debug, Parser)]
#[command(name = "scripts/demo")]
struct Arguments {
    /// Leave everything running at the end, and say what to try and how to stop it
    #[arg(long)]
    keep: bool,
    /// The life of a certificate; it is renewed at half of it
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    leaf_life: Duration,
}

// One thread: the processes that are started live as long as the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut stage = Stage::new();
    let outcome = tokio::select! {
        outcome = show(&arguments, &mut stage) => outcome,
        outcome = stage::interrupted() => outcome,
    };
    if let Err(error) = outcome {
        stage.wrong(&error);
    }
    stage.curtain()
}

/// A step that failed does not end the show; only a start that failed does.
async fn show(arguments: &Arguments, stage: &mut Stage) -> Result<()> {
    stage.say("Credence: two Envoys that trust each other, and keep others out");
    stage.begin("credence, a server's Envoy and two clients' Envoys start");
    let world = World::start(options(arguments)?).await?;
    stage.end(Ok(introduction(&world)));

    stage.begin("frontend asks the server: its identity is let in");
    stage.end(steps::frontend_is_let_in(&world).await);
    stage.begin("frontend asks for what no rule gives it: refused");
    stage.end(steps::frontend_is_kept_to_its_paths(&world).await);
    stage.begin("intruder, of the same trust domain, asks the server: refused, and told why");
    stage.end(steps::intruder_is_refused(&world).await);
    stage.begin("a client without a certificate: ends at the handshake");
    stage.end(steps::stranger_fails_at_the_handshake(&world).await);
    let traffic = show_rotation(&world, stage).await;
    stage.begin("the filter's metrics, from the server's /stats/prometheus");
    let expected = steps::Expected {
        allowed: steps::EXPECTED.allowed + traffic.succeeded,
        ..steps::EXPECTED
    };
    stage.end(steps::metrics_count_what_happened(&world, expected).await);
    if arguments.keep {
        keep(world, stage)?;
    }
    Ok(())
}

async fn show_rotation(world: &World, stage: &mut Stage) -> Tally {
    let life = world.options().leaf_life;
    stage.begin(&format!(
        "certificates live {} and rotate {ROTATIONS} times under traffic, and no request fails",
        humantime::format_duration(life)
    ));
    // Each rotation comes at half of a life, give or take its jitter.
    let limit = life * 3;
    let seen = rotation::under_load(world, ROTATIONS, limit, |line| stage.detail(line)).await;
    let traffic = seen.as_ref().map(|seen| seen.traffic.clone()).ok();
    stage.end(seen.map(|seen| seen.evidence()));
    traffic.unwrap_or_default()
}

fn options(arguments: &Arguments) -> Result<Options> {
    Ok(Options {
        credence: tools::credence()?,
        leaf_life: arguments.leaf_life,
        ca_key: "p256",
        fate: if arguments.keep {
            Fate::MayStay
        } else {
            Fate::DiesWithUs
        },
    })
}

fn introduction(world: &World) -> String {
    format!(
        "server at {} (mTLS), frontend at {} and intruder at {} (plain HTTP, to their applications)",
        world.server.address(),
        world.frontend.address(),
        world.intruder.address()
    )
}

fn keep(world: World, stage: &Stage) -> Result<()> {
    let folder = world.folder().display().to_string();
    let (frontend, intruder) = (world.frontend.address(), world.intruder.address());
    let server = world.server.address();
    let ids = world.leave_running()?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    stage.say("It is left running. To try:");
    println!("  curl -i http://{frontend}/api/hello                  # let in");
    println!("  curl -i http://{intruder}/api/hello                  # refused, with the reason");
    println!("  curl -ik https://{server}/                         # no certificate");
    println!(
        "  curl --unix-socket {folder}/server.admin.sock http://envoy/stats/prometheus | grep credence"
    );
    println!("  curl --unix-socket {folder}/frontend.admin.sock http://envoy/certs");
    println!("  tail -f {folder}/access.log {folder}/credence.log");
    println!("To stop it:");
    println!("  kill {}; sleep 2; rm -r {folder}", ids.join(" "));
    Ok(())
}
