//! A port: who is at the other end of a connection, and what it may have.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use credence_attest::peer::{PeerAttestor, PeerCredentials};
use spiffe::SpiffeId;
use tokio::time::Instant;

use crate::view::View;

/// A future that [`Callers`] hands out: boxed, so that the trait stays object safe.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + 'a>>;

/// Tells from what the kernel says of a peer what it may have.
///
/// It is asked when a stream begins and again before everything that is pushed: what a process runs can have become something else
/// since, and its entry can be gone. (That the process still runs is looked at before that.)
/// Equal views are served from one copy, so an implementation hands out the same `Arc`s again and again.
pub trait Callers: Send + Sync + 'static {
    /// Whether whoever has these credentials may connect at all. Who may not is hung up on without a word, where others get to hear that
    /// there is no identity for them.
    fn admits(&self, peer: &PeerCredentials) -> bool {
        let _ = peer;
        true
    }

    /// What the peer may have now; nothing if it may have nothing, or that cannot be told.
    fn view<'a>(&'a self, peer: &'a PeerCredentials) -> Looking<'a>;
}

/// One uid, and root, have one view: for a socket of their own.
#[derive(Clone, Debug)]
pub struct OneUid {
    uid: u32,
    view: Arc<View>,
}

impl OneUid {
    /// Root can read the agent's memory anyway, so it may have what `uid` has.
    #[must_use]
    pub fn new(uid: u32, view: View) -> Self {
        Self {
            uid,
            view: Arc::new(view),
        }
    }
}

impl Callers for OneUid {
    fn admits(&self, peer: &PeerCredentials) -> bool {
        peer.uid == self.uid || peer.uid == 0
    }

    fn view<'a>(&'a self, peer: &'a PeerCredentials) -> Looking<'a> {
        let view = self.admits(peer).then(|| Arc::clone(&self.view));
        Box::pin(std::future::ready(view))
    }
}

/// Processes that a registry has an entry for: by uid, systemd unit, container or pod, and by gid, executable and its SHA-256 to narrow.
pub struct Registered {
    attestor: PeerAttestor,
    views: BTreeMap<SpiffeId, Arc<View>>,
    /// What the age of a registry's file is counted from.
    started: Instant,
}

impl Registered {
    /// Each registered identity has the view whose default it is.
    #[must_use]
    pub fn new(attestor: PeerAttestor, views: impl IntoIterator<Item = View>) -> Self {
        let views = views
            .into_iter()
            .map(|view| (view.default_id().clone(), Arc::new(view)));
        Self {
            attestor,
            views: views.collect(),
            started: Instant::now(),
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}

impl Callers for Registered {
    fn view<'a>(&'a self, peer: &'a PeerCredentials) -> Looking<'a> {
        Box::pin(async move {
            match self.attestor.identify(peer, self.started.elapsed()).await {
                Ok(identity) => self.views.get(&identity).cloned(),
                Err(reason) => {
                    tracing::debug!(uid = peer.uid, %reason, "a caller has no identity here");
                    None
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use credence_attest::peer::{Conditions, Entry, Registry};
    use tokio::net::UnixStream;

    use super::*;

    /// This very process, under another uid.
    fn peer(uid: u32) -> PeerCredentials {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        PeerCredentials {
            uid,
            ..PeerCredentials::of(&ours).unwrap()
        }
    }

    fn id(path: &str) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org/{path}")).unwrap()
    }

    #[tokio::test]
    async fn the_workload_and_root_may_and_nobody_else() {
        for (allowed, uid, may) in [
            (1_000, 1_000, true),
            (1_000, 0, true),
            (0, 0, true),
            (1_000, 1_001, false),
            (0, 1_000, false),
        ] {
            let callers = OneUid::new(allowed, View::of(id("frontend")));
            assert_eq!(callers.admits(&peer(uid)), may);
            assert_eq!(callers.view(&peer(uid)).await.is_some(), may);
        }
    }

    #[tokio::test]
    async fn the_registry_says_who_is_whom_and_root_is_nobody_special() {
        let entry = |uid, path| Entry {
            conditions: Conditions::of_uid(uid),
            identity: id(path),
        };
        let registry = Registry::new(vec![entry(1, "one"), entry(2, "two"), entry(3, "gone")]);
        let attestor = PeerAttestor::new("peer".to_owned(), registry.unwrap());
        let callers = Registered::new(attestor, [View::of(id("one")), View::of(id("two"))]);
        for (uid, expected) in [(1, Some("/one")), (2, Some("/two")), (3, None), (0, None)] {
            let view = callers.view(&peer(uid)).await;
            let found = view.as_ref().map(|view| view.default_id().path());
            assert_eq!(found, expected, "uid {uid}");
        }
    }
}
