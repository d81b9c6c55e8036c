//! HTTP/1.1, one request a connection: what monitors and bundle readers ask for is small and rare.

mod loopback;
mod page;
mod serve;

pub use loopback::{Loopback, LoopbackError};
pub use page::Page;
pub use serve::{Asked, HttpLimits, HttpListener, Pages};
