//! The published bundle, and what its readers say.

use crate::{book::serial_of, lifecycle::Places, lists::Lists};
use credence_ca::lifecycle::{BundleId, HolderId};
use credence_daemon::ports::{Bundle, Bundles, Reader, Revoked};
use spiffe::TrustDomain;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How many published bundles are known by their numbers.
const REMEMBERED: usize = 64;
/// How many identities' words are kept at once, for those of them that are registered verifiers.
const WORDS: usize = 4096;

type Nudge = Arc<dyn Fn() + Send + Sync>;

/// What is published, and who has it.
pub struct Publication {
    published: watch::Sender<Arc<Bundle>>,
    places: Arc<Places>,
    lists: Arc<Lists>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    named: BTreeMap<u64, BundleId>,
    /// The newest stream of each holder.
    newest: BTreeMap<HolderId, u64>,
    /// By identity.
    words: BTreeMap<String, BundleId>,
    nudge: Option<Nudge>,
}

impl Publication {
    /// Nothing is published yet.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, places: Arc<Places>, lists: Arc<Lists>) -> Self {
        let nothing = Bundle {
            trust_domain,
            roots: Vec::new(),
            sequence: 0,
            refresh_hint: Duration::ZERO,
        };
        Self {
            published: watch::channel(Arc::new(nothing)).0,
            places,
            lists,
            inner: Mutex::default(),
        }
    }

    pub(crate) fn nudged_by(&self, nudge: Nudge) {
        self.lock().nudge = Some(nudge);
    }

    /// From now on everybody who asks gets this one.
    pub(crate) fn publish(&self, id: BundleId, bundle: Arc<Bundle>) {
        {
            let mut inner = self.lock();
            inner.named.insert(id.sequence(), id);
            while inner.named.len() > REMEMBERED {
                inner.named.pop_first();
            }
        }
        self.published.send_if_modified(|now| {
            let changed = **now != *bundle;
            *now = bundle;
            changed
        });
    }

    /// What these verifiers last said, where it is another word than before.
    pub(crate) fn words(
        &self,
        verifiers: &BTreeMap<String, Option<BundleId>>,
    ) -> Vec<(String, BundleId)> {
        let inner = self.lock();
        let said = verifiers.iter().filter_map(|(name, before)| {
            let word = inner.words.get(name)?;
            (Some(*word) != *before).then(|| (name.clone(), *word))
        });
        said.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the reader keeps its trust: known by the leaf that it shows. One without a leaf holds nothing up.
fn holder(reader: &Reader) -> Option<HolderId> {
    let serial = serial_of(reader.certificate.as_deref()?).ok()?;
    Some(HolderId::of_leaf(&serial))
}

impl Bundles for Publication {
    fn watch(&self) -> watch::Receiver<Arc<Bundle>> {
        self.published.subscribe()
    }

    fn revoked(&self) -> watch::Receiver<Arc<Revoked>> {
        self.lists.watch()
    }

    fn opened(&self, reader: &Reader) {
        if let Some(holder) = holder(reader) {
            self.lock().newest.insert(holder.clone(), reader.stream);
            self.places.has(&holder, None);
        }
    }

    fn acknowledged(&self, reader: &Reader, sequence: u64) {
        let mut inner = self.lock();
        let Some(bundle) = inner.named.get(&sequence).copied() else {
            return;
        };
        if let Some(holder) = holder(reader)
            && inner.newest.get(&holder) == Some(&reader.stream)
        {
            self.places.has(&holder, Some(bundle));
        }
        let name = reader.identity.to_string();
        if inner.words.len() < WORDS || inner.words.contains_key(&name) {
            inner.words.insert(name, bundle);
        }
        let nudge = inner.nudge.clone();
        drop(inner);
        if let Some(nudge) = nudge {
            nudge();
        }
    }

    fn rejected(&self, reader: &Reader, sequence: u64, why: &str) {
        tracing::warn!(identity = %reader.identity, node = reader.node, sequence, why, "a reader rejected the bundle");
    }

    fn closed(&self, reader: &Reader) {
        let mut inner = self.lock();
        if let Some(holder) = holder(reader)
            && inner.newest.get(&holder) == Some(&reader.stream)
        {
            inner.newest.remove(&holder);
            self.places.left(&holder);
        }
    }
}
