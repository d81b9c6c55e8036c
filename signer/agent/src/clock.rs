//! The wall clock as a parameter.

use std::time::SystemTime;

/// Tells the time of day, which certificates are valid by.
///
/// Waiting goes by tokio's monotonic clock; nothing in this crate reads the machine's clock itself.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}
