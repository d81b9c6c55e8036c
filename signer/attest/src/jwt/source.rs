//! Where key sets come from.

use super::{
    cache::{Cache, Freshness, Step},
    keys::{KeySet, KeySetError, LONGEST_SET},
};
use crate::{
    error::{Failure, Refusal, Unavailable},
    https::{Https, HttpsError, HttpsUrl, Roots},
    port::Now,
    watched::{FileFault, Watched},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// How often a file is looked at. A key that is not known is looked for at once; one that was taken out is good for so long at most.
const FILE_LOOK: Duration = Duration::from_secs(1);

/// The keys that an issuer signs tokens with.
pub struct Keys(Source);

enum Source {
    Fixed(Arc<KeySet>),
    File(Watched<KeySet>),
    Url(Arc<Remote>),
}

impl Keys {
    /// These and no others.
    ///
    /// # Errors
    /// If it is not a usable JWK Set.
    pub fn fixed(jwks: &[u8]) -> Result<Self, KeySetError> {
        KeySet::parse(jwks).map(|set| Self(Source::Fixed(Arc::new(set))))
    }

    /// Those in a file, read again when it changes. A change that is not a usable JWK Set is logged, and the
    /// keys before it stay.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        let parse = |bytes: &[u8]| KeySet::parse(bytes).map_err(|e| e.to_string());
        let longest = u64::try_from(LONGEST_SET).unwrap_or(u64::MAX);
        Self(Source::File(Watched::new(path, longest, parse)))
    }

    /// Those at a URL, whose server is known by these CA certificates.
    ///
    /// # Errors
    /// If https cannot be set up.
    pub fn url(
        url: HttpsUrl,
        roots: impl Into<Roots>,
        timeout: Duration,
        freshness: Freshness,
    ) -> Result<Self, HttpsError> {
        Ok(Self(Source::Url(Arc::new(Remote {
            https: Https::new(roots.into(), timeout, LONGEST_SET)?,
            url,
            freshness,
            cache: std::sync::Mutex::default(),
            fetching: tokio::sync::Mutex::new(()),
        }))))
    }

    /// A set that has a key for the token, as far as `knows` can say.
    pub(crate) async fn find(
        &self,
        knows: impl Fn(&KeySet) -> bool + Send + Sync,
        now: Now,
    ) -> Result<Arc<KeySet>, Failure> {
        let set = match &self.0 {
            Source::Fixed(set) => Arc::clone(set),
            Source::File(file) => {
                let unusable = |fault: FileFault| Unavailable::File(fault.to_string());
                let lately = file.get_lately(now.steady, FILE_LOOK).await;
                let set = lately.map_err(unusable)?;
                if knows(&set) {
                    return Ok(set);
                }
                file.get().await.map_err(unusable)?
            }
            Source::Url(remote) => return remote.find(knows, now.steady).await,
        };
        if knows(&set) {
            Ok(set)
        } else {
            Err(Refusal::UnknownKey.into())
        }
    }
}

struct Remote {
    https: Https,
    url: HttpsUrl,
    freshness: Freshness,
    cache: std::sync::Mutex<Cache>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<()>,
}

impl Remote {
    async fn find(
        self: &Arc<Self>,
        knows: impl Fn(&KeySet) -> bool + Send + Sync,
        now: Duration,
    ) -> Result<Arc<KeySet>, Failure> {
        match self.step(&knows, now) {
            Step::Use(set) => return Ok(set),
            Step::Refresh(old) if self.is_fetching() => return Ok(old),
            Step::Wait(wait) if !self.is_fetching() => {
                return Err(Unavailable::KeysTooSoon(wait).into());
            }
            // also while a fetch is under way, which may bring the key
            Step::Refresh(_) | Step::Fetch | Step::Wait(_) => {}
        }
        let fetched = self.fetch(now).await;
        match self.step(&knows, now) {
            Step::Use(set) | Step::Refresh(set) => Ok(set),
            Step::Fetch | Step::Wait(_) if self.lock().up_to_date() => {
                Err(Refusal::UnknownKey.into())
            }
            Step::Wait(wait) => Err(fetched
                .err()
                .unwrap_or(Unavailable::KeysTooSoon(wait))
                .into()),
            Step::Fetch => Err(fetched.err().unwrap_or(Unavailable::Busy).into()),
        }
    }

    fn step(&self, knows: impl Fn(&KeySet) -> bool, now: Duration) -> Step {
        self.lock().step(knows, now, &self.freshness)
    }

    fn is_fetching(&self) -> bool {
        self.fetching.try_lock().is_err()
    }

    /// Fetches, or waits for the fetch that is under way. In a task of its own, so that a caller who hangs up
    /// does not take everybody's chance for this interval along.
    async fn fetch(self: &Arc<Self>, now: Duration) -> Result<(), Unavailable> {
        let remote = Arc::clone(self);
        let fetched = tokio::spawn(async move {
            let _fetching = remote.fetching.lock().await;
            // somebody else's fetch may have ended while this one waited
            match remote.step(|_| false, now) {
                Step::Fetch => remote.fetch_now(now).await,
                _ => Ok(()),
            }
        });
        fetched.await.unwrap_or_else(|_| {
            Err(Unavailable::Remote {
                what: self.url.to_string(),
                why: "the fetch was stopped".into(),
            })
        })
    }

    async fn fetch_now(&self, now: Duration) -> Result<(), Unavailable> {
        self.lock().attempt(now);
        let result = self.download().await;
        match &result {
            Ok(set) => self.lock().store(Arc::clone(set), now),
            Err(why) => tracing::warn!(%why, "a key set cannot be fetched"),
        }
        result.map(|_| ())
    }

    async fn download(&self) -> Result<Arc<KeySet>, Unavailable> {
        let failed = |why: String| Unavailable::Remote {
            what: self.url.to_string(),
            why,
        };
        let request = Request::get(self.url.uri())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Full::<Bytes>::default())
            .map_err(|e| failed(e.to_string()))?;
        let reply = self.https.ask(request).await?;
        if reply.status != StatusCode::OK {
            return Err(failed(format!("the status is {}, not 200", reply.status)));
        }
        KeySet::parse(&reply.body)
            .map(Arc::new)
            .map_err(|e| failed(e.to_string()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
