//! Places, in all and for each uid: no uid can take all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many places there are, and how many of them are taken.
#[derive(Debug)]
pub(crate) struct Quota {
    most: usize,
    most_per_uid: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_uid: BTreeMap<u32, usize>,
}

/// There is no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("{0} are open, which is the limit")]
    ForAll(usize),
    #[error("{most} of uid {uid} are open, which is the limit for one uid")]
    ForUid { uid: u32, most: usize },
}

impl Quota {
    pub(crate) fn new(most: usize, most_per_uid: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_uid,
            taken: Mutex::default(),
        })
    }

    /// A place for `uid`, until it is dropped.
    pub(crate) fn enter(self: &Arc<Self>, uid: u32) -> Result<Place, Full> {
        let mut taken = self.taken();
        if taken.all >= self.most {
            return Err(Full::ForAll(self.most));
        }
        let own = taken.by_uid.get(&uid).copied().unwrap_or_default();
        if own >= self.most_per_uid {
            let most = self.most_per_uid;
            return Err(Full::ForUid { uid, most });
        }
        taken.all += 1;
        taken.by_uid.insert(uid, own + 1);
        Ok(Place {
            quota: Arc::clone(self),
            uid,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Arc<Quota>,
    uid: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_uid.get_mut(&self.uid) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_uid_and_given_back() {
        let quota = Quota::new(3, 2);
        let (one, two) = (quota.enter(1).unwrap(), quota.enter(1).unwrap());
        assert_eq!(
            quota.enter(1).unwrap_err(),
            Full::ForUid { uid: 1, most: 2 }
        );
        let other = quota.enter(2).unwrap();
        assert_eq!(quota.enter(3).unwrap_err(), Full::ForAll(3));
        drop(one);
        assert!(quota.enter(1).is_ok());
        drop((two, other));
        let taken = quota.taken();
        assert_eq!((taken.all, taken.by_uid.len()), (0, 0));
    }
}
