//! Steps are put on record.

use super::Worker;
use crate::{
    book::Unrecorded,
    lifecycle::{LifecycleError, begin::Parts},
};
use credence_ca::lifecycle::{Cause, CertificateId, Change, Event, Step};
use credence_ledger::{
    entry::{By, Event as Recorded, Kind, Lifecycle as Entry},
    sqlite::Query,
};

impl Worker {
    pub(super) fn record(&mut self, step: &Step, by: Option<&By>) -> Result<Event, LifecycleError> {
        if step.number > self.recorded {
            let entry = entry(step, by.cloned().unwrap_or(By::Itself));
            tracing::info!(
                step = step.number,
                what = entry.step,
                about = entry.about,
                "lifecycle"
            );
            self.parts.book.event_blocking(entry)?;
            self.recorded = step.number;
        }
        Ok(Event::Recorded {
            through: step.number,
        })
    }
}

/// Numbers the steps, so that one that is there is not written twice.
fn entry(step: &Step, by: By) -> Entry {
    let (name, about) = words(&step.change);
    let (forced, cause) = match &step.cause {
        Cause::Itself => (Vec::new(), "by itself"),
        Cause::Ordered => (Vec::new(), "on order"),
        Cause::Forced(gates) => (gates.clone(), "by force"),
        Cause::ActiveEnded => (Vec::new(), "the active chain had ended"),
    };
    Entry {
        step: name,
        about,
        by,
        forced,
        detail: format!("step {} at {}, {cause}", step.number, step.at),
    }
}

fn number(detail: &str) -> Option<u64> {
    detail
        .strip_prefix("step ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

fn words(change: &Change) -> (String, String) {
    let named = |id: &Option<CertificateId>| {
        id.map_or_else(|| "not made yet".to_owned(), |id| id.to_string())
    };
    let both = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    match change {
        Change::Root { id, phase } => (format!("root {phase}"), named(id)),
        Change::Issuer { id, phase } => (format!("issuer {phase}"), named(id)),
        Change::RootKey(place) => (
            format!("root key {place:?}").to_lowercase(),
            "active root".into(),
        ),
        Change::Configured => both("configured", "settings"),
        Change::Quiet(why) => (format!("quiet: {why}"), "gates".into()),
        Change::ClockInDoubt(jump) => (format!("clock in doubt: {jump}"), "clock".into()),
        Change::ClockBelieved => both("clock believed", "clock"),
        Change::VerifierRegistered(name) => both("verifier registered", name),
        Change::VerifierRemoved(name) => both("verifier removed", name),
        Change::Restarted(identity) => both("restarted", identity),
    }
}

/// The last one that is there.
pub(super) fn last_step(parts: &Parts) -> Result<u64, LifecycleError> {
    let query = Query {
        limit: 100,
        ..Query::kind(Kind::LIFECYCLE)
    };
    let reader = parts.book.reader().map_err(Unrecorded::from)?;
    let page = reader.list(&query).map_err(Unrecorded::from)?;
    let steps = page
        .records
        .iter()
        .filter_map(|record| match &record.entry.event {
            Recorded::Lifecycle(entry) => number(&entry.detail),
            _ => None,
        });
    Ok(steps.max().unwrap_or_default())
}
