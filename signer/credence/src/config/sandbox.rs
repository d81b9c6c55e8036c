//! Section `[sandbox]`: the signing module and what it may use.

use super::{Faults, keep, raw::RawSandbox};
use credence_host::{
    sandbox::Limits,
    signer::{ModuleSource, Settings},
};
use std::{fmt::Display, ops::RangeInclusive, path::Path, time::Duration};

/// How many misbehaviours in a row may be configured.
const MISBEHAVIOURS: RangeInclusive<u32> = 1..=1_000_000;

const KIB: usize = 1024;

pub(super) fn parse(raw: RawSandbox, folder: &Path) -> Result<Settings, Faults> {
    let mut faults = Vec::new();
    let default = Settings::default();
    let limits = Limits {
        memory: kib(
            &mut faults,
            "memory_kib",
            raw.memory_kib,
            Limits::MEMORY,
            default.limits.memory,
        ),
        table_elements: within(
            &mut faults,
            "table_elements",
            raw.table_elements,
            Limits::TABLE_ELEMENTS,
            default.limits.table_elements,
        ),
        stack: kib(
            &mut faults,
            "stack_kib",
            raw.stack_kib,
            Limits::STACK,
            default.limits.stack,
        ),
        deadline: keep(&mut faults, deadline(raw.deadline.as_deref()))
            .flatten()
            .unwrap_or(default.limits.deadline),
        proposal: kib(
            &mut faults,
            "proposal_kib",
            raw.proposal_kib,
            Limits::PROPOSAL,
            default.limits.proposal,
        ),
        instances: within(
            &mut faults,
            "instances",
            raw.instances,
            Limits::INSTANCES,
            default.limits.instances,
        ),
    };
    let settings = Settings {
        module: raw.module.map_or(ModuleSource::BuiltIn, |path| {
            ModuleSource::File(folder.join(path))
        }),
        limits,
        patience: within(
            &mut faults,
            "misbehaviours",
            raw.misbehaviours,
            MISBEHAVIOURS,
            default.patience,
        ),
    };
    if faults.is_empty() {
        Ok(settings)
    } else {
        Err(Faults(faults))
    }
}

fn kib(
    faults: &mut Vec<String>,
    name: &str,
    value: Option<usize>,
    range: RangeInclusive<usize>,
    default: usize,
) -> usize {
    let range = range.start() / KIB..=range.end() / KIB;
    within(faults, name, value, range, default / KIB).saturating_mul(KIB)
}

fn within<T: Copy + PartialOrd + Display>(
    faults: &mut Vec<String>,
    name: &str,
    value: Option<T>,
    range: RangeInclusive<T>,
    default: T,
) -> T {
    match value {
        Some(value) if !range.contains(&value) => {
            let (least, most) = (range.start(), range.end());
            faults.push(format!(
                "sandbox.{name}: {value} is not between {least} and {most}"
            ));
            default
        }
        Some(value) => value,
        None => default,
    }
}

fn deadline(text: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = text else { return Ok(None) };
    let deadline = humantime::parse_duration(text).map_err(|e| {
        format!("sandbox.deadline: {text:?} is not a duration such as \"500ms\": {e}")
    })?;
    if Limits::DEADLINE.contains(&deadline) {
        Ok(Some(deadline))
    } else {
        Err(format!(
            "sandbox.deadline: {text:?} is not between 10ms and 30s"
        ))
    }
}
