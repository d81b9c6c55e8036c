//! What an archive leaves behind in the record.

use crate::entry::Event;
use credence_ca::validity::Time;

/// Whether something still depends on an entry at this time: a certificate that has not ended, a
/// revocation that may still be about one and what takes it back, a token that could still be shown.
/// What this version cannot read is kept.
#[must_use]
pub fn still_counts(event: &Event, now: Time) -> bool {
    match event {
        Event::Issued(issued) => issued.not_after >= now,
        Event::Revoked(revoked) => revoked.ends.is_none_or(|ends| ends >= now),
        Event::TokenMade(made) => made.expires >= now,
        Event::TokenUsed(used) => used.expires >= now,
        Event::CaAdded(added) => added.not_after >= now,
        // without it, its revocation would count again
        Event::Reinstated(_) | Event::Unknown(_) => true,
        Event::Refused(_)
        | Event::Lifecycle(_)
        | Event::Admin(_)
        | Event::Takeover(_)
        | Event::Restored(_)
        | Event::ModuleTaken(_)
        | Event::Archived(_) => false,
    }
}
