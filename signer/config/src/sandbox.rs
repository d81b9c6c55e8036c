//! Section `[sandbox]`: the signing module and what it may use.

use crate::{Faults, keep, raw::RawSandbox};
use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

/// How the module is run. Bounds and defaults are the sandbox's own: a test of the binary holds them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub module: ModuleSource,
    /// What it may use.
    pub limits: Limits,
    /// After how many misbehaviours in a row the signer calls itself degraded.
    pub patience: u32,
}

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleSource {
    /// The program itself.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// The bounds of a module. All but the last are of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All linear memory, octets.
    pub memory: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// The stack, octets.
    pub stack: usize,
    /// How long it may take.
    pub deadline: Duration,
    /// The longest proposal, octets.
    pub proposal: usize,
    /// How many instances may run at once.
    pub instances: u32,
}

impl Limits {
    /// What `memory` may be.
    pub const MEMORY: RangeInclusive<usize> = 64 << 10..=128 << 20;
    /// What `table_elements` may be.
    pub const TABLE_ELEMENTS: RangeInclusive<usize> = 1..=1_000_000;
    /// What `stack` may be.
    pub const STACK: RangeInclusive<usize> = 64 << 10..=1 << 20;
    /// What `deadline` may be.
    pub const DEADLINE: RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(30);
    /// What `proposal` may be.
    pub const PROPOSAL: RangeInclusive<usize> = 1 << 10..=1 << 20;
    /// What `instances` may be.
    pub const INSTANCES: RangeInclusive<u32> = 1..=512;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            table_elements: 10_000,
            stack: 512 << 10,
            deadline: Duration::from_millis(500),
            proposal: 32 << 10,
            instances: 64,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            module: ModuleSource::BuiltIn,
            limits: Limits::default(),
            patience: 5,
        }
    }
}

impl Settings {
    /// What `patience` may be.
    pub const PATIENCE: RangeInclusive<u32> = 1..=1_000_000;
}

const KIB: usize = 1024;

pub(crate) fn parse(raw: RawSandbox, folder: &Path) -> Result<Settings, Faults> {
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
            Settings::PATIENCE,
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
