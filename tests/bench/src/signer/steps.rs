//! Where the time of a certificate goes, and what an instance takes.

use anyhow::{Context as _, Result};
use credence_ca::{custody::Custody as _, guard};
use credence_host::sandbox::Proposal;

use super::{
    ca::{BenchCa, KINDS},
    figures::Figures,
    rounds::{Effort, cpu_us},
    spread,
};
use crate::usage;

/// Instances that are alive at once while memory is measured.
const ALIVE: u32 = 48;

/// Each step by itself.
pub(super) fn measure(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let request = ca.prove()?;
    let issuance = ca.issuance(&request)?;
    let native = ca.request(&issuance);
    let proposal = BenchCa::propose(&native)?;
    let checked = guard::check_certificate(proposal.clone(), &issuance)?;
    let module = ca.signer.module();
    let asked = Proposal {
        csr: ca.csr(),
        issuance: &issuance,
    };
    let name = ca.name;
    let mut step = |step: &str, run: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let turns = (0..effort.rounds).map(|_| cpu_us(effort.certificates / 2, &mut *run));
        let turns = turns.collect::<Result<Vec<_>>>()?;
        figures.add(format!("{name}/step/{step}"), "us", "us", spread(turns)?);
        Ok(())
    };
    step("possession", &mut || ca.prove().map(drop))?;
    step("module-native", &mut || BenchCa::propose(&native).map(drop))?;
    step("module-fresh", &mut || {
        Ok(module.propose(&asked).map(drop)?)
    })?;
    step("guard", &mut || {
        Ok(guard::check_certificate(proposal.clone(), &issuance).map(drop)?)
    })?;
    step("signature", &mut || {
        Ok(ca.key().sign_certificate(&checked).map(drop)?)
    })
}

/// A fresh instance and its end; and the memory of one that has answered and is still there.
pub(super) fn instances(effort: Effort, figures: &mut Figures) -> Result<()> {
    let ca = BenchCa::new(KINDS.first().context("a kind")?)?;
    let module = ca.signer.module();
    let turns = (0..effort.rounds)
        .map(|_| cpu_us(10 * effort.certificates, || Ok(drop(module.instance()?))));
    let turns = turns.collect::<Result<Vec<_>>>()?;
    figures.add("instantiate", "us", "us", spread(turns)?);

    let request = ca.prove()?;
    let issuance = ca.issuance(&request)?;
    let asked = Proposal {
        csr: ca.csr(),
        issuance: &issuance,
    };
    let mut spent = Vec::with_capacity(ALIVE as usize);
    let before = usage::resident_kib(std::process::id())?;
    for _ in 0..ALIVE {
        let (answer, instance) = module.instance()?.propose(&asked);
        answer?;
        spent.push(instance);
    }
    let after = usage::resident_kib(std::process::id())?;
    figures.add(
        "instantiate",
        "resident_kib",
        "KiB",
        spread([(after - before) / f64::from(ALIVE)])?,
    );
    Ok(())
}
