//! The secrets as they are sent, made once for all streams: lists can be long, and streams many.

use crate::ports::{Bundle, Lists, Revoked};
use credence_agent::sds::Snapshot;
use std::sync::{Arc, Mutex, PoisonError};

/// The newest secrets.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Option<Made>>);

struct Made {
    bundle: Arc<Bundle>,
    revoked: Arc<Revoked>,
    secrets: Snapshot,
}

impl Shelf {
    /// Of these two. While lists have to be there and are not, there is nothing: without them, what was revoked would be let in again.
    pub(super) fn secrets(&self, bundle: &Arc<Bundle>, revoked: &Arc<Revoked>) -> Snapshot {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref()
            && Arc::ptr_eq(&made.bundle, bundle)
            && Arc::ptr_eq(&made.revoked, revoked)
        {
            return made.secrets.clone();
        }
        let secrets = make(bundle, revoked);
        *made = Some(Made {
            bundle: Arc::clone(bundle),
            revoked: Arc::clone(revoked),
            secrets: secrets.clone(),
        });
        secrets
    }
}

fn make(bundle: &Bundle, revoked: &Revoked) -> Snapshot {
    let secrets = match &revoked.lists {
        Lists::NotYet => return Snapshot::default(),
        Lists::Without => Snapshot::of_bundle(&bundle.roots, &[]),
        Lists::These(lists) => Snapshot::of_bundle(&bundle.roots, lists),
    };
    secrets.with_deny_list(&revoked.deny_list)
}
