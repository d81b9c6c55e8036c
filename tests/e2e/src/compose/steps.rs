//! What the tour shows. Each step gives its evidence in words.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::project::{IMAGE, Port, Project, docker};
use crate::{
    http::{self, Endpoint},
    traffic::Traffic,
    wait,
};

/// The most that the daemon's image may have over its base, in octets.
const OVER_ITS_BASE: u64 = 60_000_000;
/// A rotation comes at half of a life of 30 s, give or take its jitter.
const ROTATION: Duration = Duration::from_secs(45);
/// From the order until the old root is gone everywhere: leaves of 30 s have to end.
const ROOT_ROTATION: Duration = Duration::from_secs(150);
/// How often it is looked at what became of an order.
const PAUSE: Duration = Duration::from_millis(500);
/// The agents, by the service that each is beside.
const AGENTS: [&str; 2] = ["frontend-agent", "server-agent"];

/// The daemon's image is small.
///
/// # Errors
/// If it is not, or the engine does not say.
pub async fn image_is_small(base: &str) -> Result<String> {
    let over = size(IMAGE).await?.saturating_sub(size(base).await?);
    ensure!(
        over > 0 && over < OVER_ITS_BASE,
        "{IMAGE} has {over} octets over {base}, of at most {OVER_ITS_BASE}"
    );
    let (mega, tenth) = (over / 1_000_000, over / 100_000 % 10);
    Ok(format!("{IMAGE}: {mega}.{tenth} MB over {base}"))
}

async fn size(image: &str) -> Result<u64> {
    let told = docker(&["image", "inspect", "--format", "{{.Size}}", image]).await?;
    told.trim()
        .parse()
        .with_context(|| format!("the size of {image}: {told}"))
}

/// Every container is as shut in as the file says, and the kernel says the same of the CA's.
///
/// # Errors
/// If one is not.
pub async fn containers_are_shut_in(project: &Project) -> Result<String> {
    let services = project.services();
    for service in &services {
        let told = project.inspect(service).await?;
        let (config, host) = (&told["Config"], &told["HostConfig"]);
        let user = config["User"].as_str().unwrap_or_default();
        let checks = [
            (
                "a user other than root",
                !user.is_empty() && !user.starts_with('0'),
            ),
            (
                "a read-only root file system",
                host["ReadonlyRootfs"] == true,
            ),
            (
                "no capabilities",
                host["CapDrop"][0] == "ALL" && host["CapAdd"].is_null(),
            ),
            (
                "no new privileges",
                host["SecurityOpt"]
                    .to_string()
                    .contains("no-new-privileges"),
            ),
            ("a memory limit", host["Memory"].as_u64() > Some(0)),
            ("a health check", config["Healthcheck"].is_object()),
            (
                "ports on loopback alone",
                on_loopback(&host["PortBindings"]),
            ),
            ("never been started again", told["RestartCount"] == 0),
        ];
        for (what, held) in checks {
            ensure!(held, "{service} does not have: {what}");
        }
    }
    let status = project.exec("ca", &["cat", "/proc/1/status"]).await?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(line), "the CA's process has no {line}");
    }
    let written = project
        .exec("ca", &["/bin/sh", "-c", "echo x >/written"])
        .await;
    ensure!(written.is_err(), "the CA's root file system can be written");
    Ok(format!(
        "{} containers: not root, read-only, no capabilities, no new privileges, bounded, on loopback",
        services.len()
    ))
}

fn on_loopback(bindings: &Value) -> bool {
    let ports = bindings.as_object().into_iter().flatten();
    let mut hosts = ports.flat_map(|(_, hosts)| hosts.as_array().into_iter().flatten());
    hosts.all(|host| host["HostIp"] == "127.0.0.1")
}

/// The frontend asks the server for what a rule gives it.
///
/// # Errors
/// If it is not let in.
pub async fn frontend_is_let_in(project: &Project) -> Result<String> {
    let answer = ask(project, "/api/hello").await?;
    ensure!(
        answer.status == 200,
        "{}: {}",
        answer.status,
        answer.body.trim()
    );
    Ok(format!("200: {}", answer.body.trim()))
}

/// The frontend asks the server for what no rule gives it.
///
/// # Errors
/// If it is let in, or not told why it is not.
pub async fn frontend_is_refused(project: &Project) -> Result<String> {
    let answer = ask(project, "/admin").await?;
    let why = answer.body.trim();
    ensure!(answer.status == 403, "{}: {why}", answer.status);
    ensure!(
        why.contains("spiffe://example.org/frontend"),
        "the reason does not say who was refused: {why}"
    );
    Ok(format!("403: {why}"))
}

async fn ask(project: &Project, path: &str) -> Result<http::Answer> {
    http::get(&Endpoint::Tcp(project.address(Port::Frontend)), path).await
}

/// Both certificates are replaced while requests run.
///
/// # Errors
/// If that takes too long, or a request failed.
pub async fn certificates_rotate(project: &Project, tell: impl Fn(&str)) -> Result<String> {
    let traffic = start_traffic(project);
    let before = serials(project).await?;
    let after = watched("new certificates", ROTATION, &traffic, async || {
        let now = serials(project).await?;
        let all = now.iter().zip(&before).all(|(now, before)| now != before);
        Ok(all.then_some(now))
    })
    .await?;
    for (agent, (before, after)) in AGENTS.iter().zip(before.iter().zip(&after)) {
        tell(&format!(
            "{agent}: serial {} → {}",
            short(before),
            short(after)
        ));
    }
    let serial = after.first().context("no serial")?;
    watched(
        "a request on the new certificate",
        ROTATION,
        &traffic,
        async || {
            let log = access_log(project).await?;
            Ok(log.contains(serial.as_str()).then_some(()))
        },
    )
    .await?;
    finish(traffic).await
}

/// The root is replaced while requests run, from the order until nobody has the old one.
///
/// # Errors
/// If that takes too long, or a request failed.
pub async fn root_rotates(project: &Project, tell: impl Fn(&str)) -> Result<String> {
    let traffic = start_traffic(project);
    let start = Instant::now();
    let old = active(&project.authority().await?)?;
    let leaves = serials(project).await?;
    project.order(&["ca", "rotate-root"]).await?;
    let new = watched("another root active", ROOT_ROTATION, &traffic, async || {
        let root = active(&project.authority().await?)?;
        Ok((root != old).then_some(root))
    })
    .await?;
    tell(&format!(
        "{:>3} s  signs, known to all",
        start.elapsed().as_secs()
    ));
    watched("the old root gone", ROOT_ROTATION, &traffic, async || {
        let told = project.authority().await?;
        let gone = phase_of(&told, &old).is_none_or(|phase| phase == "retired");
        Ok((gone && forgotten(project).await?).then_some(()))
    })
    .await?;
    let now = serials(project).await?;
    ensure!(
        now.iter().all(|one| !leaves.contains(one)),
        "an old leaf is still held"
    );
    tell(&format!(
        "{:>3} s  alone, in all bundles",
        start.elapsed().as_secs()
    ));
    let requests = finish(traffic).await?;
    Ok(format!(
        "root {} → {}; {requests}",
        short(&old),
        short(&new)
    ))
}

/// Whether each agent serves one root and no more.
async fn forgotten(project: &Project) -> Result<bool> {
    for agent in AGENTS {
        if project.agent(agent).await?["bundles"][0]["roots"] != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn active(told: &Value) -> Result<String> {
    let roots = told["roots"].as_array().into_iter().flatten();
    let active = roots.filter(|root| root["phase"] == "active");
    let id = active.filter_map(|root| root["id"].as_str()).next();
    Ok(id.context("no root is active")?.to_owned())
}

fn phase_of<'a>(told: &'a Value, id: &str) -> Option<&'a str> {
    let mut roots = told["roots"].as_array().into_iter().flatten();
    roots.find(|root| root["id"] == id)?["phase"].as_str()
}

/// The serial numbers of the agents' certificates, in lower-case hexadecimal as Envoy has them.
async fn serials(project: &Project) -> Result<Vec<String>> {
    let mut serials = Vec::new();
    for agent in AGENTS {
        let told = project.agent(agent).await?;
        let serial = told["identities"][0]["serial"].as_str();
        let serial = serial.with_context(|| format!("{agent} has no certificate: {told}"))?;
        let digits = serial.replace(':', "").to_ascii_lowercase();
        serials.push(digits.trim_start_matches('0').to_owned());
    }
    Ok(serials)
}

fn short(text: &str) -> String {
    text.chars().take(8).chain(['…']).collect()
}

/// The end of the server's access log, which goes to its container's output.
pub(super) async fn access_log(project: &Project) -> Result<String> {
    let id = project.container("server").await?;
    docker(&["logs", "--tail", "300", &id]).await
}

fn start_traffic(project: &Project) -> Traffic {
    let address = project.address(Port::Frontend);
    Traffic::start_with(address, "/api/hello", 4, Duration::from_millis(20))
}

async fn finish(traffic: Traffic) -> Result<String> {
    let tally = traffic.stop().await;
    tally.without_failure()?;
    Ok(format!("{} requests, 0 failed", tally.succeeded))
}

/// Waits until something is so; fails as soon as a request has.
async fn watched<T>(
    what: &str,
    limit: Duration,
    traffic: &Traffic,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    wait::until(what, limit, async || {
        let tally = traffic.so_far();
        if tally.failed > 0 {
            tally.without_failure()?;
        }
        let seen = look().await?;
        if seen.is_none() {
            sleep(PAUSE).await;
        }
        Ok(seen)
    })
    .await
}
