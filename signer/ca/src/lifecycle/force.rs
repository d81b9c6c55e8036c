//! Steps that are taken though gates are shut, and what they break.

use super::{
    authority::{NextRoot, Retiring},
    event::{Cause, Forced, Refused, World},
    gate,
    hold::Hold,
    state::State,
};

impl State {
    /// What a forced step would break: the gates that are shut.
    ///
    /// # Errors
    /// If the step cannot be forced.
    pub fn breaks(&self, world: World<'_>, step: Forced) -> Result<Vec<Hold>, Refused> {
        let mut now = self.clone();
        now.watch = now.watch.read(world.reading, now.patience());
        let view = now.view(world.holders);
        match step {
            Forced::ActivateRoot => {
                let next = now.next_root.as_ref().ok_or(Refused::NoRoot)?;
                let coming = next.coming().ok_or(Refused::NotMade)?;
                now.check_valid(coming.root.id, coming.root.validity)?;
                let holds = gate::activation(view, next);
                match gate::issuer_usable(view, coming) {
                    Some(hold) => Err(Refused::NotForceable(Box::new(hold))),
                    None => Ok(holds),
                }
            }
            Forced::RetireRoot(id) => {
                let named = |retiring: &&Retiring| retiring.root.id == id;
                let retiring = now.retiring.iter().find(named);
                let retiring = retiring.ok_or(Refused::NotRetiring(id))?;
                Ok(gate::retirement(view, retiring))
            }
        }
    }

    pub(super) fn force(&mut self, world: World<'_>, step: Forced) -> Result<(), Refused> {
        self.check_ledger()?;
        let breaks = self.breaks(world, step)?;
        let cause = Cause::Forced(breaks.iter().map(ToString::to_string).collect());
        match step {
            Forced::ActivateRoot => {
                if let Some(NextRoot::Prepared(coming)) = self.next_root {
                    self.distribute(coming, cause.clone());
                }
                self.activate(cause);
            }
            Forced::RetireRoot(id) => {
                let retiring = self.retiring.iter().find(|r| r.root.id == id).copied();
                let root = retiring.ok_or(Refused::NotRetiring(id))?.root;
                self.end_retiring(root, cause);
            }
        }
        Ok(())
    }
}
