//! Keeps the files of one output as what is served.

use std::time::Duration;

use credence_agent::{Follow, Served};
use credence_files::written::{FilesError, Material, Place, Writer, Written};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::state::{Delivered, Slot};
use crate::pause::Pause;
use crate::pem;
use crate::trouble::{Trouble, words};

/// How long files are left alone: they are looked at again, since a folder may have been made anew.
const LOOK: Duration = Duration::from_secs(30);

/// Writes for one output.
#[derive(Debug)]
pub(super) struct Writing {
    place: Place,
    follow: Follow,
    owed: watch::Sender<()>,
    slot: Slot,
    writer: Option<Writer>,
    /// Whether the files may be new to the application although the next attempt finds them there.
    half_done: bool,
}

/// What is written.
struct Text {
    certificate: String,
    key: Zeroizing<String>,
    bundle: String,
}

impl Text {
    fn of(served: &Served) -> Result<Self, String> {
        let text = || {
            Ok(Self {
                certificate: pem::certificates(served.chain())?,
                key: pem::key(&served.key())?,
                bundle: pem::certificates(&served.bundle().roots)?,
            })
        };
        text().map_err(|error: pem_rfc7468::Error| words(&error))
    }
}

/// The folder is opened where it is not the one of before.
fn write(writer: &mut Option<Writer>, place: Place, text: &Text) -> Result<Written, FilesError> {
    // let go of first, with its lock
    *writer = writer.take().filter(Writer::is_there);
    let writer = match writer {
        Some(writer) => writer,
        None => writer.insert(Writer::open(place)?),
    };
    writer.write(&Material {
        certificate: &text.certificate,
        key: &text.key,
        bundle: &text.bundle,
    })
}

impl Writing {
    pub(super) fn new(place: Place, follow: Follow, owed: watch::Sender<()>, slot: Slot) -> Self {
        Self {
            place,
            follow,
            owed,
            slot,
            writer: None,
            half_done: false,
        }
    }

    /// For ever. What is new is written at once, whatever failed before.
    pub(super) async fn run(mut self) {
        let (mut pause, mut wait) = (Pause::new(), LOOK);
        loop {
            tokio::select! {
                () = self.follow.changed() => pause = Pause::new(),
                () = sleep(wait) => {}
            }
            // what has ended stays as it is
            let Some(served) = self.follow.newest() else {
                wait = LOOK;
                continue;
            };
            wait = match self.write(&served).await {
                Ok(written) => {
                    pause = Pause::new();
                    self.on_written(&served, written);
                    LOOK
                }
                Err(reason) => {
                    self.on_failure(&served, &reason);
                    pause.next()
                }
            };
        }
    }

    async fn write(&mut self, served: &Served) -> Result<Written, String> {
        let text = Text::of(served)?;
        let (mut writer, place) = (self.writer.take(), self.place.clone());
        let written = spawn_blocking(move || (write(&mut writer, place, &text), writer));
        let (written, writer) = written.await.map_err(|error| words(&error))?;
        self.writer = writer;
        written.map_err(|error| words(&error))
    }

    fn on_written(&mut self, served: &Served, written: Written) {
        let half_done = std::mem::take(&mut self.half_done);
        let now = self.slot.now();
        let (before, recovered) = self.slot.change(|state| {
            let recovered = state.trouble.take().is_some();
            let same = state
                .written
                .as_ref()
                .is_some_and(|before| before.serial == served.serial());
            if written == Written::Same && same {
                return (None, recovered);
            }
            let delivered = Delivered {
                serial: served.serial().to_owned(),
                not_after: served.not_after(),
                at: now,
            };
            (state.written.replace(delivered), recovered)
        });
        if written == Written::New || half_done {
            self.owed.send_replace(());
        }
        if written == Written::New || recovered {
            tracing::info!(
                identity = %self.follow.id(),
                folder = %self.place.folder().display(),
                old_serial = before.as_ref().map_or("none", |before| &before.serial),
                serial = served.serial(),
                not_after = %humantime::format_rfc3339_seconds(served.not_after()),
                "certificate files written",
            );
        }
    }

    fn on_failure(&mut self, served: &Served, reason: &str) {
        self.half_done = true;
        let now = self.slot.now();
        if self
            .slot
            .change(|state| Trouble::note(&mut state.trouble, reason, now))
        {
            tracing::error!(
                identity = %self.follow.id(),
                folder = %self.place.folder().display(),
                serial = served.serial(),
                reason,
                "certificate files could not be written; those that are there stay, and it is tried again",
            );
        }
    }
}
