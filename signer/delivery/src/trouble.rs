//! What went wrong, told once.

use std::error::Error;
use std::time::SystemTime;

/// Something that goes wrong, in words, and since when it does so in these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason, with what caused it.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
}

impl Trouble {
    /// Puts a reason in the place of another. Whether it is a new one, which is to be told.
    pub(crate) fn note(slot: &mut Option<Self>, reason: &str, now: SystemTime) -> bool {
        if slot
            .as_ref()
            .is_some_and(|trouble| trouble.reason == reason)
        {
            return false;
        }
        *slot = Some(Self {
            reason: reason.to_owned(),
            since: now,
        });
        true
    }
}

/// An error and what caused it.
pub(crate) fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        let mut slot = None;
        let noted: Vec<_> = ["full", "full", "gone", "full"]
            .map(|reason| Trouble::note(&mut slot, reason, UNIX_EPOCH))
            .into();
        assert_eq!(noted, [true, false, true, true]);
    }
}
