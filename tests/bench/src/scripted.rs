//! The shipped filter in the contract tests' scripted host (wasmtime): what needs a count of host
//! calls, a look at linear memory, or a million certificates.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use credence_contract::{Request, Vm};
use serde_json::Value;

use crate::{
    cases,
    certificates::{Authority, CLIENT, Leaf},
    stats::Spread,
};

/// Different workloads among the certificates of the churn.
const WORKLOADS: usize = 2000;
/// A quarter of a second goes by with so many of them.
const REQUESTS_PER_TICK: usize = 1000;
/// Times that a policy is loaded, each in a VM of its own.
const LOADS: usize = 5;

/// What loading a policy took.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Milliseconds in `proxy_on_configure`.
    pub ms: Spread,
    /// MiB of linear memory afterwards.
    pub vm_mib: f64,
}

/// Loads a policy of `rules` rules.
///
/// # Errors
/// If the filter refuses it.
pub fn load(rules: usize) -> Result<Load> {
    let config = cases::rules(rules).to_string();
    let mut took = Vec::new();
    let mut vm_mib = 0.0;
    for _ in 0..LOADS {
        let mut vm = Vm::start();
        let start = Instant::now();
        ensure!(vm.configure(&config), "refused: {:?}", vm.script().logs);
        took.push(start.elapsed().as_secs_f64() * 1e3);
        vm_mib = mib(vm.memory_bytes());
    }
    let ms = Spread::of(took).context("no load")?;
    Ok(Load { ms, vm_mib })
}

/// The VM's memory while one certificate after the other comes by.
#[derive(Debug, Clone)]
pub struct Churn {
    /// How many had been seen, and the MiB then: after a hundredth of all, a tenth, half, and all.
    pub samples: Vec<(usize, f64)>,
}

impl Churn {
    /// What was added between the first tenth of the certificates and the last of them. By then
    /// every cache is full, and the allocator has met whatever sizes there are.
    #[must_use]
    pub fn growth_mib(&self) -> Option<f64> {
        let (_, tenth) = self.samples.get(1)?;
        let (_, all) = self.samples.last()?;
        Some(all - tenth)
    }
}

/// Shows the filter `count` different certificate digests, each on a connection of its own, a request
/// each. The certificates behind them are those of 2,000 workloads: the filter tells certificates apart
/// by digest and parses each that it has not seen, so that signing a million would only take time.
///
/// # Errors
/// If the filter refuses the policy or a request.
pub fn churn(count: usize) -> Result<Churn> {
    let authority = Authority::new()?;
    let mut leaves = Vec::new();
    for workload in 0..WORKLOADS.min(count) {
        let serial = u64::try_from(workload)? + 1;
        leaves.push(authority.client(&format!("churn/{workload}"), serial)?);
    }
    let mut vm = configured(&cases::everyone())?;
    let at = [100, 10, 2, 1].map(|part| count.div_ceil(part));
    let mut samples = Vec::new();
    for (number, leaf) in (1..=count).zip(leaves.iter().cycle()) {
        admitted(&mut vm, &from(leaf, number, "/")?)?;
        if number.is_multiple_of(REQUESTS_PER_TICK) {
            vm.try_tick()?;
        }
        if at.contains(&number) {
            samples.push((number, mib(vm.memory_bytes())));
        }
    }
    Ok(Churn { samples })
}

/// The host calls of a request of a peer that was there before, under a configuration.
///
/// # Errors
/// If the filter refuses the configuration or the request.
pub fn host_calls(config: &Value, path: &str) -> Result<Vec<String>> {
    let leaf = Authority::new()?.client(CLIENT, 1)?;
    let mut vm = configured(config)?;
    let request = from(&leaf, 1, path)?;
    admitted(&mut vm, &request)?;
    admitted(&mut vm, &request)?;
    Ok(vm.script().calls.clone())
}

fn configured(config: &Value) -> Result<Vm> {
    let mut vm = Vm::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    vm.script_mut().now = u64::try_from(now)?;
    ensure!(
        vm.configure(config.to_string()),
        "refused: {:?}",
        vm.script().logs
    );
    Ok(vm)
}

/// The number makes both the connection and the certificate's digest.
fn from(leaf: &Leaf, number: usize, path: &str) -> Result<Request> {
    let connection = u64::try_from(number)?.to_le_bytes();
    Ok(Request::get(path)
        .property("connection.id", connection)
        .peer(&format!("{number:064x}"), &leaf.pem))
}

/// The calls of the request alone are kept, so that a million leave nothing in the host.
fn admitted(vm: &mut Vm, request: &Request) -> Result<()> {
    vm.script_mut().arm(None);
    let outcome = vm.try_request(request)?;
    ensure!(outcome.is_admitted(), "refused: {outcome:?}");
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a VM's memory is under 4 GiB")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
