//! The tour of `envoy/compose`: images, containers, and what Credence does in them, step by step. `scripts/compose-demo`
//! starts it, once there is an engine and a base.

use std::{env, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use credence_e2e::{
    compose::{
        leaks,
        project::{Port, Project},
        revocation,
        sights::{Prometheus, grafana_has_our_dashboards},
        staging, steps,
    },
    stage::{self, Stage},
};

/// Shows Credence in containers: each step checked.
#[derive(Debug, Parser)]
#[command(name = "scripts/compose-demo")]
struct Arguments {
    /// Leave everything running at the end, and say what to open
    #[arg(long)]
    keep: bool,
    /// Stop what was left running
    #[arg(long, conflicts_with = "keep")]
    stop: bool,
    /// The image that ours are made on
    #[arg(long, env = "BASE_IMAGE", default_value = "debian:bookworm-slim")]
    base: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.stop {
        return stop().await;
    }
    let mut stage = Stage::new();
    let outcome = tokio::select! {
        outcome = show(&arguments, &mut stage) => outcome,
        outcome = stage::interrupted() => outcome,
    };
    let failed = outcome.is_err();
    if let Err(error) = outcome {
        stage.wrong(&error);
    }
    if (failed || stage.failed() || !arguments.keep)
        && let Err(error) = clear_away().await
    {
        stage.wrong(&error);
    }
    stage.curtain()
}

async fn stop() -> ExitCode {
    match clear_away().await {
        Ok(()) => {
            println!("It is stopped.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn project() -> Result<Project> {
    let grafana = env::var("CREDENCE_GRAFANA").is_ok_and(|value| value == "yes");
    Project::new(grafana).await
}

async fn clear_away() -> Result<()> {
    project().await?.down().await
}

/// A step that failed does not end the show; only a start that failed does.
async fn show(arguments: &Arguments, stage: &mut Stage) -> Result<()> {
    stage.say("Credence in containers: a CA, two services, Prometheus");
    let project = project().await?;
    stage.begin("images, of what was built outside");
    // What a run that was killed left.
    project.down().await?;
    staging::fill(&staging::place()?)?;
    project.build().await.context("the images")?;
    stage.end(steps::image_is_small(&arguments.base).await);
    stage.begin("all of it starts, and is healthy");
    project.up().await?;
    stage.end(Ok(project.services().join(", ")));
    let prometheus = Prometheus::of(&project);
    stage.begin("each container is shut in");
    stage.end(steps::containers_are_shut_in(&project).await);
    stage.begin("the frontend asks the server for what a rule gives it: let in");
    stage.end(steps::frontend_is_let_in(&project).await);
    stage.begin("the frontend asks for what no rule gives it: refused, and told why");
    stage.end(steps::frontend_is_refused(&project).await);
    stage.begin("certificates live 30 s and rotate under traffic, and no request fails");
    stage.end(steps::certificates_rotate(&project, |line| stage.detail(line)).await);
    stage.begin("the root is replaced under traffic, and no request fails");
    stage.end(steps::root_rotates(&project, |line| stage.detail(line)).await);
    stage.begin("the frontend is revoked: its live connection and new ones are refused");
    let tell = |line: &str| stage.detail(line);
    stage.end(revocation::reaches_connections(&project, &prometheus, tell).await);
    stage.begin("it is taken back, and the frontend joins anew");
    stage.end(revocation::is_lifted(&project).await);
    stage.begin("Prometheus has the metrics of CA, agents and filters");
    stage.end(prometheus.has_our_metrics().await);
    stage.begin("Grafana is given our dashboards");
    stage.end(grafana_has_our_dashboards(&project).await);
    stage.begin("no key and no token is where none may be");
    stage.end(leaks::none_is_in_an_image(&project).await);
    if arguments.keep && !stage.failed() {
        keep(&project, stage);
    }
    Ok(())
}

fn keep(project: &Project, stage: &Stage) {
    let [frontend, prometheus] =
        [Port::Frontend, Port::Prometheus].map(|port| project.address(port));
    stage.say("It is left running. To try:");
    println!("  curl -i http://{frontend}/api/hello        # let in");
    println!("  curl -i http://{frontend}/admin            # refused, with the reason");
    println!("  http://{prometheus}                        # Prometheus, with our rules");
    if project.grafana() {
        println!(
            "  http://{}                        # Grafana",
            project.address(Port::Grafana)
        );
    }
    println!("To stop it:");
    println!("  scripts/compose-demo --stop");
}
