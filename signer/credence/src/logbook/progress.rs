//! How far it is, on standard error, for whoever waits.

use credence_ledger::port::Clock;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// The clock is not asked at each entry.
const EACH: u64 = 256;

/// On the way through a record.
pub(super) struct Progress<C> {
    clock: C,
    first: u64,
    last: u64,
    /// Between lines.
    step: Duration,
    /// When the next line is due.
    next: Duration,
    on_terminal: bool,
    shown: bool,
}

impl<C: Clock> Progress<C> {
    /// From after entry `first` to entry `last`. Who looks on sees something each second; a log, four times a
    /// minute.
    pub(super) fn new(clock: C, first: u64, last: u64) -> Self {
        let on_terminal = io::stderr().is_terminal();
        let step = Duration::from_secs(if on_terminal { 1 } else { 15 });
        Self {
            next: clock.elapsed().saturating_add(step),
            clock,
            first,
            last,
            step,
            on_terminal,
            shown: false,
        }
    }

    /// At this entry.
    pub(super) fn at(&mut self, seq: u64) {
        if let Some(text) = self.line(seq) {
            let (start, end) = if self.on_terminal {
                ("\r", "")
            } else {
                ("", "\n")
            };
            let mut err = io::stderr().lock();
            // nobody is there to be told that nobody is told
            drop(write!(err, "{start}{text}{end}").and_then(|()| err.flush()));
            self.shown = true;
        }
    }

    /// What there is to say, if it is time to.
    fn line(&mut self, seq: u64) -> Option<String> {
        if !seq.is_multiple_of(EACH) {
            return None;
        }
        let now = self.clock.elapsed();
        if now < self.next {
            return None;
        }
        self.next = now.saturating_add(self.step);
        let all = self.last.saturating_sub(self.first).max(1);
        let percent = seq.saturating_sub(self.first).saturating_mul(100) / all;
        let last = self.last;
        Some(format!(
            "credence: verified up to entry {seq} of {last}, {percent} %"
        ))
    }

    /// The end of what it said, if it said something.
    pub(super) fn end(&self) {
        if self.shown && self.on_terminal {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_ca::validity::Time;
    use std::sync::atomic::AtomicU64;

    /// A second passes with each question.
    #[derive(Default)]
    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn wall(&self) -> Time {
            Time::EPOCH
        }

        fn elapsed(&self) -> Duration {
            let seconds = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Duration::from_secs(seconds)
        }
    }

    #[test]
    fn whoever_waits_is_told_now_and_then() {
        let mut progress = Progress::new(Ticking::default(), 1000, 101_000);
        progress.step = Duration::from_secs(15);
        progress.next = progress.step;
        let lines: Vec<_> = (1001..=101_000)
            .filter_map(|seq| progress.line(seq))
            .collect();
        // 391 questions, a second each
        assert_eq!(lines.len(), 26, "{lines:?}");
        assert_eq!(
            lines[0],
            "credence: verified up to entry 4608 of 101000, 3 %"
        );
    }
}
