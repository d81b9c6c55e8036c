//! What a test logs, from `TRACE` up.
//!
//! One subscriber for the whole process, which keeps the lines of each thread apart: tracing remembers for each place in the
//! code whether anybody listens, and with a subscriber for one thread only, another thread can make it remember "nobody".

use std::cell::RefCell;
use std::io::{Result, Write};
use std::sync::Once;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Forgets what this thread has logged so far.
pub(crate) fn start() {
    LOGGED.take();
}

/// Listens from now on. Every test does, so that none makes tracing remember that nobody does.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| ThisThread)
            .init();
    });
}

/// The lines that this thread logged.
pub(crate) fn lines() -> Vec<String> {
    let text = LOGGED.with_borrow(|logged| String::from_utf8_lossy(logged).into_owned());
    text.lines().map(str::to_owned).collect()
}
