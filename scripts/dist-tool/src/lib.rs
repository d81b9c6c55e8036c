//! Makes a release folder, and checks one.
//!
//! The same commit makes the same bytes: nothing here reads a clock, and what stands in an archive is sorted, root's, and of the
//! commit's time.

pub mod archive;
pub mod check;
pub mod files;
pub mod layout;
pub mod oci;
pub mod release;
pub mod sbom;
pub mod sums;
pub mod tree;

use anyhow::{Context, Result};
use std::path::Path;

/// The workspace's folder.
///
/// # Errors
/// Never, unless this crate is moved.
pub fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("scripts/dist-tool is not two folders below the workspace")
}

/// The version that is packed.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
