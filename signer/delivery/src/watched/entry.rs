//! One source that is watched.

use std::sync::Arc;
use std::time::SystemTime;

use credence_agent::Bundle;
use credence_agent::sds::Secret;
use credence_files::watched::{Content, Folders, Seen, Source, Watch};
use spiffe::SpiffeId;

use crate::pem;
use crate::trouble::{Trouble, words};

/// By number, the grants that somebody has.
pub(super) type Rights = Vec<usize>;

/// What tells sources apart: the same name is another source to whoever may have other folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) rights: Rights,
    pub(super) source: Source,
}

/// How one source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedState {
    /// Its name on SDS.
    pub name: String,
    /// The default identity of the first one who asked for it.
    pub asked_by: SpiffeId,
    /// Since when it is watched.
    pub since: SystemTime,
    /// What is served of it. A certificate that has ended is not served.
    pub served: Option<FromFiles>,
    /// Why the files as they are now are not served; gone once they are.
    pub trouble: Option<Trouble>,
}

/// What is served of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromFiles {
    /// Since when.
    pub at: SystemTime,
    /// The leaf's serial number in hexadecimal, of a certificate.
    pub serial: Option<String>,
    /// When the leaf ends, of a certificate.
    pub not_after: Option<SystemTime>,
}

/// A source that is watched.
pub(super) struct Entry {
    /// Away while somebody looks.
    pub(super) watch: Option<Watch>,
    pub(super) folders: Arc<Folders>,
    pub(super) by: SpiffeId,
    pub(super) since: SystemTime,
    /// The last round in which somebody asked for it.
    pub(super) asked: u64,
    /// The first round in which it is to be looked at again.
    pub(super) due: u64,
    /// Whether its end was told.
    pub(super) ended: bool,
    good: Option<Good>,
    trouble: Option<Trouble>,
}

struct Good {
    secret: Arc<Secret>,
    seen: FromFiles,
}

/// What a look at all sources of one group has found.
pub(super) struct Looked {
    pub(super) rights: Rights,
    pub(super) found: Vec<(Watch, Seen)>,
}

impl Entry {
    pub(super) fn new(
        source: Source,
        folders: Folders,
        by: &SpiffeId,
        (now, round): (SystemTime, u64),
    ) -> Self {
        Self {
            watch: Some(Watch::new(source)),
            folders: Arc::new(folders),
            by: by.clone(),
            since: now,
            asked: round,
            due: 0,
            ended: false,
            good: None,
            trouble: None,
        }
    }

    /// What there is to serve.
    pub(super) fn secret(&self, now: SystemTime) -> Option<Arc<Secret>> {
        self.served(now).map(|good| Arc::clone(&good.secret))
    }

    fn served(&self, now: SystemTime) -> Option<&Good> {
        let lasts = |good: &&Good| good.seen.not_after.is_none_or(|end| now < end);
        self.good.as_ref().filter(lasts)
    }

    /// Whether there is something that is not served any more.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.good.is_some() && self.served(now).is_none()
    }

    pub(super) fn state(&self, name: String, now: SystemTime) -> WatchedState {
        WatchedState {
            name,
            asked_by: self.by.clone(),
            since: self.since,
            served: self.served(now).map(|good| good.seen.clone()),
            trouble: self.trouble.clone(),
        }
    }

    /// Takes what a look has found. Whether something else is served now.
    pub(super) fn take(&mut self, watch: Watch, seen: Seen, now: SystemTime) -> bool {
        let name = watch.source().name();
        let changed = match seen {
            Seen::Unchanged => {
                if !watch.is_bad() {
                    self.trouble = None;
                }
                false
            }
            Seen::Changed(content) => self.serve(&name, content, now),
            Seen::Bad(why) => {
                self.refuse(&name, &words(&why), now);
                false
            }
        };
        self.watch = Some(watch);
        changed
    }

    fn serve(&mut self, name: &str, content: Content, now: SystemTime) -> bool {
        let (secret, serial, not_after) = match content {
            Content::Pair(pair) => match pem::certificates(&pair.chain) {
                Ok(chain) => (
                    Secret::certificate(name, &chain, pair.key),
                    Some(pair.serial),
                    Some(pair.not_after),
                ),
                Err(error) => {
                    self.refuse(name, &words(&error), now);
                    return false;
                }
            },
            Content::Roots(roots) => {
                let bundle = Bundle {
                    roots,
                    ..Bundle::default()
                };
                (Secret::roots(name, &bundle), None, None)
            }
        };
        tracing::info!(
            name,
            version = secret.version(),
            old_serial = self.serial(),
            new_serial = serial.as_deref().unwrap_or("none"),
            "files taken",
        );
        self.good = Some(Good {
            secret: Arc::new(secret),
            seen: FromFiles {
                at: now,
                serial,
                not_after,
            },
        });
        (self.trouble, self.ended) = (None, false);
        true
    }

    fn serial(&self) -> &str {
        let seen = self.good.as_ref().map(|good| &good.seen);
        seen.and_then(|seen| seen.serial.as_deref())
            .unwrap_or("none")
    }

    fn refuse(&mut self, name: &str, reason: &str, now: SystemTime) {
        if Trouble::note(&mut self.trouble, reason, now) {
            tracing::warn!(
                name,
                reason,
                "files are not taken; what was served of them goes on"
            );
        }
    }
}
