//! Short rounds over all cases, so that a case and its baseline are measured within seconds of each
//! other, and in several sittings, each with new Envoys: where a process's pages happen to lie moves
//! its figures by a per cent or two for as long as it lives.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    bootstrap::{SEEN_PEER, WHOAMI},
    cases::{Case, Condition, Presents},
    certificates::{Authority, CLIENT, spiffe_id},
    load::{Client, Protocol, Seen},
    server::Server,
    stats::Spread,
    usage::CpuTime,
};

/// Load before each measurement, to fill caches that the other cases have emptied.
const WARM_UP: Duration = Duration::from_millis(40);

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Times that every Envoy is started anew.
    pub sittings: usize,
    /// Rounds over all cases in a sitting.
    pub rounds: usize,
    /// The length of one measurement.
    pub slice: Duration,
}

/// One measurement of one case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// CPU time of the server process over its own count of requests.
    pub cpu_us: f64,
    /// The same by the ticks of `/proc/<pid>/stat`.
    pub cpu_ticked_us: f64,
    /// Requests answered in a second to [`crate::load::LANES`] that ask again at once. Where the server is
    /// fast, the load on its one core is what limits this.
    pub per_second: f64,
    /// How long an answer took, in the middle.
    pub p50_us: f64,
    /// How long the slowest in a hundred took, at least.
    pub p99_us: f64,
}

/// Every measurement: the lists of all cases are equally long, and what stands at the same place in
/// two of them is of the same round.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// By the case's name with its protocol, in the order in which they are shown.
    pub cases: Vec<(String, Vec<Round>)>,
    /// Cases that could not be measured, and why.
    pub not_measured: BTreeMap<String, String>,
}

impl Results {
    /// The rounds of a case; none if it was not measured.
    #[must_use]
    pub fn rounds(&self, case: &str) -> Option<&[Round]> {
        let found = self.cases.iter().find(|(name, _)| name == case);
        found.map(|(_, rounds)| rounds.as_slice())
    }

    /// A figure's spread over the rounds of a case.
    #[must_use]
    pub fn spread(&self, case: &str, figure: fn(&Round) -> f64) -> Option<Spread> {
        Spread::of(self.rounds(case)?.iter().map(figure))
    }

    /// The CPU time that a case takes over a baseline, from pairs of the same round.
    #[must_use]
    pub fn over(&self, case: &str, baseline: &str) -> Option<Spread> {
        let (case, baseline) = (self.rounds(case)?, self.rounds(baseline)?);
        let pairs = case.iter().zip(baseline);
        Spread::of_pairs(pairs.map(|(case, baseline)| (case.cpu_us, baseline.cpu_us)))
    }

    fn add(&mut self, name: String, round: Round) {
        match self.cases.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.cases.push((name, vec![round])),
        }
    }

    /// In the order of `cases`, HTTP/1.1 first.
    fn sort(&mut self, cases: &[Case]) {
        let names: Vec<String> = Protocol::ALL
            .iter()
            .flat_map(|protocol| cases.iter().map(|case| full_name(*protocol, case)))
            .collect();
        self.cases
            .sort_by_key(|(name, _)| names.iter().position(|known| known == name));
    }
}

/// What a case is called with its protocol.
#[must_use]
pub fn full_name(protocol: Protocol, case: &Case) -> String {
    format!("{}/{}", protocol.name(), case.name)
}

/// A case with its Envoy running and connected to.
struct Station<'a> {
    case: &'a Case,
    server: Server,
    clients: Vec<(Protocol, Client)>,
}

/// Measures every case; `progress` is told what is being done.
///
/// # Errors
/// If an Envoy does not start or breaks, or answers otherwise than with 200.
pub async fn measure(
    cases: &[Case],
    effort: Effort,
    mut progress: impl FnMut(&str),
) -> Result<Results> {
    let mut results = Results::default();
    let authority = Authority::new()?;
    for sitting in 0..effort.sittings {
        progress(&format!(
            "sitting {} of {}: starting Envoys",
            sitting + 1,
            effort.sittings
        ));
        let folder = tempfile::Builder::new()
            .prefix("credence-bench-")
            .tempdir()?;
        authority.write_server_files(folder.path())?;
        let mut stations = Vec::new();
        for case in cases {
            let opened = open(&folder, case, &authority, &mut results).await?;
            stations.extend(opened);
        }
        progress(&format!(
            "sitting {}: {} rounds",
            sitting + 1,
            effort.rounds
        ));
        for round in 0..effort.rounds {
            one_round(&mut stations, round, effort.slice, &mut results).await?;
        }
    }
    results.sort(cases);
    Ok(results)
}

async fn one_round(
    stations: &mut [Station<'_>],
    round: usize,
    slice: Duration,
    results: &mut Results,
) -> Result<()> {
    for at in order(stations.len(), round) {
        let station = stations.get_mut(at).context("an order within the list")?;
        for (protocol, client) in &mut station.clients {
            let name = full_name(*protocol, station.case);
            let round = one(&mut station.server, client, &station.case.path, slice)
                .await
                .with_context(|| name.clone())?;
            results.add(name, round);
        }
    }
    Ok(())
}

/// Every second round goes backwards and each begins elsewhere, so that no case always follows the
/// same one, and a drift of the machine falls on all alike.
fn order(stations: usize, round: usize) -> Vec<usize> {
    let start = (round * 5) % stations.max(1);
    let mut order: Vec<usize> = (0..stations).map(|at| (start + at) % stations).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Starts a case's Envoy; none if the case's condition does not hold, which is noted.
async fn open<'a>(
    folder: &TempDir,
    case: &'a Case,
    authority: &Authority,
    results: &mut Results,
) -> Result<Option<Station<'a>>> {
    if results
        .not_measured
        .contains_key(&full_name(Protocol::H1, case))
    {
        return Ok(None);
    }
    let opened = try_open(folder, case, authority).await;
    match opened {
        Ok(station) => Ok(Some(station)),
        Err(error) if case.condition != Condition::None => {
            let why = why_not(&error);
            for protocol in Protocol::ALL {
                let name = full_name(protocol, case);
                results.not_measured.insert(name, why.clone());
            }
            Ok(None)
        }
        Err(error) => Err(error.context(case.name.clone())),
    }
}

async fn try_open<'a>(
    folder: &TempDir,
    case: &'a Case,
    authority: &Authority,
) -> Result<Station<'a>> {
    let server = Server::start(folder.path(), &case.name, &case.chain, &[]).await?;
    let leaf = match case.presents {
        Presents::SpiffeId => authority.client(CLIENT, 1)?,
        Presents::SpiffeIdAndDnsName => authority.client_with_dns_name(CLIENT, 1)?,
    };
    let mut clients = Vec::new();
    for protocol in Protocol::ALL {
        let mut client = Client::open(server.address(), authority, &leaf, protocol).await?;
        if case.condition == Condition::SetsPeerHeader {
            let seen = client.header(WHOAMI, SEEN_PEER).await?;
            ensure!(
                seen.as_deref() == Some(spiffe_id(CLIENT).as_str()),
                "the application saw {seen:?} as x-credence-peer"
            );
        }
        client.run(&case.path, WARM_UP).await?;
        clients.push((protocol, client));
    }
    Ok(Station {
        case,
        server,
        clients,
    })
}

/// The filter's own words if the log has them, or Envoy's, or what went wrong here.
fn why_not(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let said = |what: &str| text.lines().find(|line| line.contains(what));
    let line = said("configuration refused").or_else(|| said("[critical]"));
    let line = line.unwrap_or_else(|| text.lines().next().unwrap_or_default());
    // Behind Envoy's time, thread, level and source.
    let words = line.rsplit_once("] ").map_or(line, |(_, words)| words);
    words.chars().take(300).collect()
}

async fn one(
    server: &mut Server,
    client: &mut Client,
    path: &str,
    slice: Duration,
) -> Result<Round> {
    client.run(path, WARM_UP).await?;
    let requests = server.requests().await?;
    let cpu = server.cpu()?;
    let seen = client.run(path, slice).await?;
    let cpu = server.cpu()?.since(cpu);
    let requests = server.requests().await? - requests;
    ensure!(
        requests == seen.requests,
        "Envoy counts {requests} requests and the load {}",
        seen.requests
    );
    Ok(figures(cpu, &seen))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a count of requests within seconds"
)]
fn figures(cpu: CpuTime, seen: &Seen) -> Round {
    let requests = seen.requests as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / requests;
    Round {
        cpu_us: each(cpu.exact),
        cpu_ticked_us: each(cpu.ticked),
        per_second: requests / seen.took.as_secs_f64(),
        p50_us: seen.p50_us,
        p99_us: seen.p99_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_visits_every_case_once() {
        for stations in [1, 5, 16] {
            for round in 0..7 {
                let mut order = order(stations, round);
                order.sort_unstable();
                assert_eq!(order, (0..stations).collect::<Vec<_>>());
            }
        }
        assert_eq!(order(0, 3), Vec::<usize>::new());
    }

    #[test]
    fn the_reason_is_the_filters_own() {
        let log = "x ended; the end of x.log:\n  [2026][1][error][wasm] [a.cc:1] wasm log x: credence: \
                   configuration refused: /role: unknown field\n  [2026][1][critical][main] [b] no";
        let why = why_not(&anyhow::anyhow!("{log}"));
        assert!(why.ends_with("/role: unknown field"), "{why}");
        assert_eq!(why_not(&anyhow::anyhow!("status 403")), "status 403");
    }

    #[test]
    fn cpu_time_is_divided_by_requests() {
        let cpu = CpuTime {
            ticked: Duration::from_millis(30),
            exact: Duration::from_micros(25_000),
        };
        let seen = Seen {
            requests: 1000,
            took: Duration::from_millis(50),
            p50_us: 1.0,
            p99_us: 2.0,
        };
        let round = figures(cpu, &seen);
        assert_eq!((round.cpu_us, round.cpu_ticked_us), (25.0, 30.0));
        assert!((round.per_second - 20_000.0).abs() < 1e-6);
    }
}
