//! Tells an application that its files are new: one telling at a time, and one for all that became new meanwhile.

use credence_files::written::Reload;
use tokio::sync::watch;
use tokio::time::sleep;

use super::state::Slot;
use crate::pause::Pause;
use crate::trouble::{Trouble, words};

/// Tells one application.
#[derive(Debug)]
pub(super) struct Reloading {
    reload: Reload,
    /// Changed when there is something to tell.
    owed: watch::Receiver<()>,
    slot: Slot,
}

impl Reloading {
    pub(super) fn new(reload: Reload, owed: watch::Receiver<()>, slot: Slot) -> Self {
        Self { reload, owed, slot }
    }

    /// Until nothing can become new any more. What is new is told at once, whatever failed before.
    pub(super) async fn run(mut self) {
        while self.owed.changed().await.is_ok() {
            let mut pause = Pause::new();
            while !self.tell().await {
                tokio::select! {
                    () = sleep(pause.next()) => {}
                    news = self.owed.changed() => match news {
                        Ok(()) => pause = Pause::new(),
                        Err(_) => return,
                    },
                }
            }
        }
    }

    /// Whether the application took it.
    async fn tell(&mut self) -> bool {
        // what becomes new from here on is for the next time
        self.owed.mark_unchanged();
        let told = self.reload.tell().await.map_err(|error| words(&error));
        let now = self.slot.now();
        let folder = self.slot.change(|state| state.folder.clone());
        let fresh = self.slot.change(|state| {
            let reload = state.reload.get_or_insert_default();
            match &told {
                Ok(()) => {
                    (reload.told, reload.trouble) = (Some(now), None);
                    true
                }
                Err(reason) => Trouble::note(&mut reload.trouble, reason, now),
            }
        });
        match &told {
            Ok(()) => {
                tracing::info!(folder = %folder.display(), "the application was told of its new files");
            }
            Err(reason) if fresh => tracing::error!(
                folder = %folder.display(),
                reason,
                "the application could not be told of its new files; it is tried again",
            ),
            Err(_) => {}
        }
        told.is_ok()
    }
}
