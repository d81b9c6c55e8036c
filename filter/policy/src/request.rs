//! What a rule asks of a request, each fact at most once, and only once a decision hangs on it.

use crate::{
    decision::Reason,
    path::canonical_path,
    target::{canonical_host, canonical_method},
};

/// What may be asked about a request. Each call may be one to a proxy: none is made twice for a
/// request, and none that the decision does not hang on.
pub trait RequestFacts {
    /// Why a fact could not be read.
    type Error;

    /// The request's method.
    ///
    /// # Errors
    /// If it cannot be read.
    fn method(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The request's target as received: path and query.
    ///
    /// # Errors
    /// If it cannot be read.
    fn path(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The authority that it is for: host, and port if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    fn host(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Facts in their canonical spelling, or why they are not.
pub(crate) trait Request {
    type Error;
    fn method(&mut self) -> Asked<'_, Self::Error>;
    fn path(&mut self) -> Asked<'_, Self::Error>;
    fn host(&mut self) -> Asked<'_, Self::Error>;
}

type Asked<'a, E> = Result<Result<&'a str, Reason>, E>;

/// Asks once and remembers.
pub(crate) struct Once<'a, F> {
    facts: &'a mut F,
    method: Option<Fact>,
    path: Option<Fact>,
    host: Option<Fact>,
}

impl<'a, F: RequestFacts> Once<'a, F> {
    pub(crate) fn new(facts: &'a mut F) -> Self {
        Self {
            facts,
            method: None,
            path: None,
            host: None,
        }
    }
}

impl<F: RequestFacts> Request for Once<'_, F> {
    type Error = F::Error;

    fn method(&mut self) -> Asked<'_, F::Error> {
        let facts = &mut *self.facts;
        once(&mut self.method, || {
            Ok(match facts.method()? {
                None => Err(Reason::MethodMissing),
                Some(bytes) => canonical_method(&bytes)
                    .map(str::to_owned)
                    .map_err(|_| Reason::MethodNotCanonical),
            })
        })
    }

    fn path(&mut self) -> Asked<'_, F::Error> {
        let facts = &mut *self.facts;
        once(&mut self.path, || {
            Ok(match facts.path()? {
                None => Err(Reason::PathMissing),
                Some(bytes) => canonical_path(&bytes)
                    .map(str::to_owned)
                    .map_err(|_| Reason::PathNotCanonical),
            })
        })
    }

    fn host(&mut self) -> Asked<'_, F::Error> {
        let facts = &mut *self.facts;
        once(&mut self.host, || {
            Ok(match facts.host()? {
                None => Err(Reason::HostMissing),
                Some(bytes) => canonical_host(&bytes).map_err(|_| Reason::HostNotCanonical),
            })
        })
    }
}

type Fact = Result<String, Reason>;

fn once<E>(slot: &mut Option<Fact>, ask: impl FnOnce() -> Result<Fact, E>) -> Asked<'_, E> {
    let fact = match slot {
        Some(fact) => fact,
        None => slot.insert(ask()?),
    };
    Ok(fact.as_deref().map_err(|reason| *reason))
}

/// Stands for a request of which nothing is known yet: what can be decided with it hangs on the
/// connection alone.
pub(crate) struct Unasked;

/// The decision hangs on the request.
pub(crate) struct HangsOnRequest;

impl Request for Unasked {
    type Error = HangsOnRequest;

    fn method(&mut self) -> Asked<'_, HangsOnRequest> {
        Err(HangsOnRequest)
    }

    fn path(&mut self) -> Asked<'_, HangsOnRequest> {
        Err(HangsOnRequest)
    }

    fn host(&mut self) -> Asked<'_, HangsOnRequest> {
        Err(HangsOnRequest)
    }
}
