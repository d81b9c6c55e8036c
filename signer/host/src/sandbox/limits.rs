//! What a module may use.

use std::time::Duration;
use wasmtime::ResourceLimiter;

/// The bounds of one instance, which lives for one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Linear memory, octets.
    pub memory: usize,
    /// Table elements.
    pub table_elements: usize,
    /// The stack, octets.
    pub stack: usize,
    /// From call to answer, wall clock.
    pub deadline: Duration,
    /// The longest proposal, octets.
    pub proposal: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            table_elements: 10_000,
            stack: 512 << 10,
            deadline: Duration::from_millis(500),
            proposal: 32 << 10,
        }
    }
}

/// Watches one instance, and remembers which bound it ran into.
#[derive(Debug)]
pub(super) struct Warden {
    limits: Limits,
    /// The bound that was hit, if one was.
    pub(super) hit: Option<&'static str>,
}

impl Warden {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, hit: None }
    }

    fn within(&mut self, desired: usize, limit: usize, what: &'static str) -> bool {
        let within = desired <= limit;
        if !within {
            self.hit = Some(what);
        }
        within
    }
}

impl ResourceLimiter for Warden {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.within(desired, self.limits.memory, "memory limit"))
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.within(desired, self.limits.table_elements, "table limit"))
    }
}
