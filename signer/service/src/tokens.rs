//! Join tokens: made over the administration socket, used once. The ledger has them; memory has those that have not ended.

use crate::{
    book::{Book, Unrecorded},
    clock::Shared,
};
use credence_attest::{
    Answer, BoxFuture, Unavailable,
    join::{Grant, JoinToken, RootPin, Take, TokenHash, Tokens as Port},
};
use credence_ca::validity::Time;
use credence_ledger::{
    entry::{By, TokenMade, TokenUsed},
    octets::Digest,
    sqlite::{ReadError, Reader},
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// As many tokens may be open at once.
pub const MOST: usize = 100_000;
/// The longest that a token may be good for.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a token is not made.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Too many are open.
    #[error("{MOST} tokens are open already; wait until some have ended")]
    TooMany,
    /// A life that no token has.
    #[error("a token is good for 1 s to {} s", LONGEST.as_secs())]
    Life,
    /// The system gives no random octets.
    #[error("the system has no randomness")]
    Random,
    /// It is not on record.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// Somebody uses it: that is being put on record.
    Taking,
    Used,
}

#[derive(Debug, Clone)]
struct Held {
    grant: Grant,
    state: State,
}

/// The open tokens, and those that were used and have not ended.
pub struct Tokens {
    book: Arc<Book>,
    clock: Shared,
    held: Mutex<BTreeMap<TokenHash, Held>>,
}

impl Tokens {
    /// Those in the ledger.
    ///
    /// # Errors
    /// If they cannot be read: then none may be taken.
    pub fn read(book: Arc<Book>, reader: &Reader, clock: Shared) -> Result<Self, ReadError> {
        let mut held = BTreeMap::new();
        for token in reader.tokens(clock.time())? {
            let Ok(identity) = SpiffeId::new(&token.identity) else {
                continue;
            };
            let grant = Grant {
                identity,
                expires: token.expires,
            };
            let state = if token.used { State::Used } else { State::Open };
            held.insert(TokenHash::from_octets(token.token.0), Held { grant, state });
        }
        Ok(Self {
            book,
            clock,
            held: Mutex::new(held),
        })
    }

    /// Makes a token for one identity, good once and for so long, by whose bearer this root may be trusted.
    ///
    /// # Errors
    /// If there are too many, the life is none, or it is not on record.
    pub async fn make(
        &self,
        identity: SpiffeId,
        life: Duration,
        root: &[u8],
        by: By,
    ) -> Result<(Zeroizing<String>, Time), TokenError> {
        if life.as_secs() == 0 || life > LONGEST {
            return Err(TokenError::Life);
        }
        let now = self.clock.time();
        {
            let mut held = self.lock();
            held.retain(|_, token| token.grant.expires > now);
            if held.len() >= MOST {
                return Err(TokenError::TooMany);
            }
        }
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|_| TokenError::Random)?;
        let token = JoinToken::new(*random, RootPin::of(root));
        let grant = Grant {
            expires: now.plus(life),
            identity,
        };
        let made = TokenMade {
            token: Digest(*token.hash().octets()),
            identity: grant.identity.to_string(),
            expires: grant.expires,
            by,
        };
        self.book.event(made).await?;
        let (hash, expires) = (token.hash(), grant.expires);
        let state = State::Open;
        self.lock().insert(hash, Held { grant, state });
        Ok((token.to_text(), expires))
    }

    /// Of two who try only one gets it; on disk before the answer. Whoever is told that it is not on record may try again.
    async fn take_one(&self, hash: &TokenHash, now: Time) -> Answer<Take> {
        let grant = match self.begin(hash, now) {
            Ok(grant) => grant,
            Err(take) => return Ok(take),
        };
        let mut taking = Taking {
            tokens: self,
            hash,
            ends_as: State::Open,
        };
        let used = TokenUsed {
            token: Digest(*hash.octets()),
            identity: grant.identity.to_string(),
            expires: grant.expires,
        };
        // from here on the record may have it, whatever comes back
        taking.ends_as = State::Used;
        match self.book.event(used).await {
            Ok(()) => Ok(Take::Taken(grant)),
            Err(why) => {
                taking.ends_as = State::Open;
                Err(Unavailable::Store(why.to_string()))
            }
        }
    }

    fn begin(&self, hash: &TokenHash, now: Time) -> Result<Grant, Take> {
        let mut held = self.lock();
        let Some(token) = held.get_mut(hash) else {
            return Err(Take::Unknown);
        };
        if token.state != State::Open {
            return Err(Take::Used);
        }
        if token.grant.expires <= now {
            return Err(Take::Expired);
        }
        token.state = State::Taking;
        Ok(token.grant.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TokenHash, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets a token's state when the attempt ends, also where the caller leaves in the middle.
struct Taking<'a> {
    tokens: &'a Tokens,
    hash: &'a TokenHash,
    ends_as: State,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.tokens.lock().get_mut(self.hash) {
            token.state = self.ends_as.clone();
        }
    }
}

/// For the attestor.
#[derive(Clone)]
pub struct Lookup(pub Arc<Tokens>);

impl Port for Lookup {
    fn take<'a>(&'a self, hash: &'a TokenHash, now: Time) -> BoxFuture<'a, Answer<Take>> {
        Box::pin(self.0.take_one(hash, now))
    }
}
