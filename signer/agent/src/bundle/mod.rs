//! The trust domain's bundle as the agent serves it: from the CA's answers, from its stream, and from a poll behind that.

mod anchors;
mod order;
mod parse;

pub(crate) use anchors::{Anchors, Hearer};
pub use order::Mark;
pub(crate) use order::{Heard, Order, Place, Source};
pub use parse::BundleError;
pub(crate) use parse::check;
