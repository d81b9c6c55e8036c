//! A port for names whose secrets do not come from a CA: files that somebody else rotates.

use std::sync::Arc;

use tokio::sync::watch;

use super::secrets::Secret;
use crate::view::View;

/// Looks up names that are neither an identity's nor a bundle's, such as `file-cert:…`.
///
/// It is asked again whenever its changes say so, and at each change of what the CA gives. Both are synchronous: what takes time
/// was done before.
pub trait Elsewhere: Send + Sync + 'static {
    /// The secret that whoever has this view may have under this name, or nothing: that it may not have it looks the same as that there
    /// is none. While the contents are the same, so is the version.
    fn secret(&self, view: &View, name: &str) -> Option<Arc<Secret>>;

    /// Marked as changed whenever an answer may have become another one.
    fn changes(&self) -> watch::Receiver<()>;
}
