//! Certificates with the sandbox and without, by turns; and where their time goes.

use anyhow::Result;
use credence_ca::{custody::Custody as _, guard};
use credence_host::sandbox::Proposal;

use super::{
    ca::BenchCa,
    figures::Figures,
    turns::{Effort, Task, by_turns, on_two_threads},
};

/// One thread: CPU time of each certificate.
pub(super) fn one_thread(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let mut native = Task::new(effort.slice, || ca.native())?;
    let mut fresh = Task::new(effort.slice, || ca.fresh())?;
    let both = by_turns(effort.rounds, [&mut || native.turn(), &mut || fresh.turn()])?;
    let name = ca.name();
    compare(
        figures,
        [&format!("{name}/native"), &format!("{name}/fresh")],
        ("us_per_certificate", "us"),
        &both,
    )
}

/// Two threads: certificates a second.
pub(super) fn two_threads(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let both = on_two_threads(effort, || ca.native(), || ca.fresh())?;
    let name = ca.name();
    compare(
        figures,
        [&format!("{name}/native-2t"), &format!("{name}/fresh-2t")],
        ("certificates_per_second", "1/s"),
        &both,
    )
}

/// Both, and their ratio by pairs of the same round.
fn compare(
    figures: &mut Figures,
    [native, fresh]: [&str; 2],
    (metric, unit): (&str, &'static str),
    [native_values, fresh_values]: &[Vec<f64>; 2],
) -> Result<()> {
    let pairs = native_values.iter().zip(fresh_values);
    let ratios = pairs.map(|(native, fresh)| fresh / native);
    figures.add(native, metric, unit, native_values.iter().copied())?;
    figures.add(fresh, metric, unit, fresh_values.iter().copied())?;
    figures.add(fresh, "ratio_to_native", "1", ratios)
}

/// Each step by itself, one thread.
pub(super) fn steps(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let request = ca.prove()?;
    let issuance = ca.issuance(&request)?;
    let native = ca.request(&issuance);
    let proposal = BenchCa::propose(&native)?;
    let checked = guard::check_certificate(proposal.clone(), &issuance)?;
    let module = ca.signer().module();
    let asked = Proposal {
        csr: ca.csr(),
        issuance: &issuance,
    };
    let slice = effort.slice / 2;
    let mut possession = Task::new(slice, || ca.prove())?;
    let mut decision = Task::new(slice, || ca.issuance(&request))?;
    let mut instantiate = Task::new(slice, || module.instance().map(drop).map_err(Into::into))?;
    let mut sandboxed = Task::new(slice, || Ok(module.propose(&asked)?))?;
    let mut plain = Task::new(slice, || BenchCa::propose(&ca.request(&issuance)))?;
    let mut guarded = Task::new(slice, || {
        Ok(guard::check_certificate(proposal.clone(), &issuance)?)
    })?;
    let mut signature = Task::new(slice, || Ok(ca.key().sign_certificate(&checked)?))?;
    let [
        possession,
        decision,
        instantiate,
        sandboxed,
        plain,
        guarded,
        signature,
    ] = by_turns(
        effort.rounds,
        [
            &mut || possession.turn(),
            &mut || decision.turn(),
            &mut || instantiate.turn(),
            &mut || sandboxed.turn(),
            &mut || plain.turn(),
            &mut || guarded.turn(),
            &mut || signature.turn(),
        ],
    )?;
    let pairs = sandboxed.iter().zip(&instantiate);
    let module: Vec<f64> = pairs.map(|(whole, instance)| whole - instance).collect();
    for (step, turns) in [
        ("possession", possession),
        ("decision", decision),
        ("instantiate", instantiate),
        ("module", module),
        ("module-native", plain),
        ("guard", guarded),
        ("signature", signature),
    ] {
        figures.add(&format!("{}/step/{step}", ca.name()), "us", "us", turns)?;
    }
    Ok(())
}
