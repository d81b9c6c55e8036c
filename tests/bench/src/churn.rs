//! Real Envoy with the filter: a large policy loaded, and thousands of clients each with a certificate
//! that it has never seen.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    bootstrap::{Chain, Role, wasm},
    cases,
    certificates::Authority,
    load,
    server::Server,
    stats::Spread,
    usage::anonymous_mib,
};

/// Different workloads among them.
const WORKLOADS: usize = 500;
/// Handshakes under way at once.
const AT_ONCE: usize = 4;

/// Envoy's anonymous memory while one certificate after the other comes by.
#[derive(Debug, Clone, Copy)]
pub struct Churn {
    /// MiB before the first.
    pub before_mib: f64,
    /// MiB after half of them.
    pub half_mib: f64,
    /// MiB after all of them.
    pub after_mib: f64,
}

/// Lets `count` clients, each with a certificate of its own, connect and ask once.
///
/// # Errors
/// If Envoy does not start or a client is not answered with 200.
pub async fn churn(filter: &Path, count: usize) -> Result<Churn> {
    let config = cases::everyone().to_string();
    let (folder, authority) = files()?;
    let server = Server::start(folder.path(), "churn", &chain(filter, &config), &[]).await?;
    let memory = || anonymous_mib(server.pid());
    let before_mib = memory()?;
    let half = count / 2;
    clients(&server, &authority, 0..half).await?;
    let half_mib = memory()?;
    clients(&server, &authority, half..count).await?;
    Ok(Churn {
        before_mib,
        half_mib,
        after_mib: memory()?,
    })
}

/// The milliseconds that Envoy spent in the filter's `proxy_on_configure` for a policy of `rules`
/// rules, by the times in its own log: once in each of its VMs.
///
/// # Errors
/// If Envoy does not start with it, or does not log it.
pub async fn load_ms(filter: &Path, rules: usize) -> Result<Spread> {
    let config = cases::rules(rules).to_string();
    let (folder, _) = files()?;
    // Thread, seconds, microseconds, message.
    let more = [
        "--component-log-level",
        "wasm:trace",
        "--log-format",
        "%t %E %f %v",
    ];
    let server = Server::start(folder.path(), "load", &chain(filter, &config), &more).await?;
    Spread::of(configure_times(&server.log()?)).context("Envoy logged no proxy_on_configure")
}

fn chain(filter: &Path, config: &str) -> Chain {
    Chain {
        network: Vec::new(),
        http: vec![wasm(Role::Http, cases::inbound(filter), Some(config))],
    }
}

fn files() -> Result<(tempfile::TempDir, Authority)> {
    let folder = tempfile::Builder::new()
        .prefix("credence-bench-")
        .tempdir()?;
    let authority = Authority::new()?;
    authority.write_server_files(folder.path())?;
    Ok((folder, authority))
}

async fn clients(
    server: &Server,
    authority: &Authority,
    numbers: std::ops::Range<usize>,
) -> Result<()> {
    let numbers: Vec<usize> = numbers.collect();
    for group in numbers.chunks(AT_ONCE) {
        let mut waiting = Vec::new();
        for number in group {
            let workload = format!("churn/{}", number % WORKLOADS);
            let leaf = authority.client(&workload, u64::try_from(*number)? + 1)?;
            waiting.push(load::once(server.address(), authority, &leaf)?);
        }
        for client in waiting {
            client.await??;
        }
    }
    ensure!(!numbers.is_empty(), "no client");
    Ok(())
}

/// How long each call of `proxy_on_configure` took, in milliseconds; a call and its return are of
/// the same thread.
fn configure_times(log: &str) -> Vec<f64> {
    let mut begun = BTreeMap::new();
    let mut times = Vec::new();
    for (thread, at, message) in log.lines().filter_map(entry) {
        if message.contains("proxy_on_configure return") {
            times.extend(begun.remove(thread).map(|start: f64| at - start));
        } else if message.contains("proxy_on_configure(") {
            begun.insert(thread, at);
        }
    }
    times
}

/// Thread, milliseconds, message.
fn entry(line: &str) -> Option<(&str, f64, &str)> {
    let mut fields = line.splitn(4, ' ');
    let thread = fields.next()?;
    let seconds: f64 = fields.next()?.parse().ok()?;
    let microseconds: f64 = fields.next()?.parse().ok()?;
    Some((thread, seconds * 1e3 + microseconds / 1e3, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::configure_times;

    #[test]
    fn a_call_and_its_return_are_paired_by_thread() {
        let log = "7 100 000500 [host->vm] proxy_on_configure(1, 9)\n\
                   8 100 000700 [host->vm] proxy_on_configure(1, 9)\n\
                   no entry\n\
                   7 101 001500 [host<-vm] proxy_on_configure return: 1\n\
                   9 101 001500 [host<-vm] proxy_on_configure return: 1\n\
                   8 100 002700 [host<-vm] proxy_on_configure return: 1\n";
        let times = configure_times(log);
        let rounded: Vec<f64> = times.iter().map(|ms| ms.round()).collect();
        assert_eq!(rounded, [1001.0, 2.0]);
    }
}
