//! How it stands is told: to operators, and to health and metrics.

use super::Thread;
use crate::lifecycle::Report;
use credence_ca::lifecycle::{Forced, Hold, Place, Status, World};

impl Thread {
    pub(super) fn breaks(&self, forced: Forced) -> Vec<String> {
        let standing = self.status();
        let id = match forced {
            Forced::ActivateRoot => {
                let next = self.state.next_root();
                next.and_then(|next| Some(next.coming()?.root.id))
            }
            Forced::RetireRoot(id) => Some(id),
        };
        let holds = standing.roots.into_iter().filter(|root| root.id == id);
        holds
            .flat_map(|root| root.holds)
            .map(|hold| told(&hold))
            .collect()
    }

    pub(super) fn status(&self) -> Status {
        self.in_the_world(|world| self.state.status(world))
    }

    pub(super) fn in_the_world<T>(&self, ask: impl FnOnce(World<'_>) -> T) -> T {
        let places = self.worker.places();
        let holders = places.lock();
        ask(World {
            reading: self.worker.clock().reading(self.run),
            holders: places.complete().then_some(&*holders),
        })
    }

    /// Made after each order and each look: the door waits for the holders' lock, so that nothing looks at all leaves here.
    pub(super) fn report(&self) {
        let outlook = self.in_the_world(|world| self.state.outlook(world));
        let report = Report {
            failing: self.behind.clone(),
            warnings: outlook
                .warnings
                .iter()
                .map(ToString::to_string)
                .chain(self.worker.parts().lists.trouble())
                .collect(),
            standings: standings("root", &outlook.roots)
                .chain(standings("issuer", &outlook.issuers))
                .collect(),
            bundle: outlook.bundle.sequence(),
        };
        self.reports.send_if_modified(|now| {
            let changed = *now != report;
            *now = report;
            changed
        });
    }
}

fn standings<'a>(
    role: &'static str,
    all: &'a [Place],
) -> impl Iterator<Item = (&'static str, String, String, u64)> + 'a {
    all.iter().map(move |one| {
        let ends = one.validity.not_after.unix();
        (role, one.phase.to_string(), one.id.to_string(), ends)
    })
}

/// A shut gate in words.
fn told(hold: &Hold) -> String {
    format!("{}: {hold}", hold.gate())
}
