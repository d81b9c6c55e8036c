//! Files that are read again when they change.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Which content a file has: another file, or another content of the same, has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let of = fs::metadata(path).ok()?;
        Some(Self {
            inode: (of.dev(), of.ino()),
            size: of.len(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        })
    }
}

/// Looks at the files every `interval`, and reads them again when one has changed; once at the start too, since what changed after
/// they were read for the first time is not known. What cannot be used is logged for each change. Runs until it is dropped.
pub(crate) async fn follow<E: fmt::Display + Send + 'static>(
    paths: Vec<PathBuf>,
    interval: Duration,
    reload: impl Fn() -> Result<(), E> + Send + Sync + 'static,
) {
    let reload = Arc::new(reload);
    let mut seen = None;
    loop {
        let now: Vec<_> = paths.iter().map(|path| Stamp::of(path)).collect();
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            let reload = Arc::clone(&reload);
            match tokio::task::spawn_blocking(move || reload()).await {
                Ok(Ok(())) => tracing::info!(?paths, "files were read again"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "changed files are refused; what they held before goes on");
                }
                Err(error) => tracing::error!(%error, ?paths, "files could not be read again"),
            }
        }
        tokio::time::sleep(interval).await;
    }
}
