//! What a fresh instance takes.

use std::process;

use anyhow::{Context as _, Result};
use credence_host::sandbox::{Proposal, Sandbox, Spent};

use super::{
    ca::{BenchCa, P256},
    figures::Figures,
    turns::{Effort, Task, by_turns},
};
use crate::usage;

/// Instances that are alive at once while memory is measured.
const ALIVE: usize = 48;
/// How often that is measured, each time in slots that were never used.
const TIMES: usize = 5;

/// A fresh instance and its end; and the memory of one that has answered and is still there.
pub(super) fn measure(effort: Effort, figures: &mut Figures) -> Result<()> {
    let ca = BenchCa::new(P256)?;
    let module = ca.signer().module();
    let mut task = Task::new(effort.slice, || {
        module.instance().map(drop).map_err(Into::into)
    })?;
    let [turns] = by_turns(effort.rounds, [&mut || task.turn()])?;
    figures.add("instantiate", "us", "us", turns)?;
    let resident = (0..TIMES).map(|_| resident_kib());
    let resident = resident.collect::<Result<Vec<_>>>()?;
    figures.add("instantiate", "resident_kib", "KiB", resident)
}

#[allow(clippy::cast_precision_loss, reason = "a handful")]
fn resident_kib() -> Result<f64> {
    let ca = BenchCa::new(P256)?;
    let module = ca.signer().module();
    // the self-test has used a slot, whose pages are there already
    let _used = answered(&ca, &module)?;
    let before = usage::resident_kib(process::id())?;
    let alive = (0..ALIVE).map(|_| answered(&ca, &module));
    let alive = alive.collect::<Result<Vec<_>>>()?;
    let after = usage::resident_kib(process::id())?;
    Ok((after - before) / alive.len() as f64)
}

/// An instance that has answered, with all that it wrote to.
fn answered<'a>(ca: &BenchCa, module: &'a Sandbox) -> Result<Spent<'a>> {
    let request = ca.prove()?;
    let issuance = ca.issuance(&request)?;
    let asked = Proposal {
        csr: ca.csr(),
        issuance: &issuance,
    };
    let (answer, spent) = module.instance()?.propose(&asked);
    answer.context("the module's answer")?;
    Ok(spent)
}
