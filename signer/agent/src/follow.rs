//! What the agent serves for one identity, for those who carry it on by other ways than a socket.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use spiffe::SpiffeId;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::shelf::{Bundle, Holdings, Shelf};
use crate::svid::Svid;

/// A certificate, its key, and the bundle of its trust domain, as they are served at one moment. Clones are cheap.
#[derive(Clone)]
pub struct Served {
    svid: Arc<Svid>,
    bundle: Arc<Bundle>,
}

/// What an identity had when an agent ended, from wherever it was kept.
pub struct Kept {
    /// The certificate and its issuers, DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The key, PKCS #8 PEM.
    pub key: Zeroizing<String>,
    /// The trust domain's roots, DER.
    pub bundle: Vec<Vec<u8>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(..)")
    }
}

/// Follows what is served for one identity: made by [`Shelf::follow`].
pub struct Follow {
    id: SpiffeId,
    held: watch::Receiver<Arc<Holdings>>,
    had: Option<Served>,
}

impl Served {
    /// The certificate and its issuers, DER, the leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.svid.chain
    }

    /// The key, PKCS #8 DER.
    #[must_use]
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        self.svid.key.to_der()
    }

    /// The trust domain's bundle. It has a root.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The leaf's serial number in hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.svid.serial
    }

    /// When the leaf ends.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.svid.not_after
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.svid, &other.svid) && Arc::ptr_eq(&self.bundle, &other.bundle)
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Served({}, ..)", self.serial())
    }
}

impl Shelf {
    /// Follows what is served for an identity from now on; what is there already counts as new.
    #[must_use]
    pub fn follow(&self, id: &SpiffeId) -> Follow {
        Follow {
            id: id.clone(),
            held: self.watch(),
            had: None,
        }
    }
}

impl Follow {
    /// Whom it follows.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Resolves when there is something that [`Follow::newest`] did not give yet; however much changed meanwhile, once. That a certificate
    /// has ended is no news: there is nothing to be had. May be dropped at any time.
    pub async fn changed(&mut self) {
        loop {
            let now = self.look();
            match (&now, &self.had) {
                (Some(now), Some(had)) if now.is(had) => {}
                (Some(_), _) => return,
                // not kept longer than it is served
                (None, _) => self.had = None,
            }
            if self.held.changed().await.is_err() {
                // nobody is left who could put anything on the shelf
                return std::future::pending().await;
            }
        }
    }

    /// What is served now; nothing while there is no certificate, it has ended, or there is no bundle of its trust domain.
    pub fn newest(&mut self) -> Option<Served> {
        self.had = self.look();
        self.had.clone()
    }

    fn look(&mut self) -> Option<Served> {
        let held = Arc::clone(&self.held.borrow_and_update());
        Some(Served {
            svid: Arc::clone(held.svid(&self.id)?),
            bundle: Arc::clone(held.bundle(self.id.trust_domain())?),
        })
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Follow({}, ..)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::testsvid;

    fn id() -> SpiffeId {
        SpiffeId::new("spiffe://example.org/frontend").unwrap()
    }

    fn listed(root: u8, list: u8, sequence: u64) -> Bundle {
        Bundle {
            roots: vec![vec![root]],
            lists: vec![vec![list]],
            sequence: Some(sequence),
            ..Bundle::default()
        }
    }

    async fn news(follow: &mut Follow) -> Served {
        follow.changed().await;
        follow.newest().unwrap()
    }

    /// Time is paused: an hour is nothing.
    async fn nothing(follow: &mut Follow) {
        let waited = timeout(Duration::from_secs(3_600), follow.changed()).await;
        assert!(waited.is_err(), "there is news");
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_one() {
        let shelf = Shelf::default();
        let mut follow = shelf.follow(&id());
        nothing(&mut follow).await;
        for serial in 1..=3 {
            shelf.put_svid(&id(), testsvid::svid(&id(), serial));
        }
        let served = news(&mut follow).await;
        assert_eq!(served.serial(), "03");
        assert_eq!(served.chain().len(), 2);
        nothing(&mut follow).await;
        let domain = id().trust_domain().clone();
        shelf.put_bundle(&domain, listed(1, 1, 1));
        shelf.put_bundle(&domain, listed(2, 3, 2));
        let next = news(&mut follow).await;
        assert_eq!(next.serial(), "03", "a bundle alone is news");
        assert_eq!(next.bundle(), &listed(2, 3, 2));
        assert_eq!(*next.key(), *served.key());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bundle_there_is_nothing() {
        let shelf = Shelf::default();
        let mut follow = shelf.follow(&id());
        shelf.put_bundle(id().trust_domain(), listed(1, 1, 1));
        shelf.put_svid(&id(), testsvid::svid(&id(), 1));
        shelf.remove_bundle(id().trust_domain());
        nothing(&mut follow).await;
        assert!(follow.newest().is_none());
        shelf.put_bundle(id().trust_domain(), listed(2, 1, 2));
        assert_eq!(news(&mut follow).await.bundle().roots, [[2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_no_news_and_what_comes_after_it_is() {
        let shelf = Shelf::default();
        let mut follow = shelf.follow(&id());
        shelf.put_svid(&id(), testsvid::svid(&id(), 1));
        news(&mut follow).await;
        shelf.withdraw(&id());
        nothing(&mut follow).await;
        assert!(follow.had.is_none(), "an ended key is kept");
        assert!(follow.newest().is_none());
        shelf.put_svid(&id(), testsvid::svid(&id(), 2));
        assert_eq!(news(&mut follow).await.serial(), "02");
    }
}
