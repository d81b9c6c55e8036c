//! Whether a certificate costs more in a long ledger: the whole path, in ledgers that were filled beforehand.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use credence_ca::{serial::Serial, validity::Time};
use credence_ca_tests::daemon::Daemon;
use credence_ledger::{
    checkpoint::MemorySigner,
    entry::{Asker, Entry, Issued},
    octets::Digest,
    port::{Append as _, Clock, Draft},
    sqlite::{Authority, Durability, Ledger, Options},
};
use zeroize::Zeroizing;

use super::{
    Effort,
    load::Load,
    rates::order,
    world::{NO_RATES, World},
};
use crate::{signer::Figures, usage::CpuTime};

/// Workloads that ask.
const WORKLOADS: usize = 512;
/// What has to stay free on the disk, in octets.
const FREE: u64 = 6_000_000_000;
/// What an entry takes there, in octets, and some more.
const ROW: u64 = 600;
/// Entries that are written at once.
const BATCH: u64 = 1000;
/// The first of them ended so long ago, in seconds.
const AGO: u64 = 400 * 86_400;

struct Case {
    name: String,
    world: World,
    load: Load,
    us: Vec<f64>,
    cpu: Vec<f64>,
}

/// Fills a ledger to each size, and measures in all of them by turns.
pub(super) async fn measure(
    program: &Path,
    within: &Path,
    sizes: &[u64],
    effort: Effort,
    figures: &mut Figures,
) -> Result<()> {
    let mut cases = Vec::new();
    for size in sizes {
        let name = format!("ledger/{size}");
        match room(within, *size)? {
            Ok(()) => cases.push(prepare(program, within, name, *size).await?),
            Err(why) => figures.not_run(&name, "us_per_certificate", "us", why),
        }
    }
    for round in 0..effort.rounds {
        for case in order(&mut cases, round) {
            let before = CpuTime::of(case.world.pid())?;
            let seen = case.load.closed(effort.slice).await?;
            let used = CpuTime::of(case.world.pid())?.since(before);
            case.us.push(seen.us_per_certificate());
            case.cpu.push(seen.us_of(used));
        }
    }
    tell(&cases, figures)
}

fn tell(cases: &[Case], figures: &mut Figures) -> Result<()> {
    for case in cases {
        let us = case.us.iter().copied();
        figures.add(&case.name, "us_per_certificate", "us", us)?;
        let cpu = case.cpu.iter().copied();
        figures.add(&case.name, "cpu_us_per_certificate", "us", cpu)?;
    }
    let Some((shortest, longer)) = cases.split_first() else {
        return Ok(());
    };
    for case in longer {
        let pairs = case.us.iter().zip(&shortest.us);
        let ratios = pairs.map(|(long, short)| long / short);
        figures.add(&case.name, "ratio_to_shortest", "1", ratios)?;
    }
    Ok(())
}

/// Whether the disk has room, or why not.
fn room(within: &Path, rows: u64) -> Result<Result<(), String>> {
    let disk = rustix::fs::statvfs(within)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let (wanted, gb) = (rows.saturating_mul(ROW).saturating_add(FREE), 1_000_000_000);
    Ok(if free >= wanted {
        Ok(())
    } else {
        Err(format!(
            "the disk has {} GB free, and {} GB are wanted",
            free / gb,
            wanted / gb
        ))
    })
}

async fn prepare(program: &Path, within: &Path, name: String, size: u64) -> Result<Case> {
    eprintln!("... a ledger of {size} entries");
    let World { mut daemon, .. } = World::start(program, within, NO_RATES).await?;
    daemon.stop();
    fill(&daemon, size).await?;
    daemon.start_again();
    let world = World::of(daemon).await?;
    let load = Load::on_kept_connections(&world.dialer, world.istio(WORKLOADS)?).await?;
    load.closed(Duration::from_millis(500)).await?;
    Ok(Case {
        name,
        world,
        load,
        us: Vec::new(),
        cpu: Vec::new(),
    })
}

/// Adds entries of certificates that have ended, each of another identity, and each as short as it can be.
async fn fill(daemon: &Daemon, size: u64) -> Result<()> {
    let state = daemon.folder().join("state");
    let options = Options {
        durability: Durability::Volatile,
        ..Options::default()
    };
    let authority = Authority {
        trust_domain: "example.org",
        random: [0; 16],
        signer: Box::new(MemorySigner::new(&seed(&state.join("ledger.key"))?)),
        former_keys: &[],
        clock: Box::new(WallClock(Instant::now())),
    };
    let ledger = Ledger::open(&state.join("ledger.db"), &options, authority)?;
    let now = WallClock(Instant::now()).wall();
    for first in (0..size).step_by(usize::try_from(BATCH)?) {
        let last = size.min(first + BATCH);
        let drafts = (first..last).map(|number| draft(number, size, now));
        ledger.append(drafts.collect()).await?;
    }
    Ok(())
}

fn draft(number: u64, size: u64, now: Time) -> Draft {
    let digest = Digest::of(&number.to_be_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(digest.0.first_chunk::<16>().unwrap_or(&[0; 16]));
    let ended = Time::from_unix(now.unix() - AGO + AGO * number / size - 1);
    let issued = Issued {
        asker: Asker::default(),
        csr: Vec::new().into(),
        identity: format!("spiffe://example.org/ns/past/sa/{number:x}"),
        profile: "x509-svid".into(),
        permitted_dns_names: Vec::new(),
        subject: None,
        not_before: Time::from_unix(ended.unix() - 3600),
        not_after: ended,
        serial: Serial::from_random(octets),
        issuer: None,
        module: digest,
        tbs: Vec::new().into(),
        signature: Vec::new().into(),
        lineage_start: ended,
        bundle: None,
    };
    Entry::new(now, issued).into()
}

/// The key of the ledger's checkpoints.
fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let text = fs::read_to_string(path)?;
    let mut seed = Zeroizing::new([0; 32]);
    for (octet, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits)?;
        *octet = u8::from_str_radix(digits, 16).context("the ledger's key")?;
    }
    Ok(seed)
}

struct WallClock(Instant);

impl Clock for WallClock {
    fn wall(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Time::from_unix(since.unwrap_or_default().as_secs())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
