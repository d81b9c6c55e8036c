//! What a module may use.

use super::engine::RESERVATION;
use std::{fmt, ops::RangeInclusive, time::Duration};
use wasmtime::ResourceLimiter;

/// The bounds of a module. All but the last are of one instance, which lives for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All linear memory of an instance, octets.
    pub memory: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// The stack, octets. It is taken from the calling thread's.
    pub stack: usize,
    /// From call to answer, wall clock.
    pub deadline: Duration,
    /// The longest proposal, octets.
    pub proposal: usize,
    /// How many instances may run at once.
    pub instances: u32,
}

impl Limits {
    /// What `memory` may be.
    pub const MEMORY: RangeInclusive<usize> = 64 << 10..=RESERVATION;
    /// What `table_elements` may be.
    pub const TABLE_ELEMENTS: RangeInclusive<usize> = 1..=1_000_000;
    /// What `stack` may be; threads have 2 MiB.
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

/// A bound, by its name in errors and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// [`Limits::memory`]
    Memory,
    /// [`Limits::table_elements`]
    Table,
    /// [`Limits::stack`]
    Stack,
    /// [`Limits::deadline`]
    Deadline,
    /// [`Limits::proposal`]
    Proposal,
    /// [`Limits::instances`]
    Instances,
}

impl Bound {
    /// Every bound.
    pub const ALL: [Self; 6] = [
        Self::Memory,
        Self::Table,
        Self::Stack,
        Self::Deadline,
        Self::Proposal,
        Self::Instances,
    ];

    /// Its name in metrics, and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Stack => "stack",
            Self::Deadline => "deadline",
            Self::Proposal => "proposal",
            Self::Instances => "instances",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} limit", self.name())
    }
}

/// Core modules that one component may be made of: its own, and the shims of its toolchain.
pub(super) const CORE_INSTANCES: u32 = 64;
/// Tables in all of them.
pub(super) const TABLES: u32 = 16;
/// Memories in all of them.
pub(super) const MEMORIES: u32 = 2;

/// Watches one instance, and remembers which bound it ran into.
#[derive(Debug)]
pub(super) struct Warden {
    limits: Limits,
    /// Of all its memories, octets.
    memory: usize,
    /// The bound that was hit, if one was.
    pub(super) hit: Option<Bound>,
}

impl Warden {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory: 0,
            hit: None,
        }
    }

    /// What is beyond a bound ends the instance: a module that is only told no could hide that it asked.
    fn within(&mut self, desired: usize, limit: usize, bound: Bound) -> wasmtime::Result<bool> {
        if desired <= limit {
            return Ok(true);
        }
        self.hit = Some(bound);
        Err(wasmtime::Error::msg(format!("more than its {bound}")))
    }
}

impl ResourceLimiter for Warden {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let memory = self.memory.saturating_add(desired.saturating_sub(current));
        self.within(memory, self.limits.memory, Bound::Memory)?;
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.within(desired, self.limits.table_elements, Bound::Table)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize + 1
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let mut warden = Warden::new(Limits {
            memory: 100,
            ..Limits::default()
        });
        assert!(warden.memory_growing(0, 60, None).unwrap());
        assert!(warden.memory_growing(0, 60, None).is_err());
        assert!(warden.memory_growing(60, 100, None).unwrap());
        assert_eq!(warden.hit, Some(Bound::Memory));
    }

    #[test]
    fn the_defaults_are_within_what_may_be_configured() {
        let limits = Limits::default();
        assert!(Limits::MEMORY.contains(&limits.memory));
        assert!(Limits::TABLE_ELEMENTS.contains(&limits.table_elements));
        assert!(Limits::STACK.contains(&limits.stack));
        assert!(Limits::DEADLINE.contains(&limits.deadline));
        assert!(Limits::PROPOSAL.contains(&limits.proposal));
        assert!(Limits::INSTANCES.contains(&limits.instances));
    }
}
