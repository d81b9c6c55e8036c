//! One life of a module: an instance, one request, the end.

use super::{
    Bound, Proposal, Rejection, Sandbox, SandboxError,
    bindings::{Signer, wit},
    describe,
    limits::{Limits, Warden},
    ticker::{self, Seat},
};
use wasmtime::{Store, Trap};

/// An instance that has not been asked anything yet.
pub struct Instance<'a> {
    signer: Signer,
    world: World<'a>,
}

/// An instance that has answered, and is asked nothing again. Its memory is there until this is dropped.
pub struct Spent<'a> {
    _world: World<'a>,
}

/// Everything that an instance has, under its limits.
struct World<'a> {
    // dropped before the seat is given back: the pool has a slot for each seat
    store: Store<Warden>,
    limits: Limits,
    _seat: Seat<'a>,
}

impl<'a> Instance<'a> {
    pub(super) fn new(sandbox: &'a Sandbox) -> Result<Self, SandboxError> {
        let limits = sandbox.limits;
        let seat = sandbox
            .ticker
            .seat(limits.instances)
            .ok_or(SandboxError::Busy(limits.instances))?;
        let mut store = Store::new(&sandbox.engine, Warden::new(limits));
        store.limiter(|warden| warden);
        store.set_epoch_deadline(ticker::ticks(limits.deadline));
        let mut world = World {
            store,
            limits,
            _seat: seat,
        };
        match sandbox.module.instantiate(&mut world.store) {
            Ok(signer) => Ok(Self { signer, world }),
            Err(error) => Err(world.explain(&error)),
        }
    }

    /// Asks for a to-be-signed certificate. Blocks for no longer than what is left of the deadline.
    pub fn propose(
        mut self,
        proposal: &Proposal<'_>,
    ) -> (Result<Vec<u8>, SandboxError>, Spent<'a>) {
        let answer = self.call(&proposal.into());
        (answer, Spent { _world: self.world })
    }

    fn call(&mut self, request: &wit::Request) -> Result<Vec<u8>, SandboxError> {
        let certificates = self.signer.credence_signer_certificates();
        let answer = certificates.call_issue(&mut self.world.store, request);
        let tbs = answer
            .map_err(|e| self.world.explain(&e))?
            .map_err(Rejection::from)?;
        match self.world.limits.proposal {
            longest if tbs.len() > longest => Err(SandboxError::Oversized(tbs.len(), longest)),
            _ => Ok(tbs),
        }
    }
}

impl World<'_> {
    fn explain(&self, error: &wasmtime::Error) -> SandboxError {
        match (error.downcast_ref::<Trap>(), self.store.data().hit) {
            (Some(Trap::Interrupt), _) => SandboxError::Deadline(self.limits.deadline),
            (Some(Trap::StackOverflow), _) => SandboxError::Bound(Bound::Stack),
            (_, Some(bound)) => SandboxError::Bound(bound),
            (Some(trap), None) => SandboxError::Trapped(trap.to_string()),
            (None, None) => SandboxError::Trapped(describe(error)),
        }
    }
}
