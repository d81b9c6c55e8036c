//! A file that is read again when it has changed.
//!
//! A change that cannot be used is logged and the last good content stays; where there never was a good one,
//! asking for it fails.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use thiserror::Error;
use tokio::{fs::File, io::AsyncReadExt as _};

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {why}", .path.display())]
pub(crate) struct FileFault {
    path: PathBuf,
    why: String,
}

/// Which content a file had: another file, or another content of the same, has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

type Parse<T> = fn(&[u8]) -> Result<T, String>;

pub(crate) struct Watched<T> {
    path: PathBuf,
    longest: u64,
    parse: Parse<T>,
    seen: Mutex<Seen<T>>,
}

struct Seen<T> {
    stamp: Option<Stamp>,
    good: Option<Arc<T>>,
    fault: Option<String>,
    /// When somebody looked who said when, by the steady clock.
    looked: Option<Duration>,
}

impl<T> Watched<T> {
    /// A file of at most `longest` octets. It is not looked at yet.
    pub(crate) fn new(path: PathBuf, longest: u64, parse: Parse<T>) -> Self {
        Self {
            path,
            longest,
            parse,
            seen: Mutex::new(Seen {
                stamp: None,
                good: None,
                fault: None,
                looked: None,
            }),
        }
    }

    /// What stood in the file when it was last looked at, if that is not longer ago than `within`; otherwise as [`Watched::get`]. `now`
    /// is by the steady clock. A look takes a thread of its own, which costs more than what most callers do with the content.
    pub(crate) async fn get_lately(
        &self,
        now: Duration,
        within: Duration,
    ) -> Result<Arc<T>, FileFault> {
        if let Some(good) = self.looked_at(now, within) {
            return Ok(good);
        }
        let good = self.get().await?;
        self.lock().looked = Some(now);
        Ok(good)
    }

    fn looked_at(&self, now: Duration, within: Duration) -> Option<Arc<T>> {
        let seen = self.lock();
        let lately = seen
            .looked
            .is_some_and(|at| now < at.saturating_add(within));
        seen.good.clone().filter(|_| lately)
    }

    /// What stands in the file now, or last stood there and could be used.
    pub(crate) async fn get(&self) -> Result<Arc<T>, FileFault> {
        let stamp = tokio::fs::metadata(&self.path)
            .await
            .map(|metadata| Stamp::of(&metadata));
        if let Ok(stamp) = stamp
            && let Some(good) = self.unchanged(stamp)
        {
            return Ok(good);
        }
        let read = self.read().await;
        self.take(read)
    }

    fn unchanged(&self, stamp: Stamp) -> Option<Arc<T>> {
        let seen = self.lock();
        seen.good.clone().filter(|_| seen.stamp == Some(stamp))
    }

    /// The stamp is taken before the content, so that a change while it is read is seen the next time.
    async fn read(&self) -> io::Result<(Stamp, Vec<u8>)> {
        let file = File::open(&self.path).await?;
        let stamp = Stamp::of(&file.metadata().await?);
        let mut bytes = Vec::new();
        file.take(self.longest + 1).read_to_end(&mut bytes).await?;
        Ok((stamp, bytes))
    }

    fn take(&self, read: io::Result<(Stamp, Vec<u8>)>) -> Result<Arc<T>, FileFault> {
        let mut seen = self.lock();
        let parsed = match read {
            Err(error) => Err(error.to_string()),
            Ok((stamp, bytes)) => {
                seen.stamp = Some(stamp);
                self.parse(&bytes)
            }
        };
        match parsed {
            Ok(value) => {
                let value = Arc::new(value);
                seen.good = Some(Arc::clone(&value));
                seen.fault = None;
                Ok(value)
            }
            Err(why) => self.keep(&mut seen, why),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<T, String> {
        if bytes.len() as u64 > self.longest {
            return Err(format!("is longer than {} octets", self.longest));
        }
        (self.parse)(bytes)
    }

    /// The last good content goes on; each new fault is told once.
    fn keep(&self, seen: &mut Seen<T>, why: String) -> Result<Arc<T>, FileFault> {
        let fault = FileFault {
            path: self.path.clone(),
            why: why.clone(),
        };
        let known = seen.fault.replace(why) == Some(fault.why.clone());
        match &seen.good {
            None => Err(fault),
            Some(good) => {
                if !known {
                    tracing::warn!(%fault, "a changed file is refused; what it held before goes on");
                }
                Ok(Arc::clone(good))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen<T>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn number(bytes: &[u8]) -> Result<u64, String> {
        std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| "is not a number".into())
    }

    #[tokio::test]
    async fn a_change_is_taken_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        let file = Watched::new(path.clone(), 8, number);
        let missing = file.get().await.unwrap_err().to_string();
        assert!(
            missing.contains("number") && missing.contains("No such file"),
            "{missing}"
        );
        // each beside the last, then moved into its place, as Kubernetes and careful writers do
        let write = |text: &str| {
            let beside = dir.path().join("new");
            fs::write(&beside, text).unwrap();
            fs::rename(&beside, &path).unwrap();
        };
        write("bad");
        assert!(
            file.get()
                .await
                .unwrap_err()
                .to_string()
                .contains("is not a number")
        );
        write("1");
        assert_eq!(*file.get().await.unwrap(), 1);
        write("2");
        assert_eq!(*file.get().await.unwrap(), 2);
        write("x");
        assert_eq!(*file.get().await.unwrap(), 2);
        write("123456789");
        assert_eq!(*file.get().await.unwrap(), 2);
        fs::remove_file(&path).unwrap();
        assert_eq!(*file.get().await.unwrap(), 2);
        write("3");
        assert_eq!(*file.get().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn what_was_looked_at_lately_is_not_looked_at_again() {
        const SECOND: Duration = Duration::from_secs(1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        let file = Watched::new(path.clone(), 8, number);
        let at = async |millis| {
            let now = 7 * SECOND + Duration::from_millis(millis);
            file.get_lately(now, SECOND)
                .await
                .ok()
                .map(|number| *number)
        };
        assert_eq!(at(0).await, None);
        fs::write(&path, "1").unwrap();
        assert_eq!(at(0).await, Some(1), "nothing good is not kept");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "22").unwrap();
        assert_eq!(at(999).await, Some(1));
        assert_eq!(at(1000).await, Some(22));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "333").unwrap();
        assert_eq!(at(1999).await, Some(22));
        assert_eq!(*file.get().await.unwrap(), 333);
        assert_eq!(at(1999).await, Some(333), "what another one read counts");
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = Watched::new(path, 8, number);
        let first = file.get().await.unwrap();
        assert!(Arc::ptr_eq(&first, &file.get().await.unwrap()));
    }
}
