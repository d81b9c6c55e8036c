//! What goes on on one connection, and when it should come to an end. Time comes in as a value.

use crate::{limits::ConnectionLimits, metrics::Cut};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How many connections there are besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// No more than there is room for.
    Few,
    /// So many that idle ones have to make room.
    Crowd,
}

/// The requests under way on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    first_request: Duration,
    idle: Duration,
    idle_in_a_crowd: Duration,
    /// From a request's headers until its answer has to have been taken.
    whole_request: Duration,
    age_ends: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// By when each request has to be done; a stream has no such time.
    running: BTreeMap<u64, Option<Instant>>,
    quiet: Quiet,
}

/// Since when nothing goes on, for when nothing does.
#[derive(Debug, Clone, Copy)]
enum Quiet {
    SinceTheBeginning(Instant),
    SinceARequest(Instant),
}

impl Activity {
    pub(super) fn new(limits: &ConnectionLimits, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            first_request: limits.first_request,
            idle: limits.idle,
            idle_in_a_crowd: limits.idle_in_a_crowd.min(limits.idle),
            whole_request: limits.request + limits.drain,
            age_ends: now + limits.age,
            state: Mutex::new(State {
                next: 0,
                running: BTreeMap::new(),
                quiet: Quiet::SinceTheBeginning(now),
            }),
        })
    }

    /// A request begins, and goes on as long as what this gives.
    pub(super) fn begin(self: &Arc<Self>, streams: bool, now: Instant) -> Running {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let due = (!streams).then(|| now + self.whole_request);
        state.running.insert(number, due);
        Running {
            activity: Arc::clone(self),
            number,
        }
    }

    /// When the connection is to end as things are, and why.
    pub(super) fn end(&self, others: Others) -> (Instant, Cut) {
        let state = self.state();
        let quiet = match state.quiet {
            _ if !state.running.is_empty() => None,
            Quiet::SinceTheBeginning(start) => Some((start + self.first_request, Cut::Idle)),
            Quiet::SinceARequest(end) => Some(match others {
                Others::Few => (end + self.idle, Cut::Idle),
                Others::Crowd => (end + self.idle_in_a_crowd, Cut::Crowd),
            }),
        };
        // Numbers and times grow together: the first one that has a time has the earliest.
        let slow = state
            .running
            .values()
            .find_map(|due| *due)
            .map(|due| (due, Cut::SlowRequest));
        let age = (self.age_ends, Cut::Age);
        quiet.into_iter().chain(slow).fold(
            age,
            |first, other| if other.0 < first.0 { other } else { first },
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.running.remove(&self.number);
        state.quiet = Quiet::SinceARequest(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_by_what_goes_on() {
        let limits = ConnectionLimits::default();
        let start = Instant::now();
        let activity = Activity::new(&limits, start);
        assert_eq!(
            activity.end(Others::Few),
            (start + limits.first_request, Cut::Idle)
        );

        let stream = activity.begin(true, start);
        assert_eq!(
            activity.end(Others::Few),
            (start + limits.age, Cut::Age),
            "a stream may take its time"
        );

        let unary = activity.begin(false, start);
        let due = start + limits.request + limits.drain;
        assert_eq!(activity.end(Others::Few), (due, Cut::SlowRequest));
        let second = activity.begin(false, start + Duration::from_secs(1));
        drop(unary);
        assert_eq!(
            activity.end(Others::Few),
            (due + Duration::from_secs(1), Cut::SlowRequest)
        );

        tokio::time::advance(Duration::from_secs(2)).await;
        drop((stream, second));
        let now = Instant::now();
        assert_eq!(activity.end(Others::Few), (now + limits.idle, Cut::Idle));
        let soon = now + limits.idle_in_a_crowd;
        assert_eq!(activity.end(Others::Crowd), (soon, Cut::Crowd));
    }
}
