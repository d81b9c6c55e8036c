//! What a look at files has found, and whether it is to be served.

use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::content::{self, Content, Fault, Pair};
use super::folders::{Folders, ReadError};
use super::name::Source;

/// Watches the files of one source. Nothing here waits: whoever runs it looks once a second.
#[derive(Debug)]
pub struct Watch {
    source: Source,
    /// What is served.
    served: Option<Mark>,
    /// What the last look has found.
    last: Option<Mark>,
    /// What was told to be bad.
    told: Option<String>,
}

/// What a look has found.
#[derive(Debug)]
pub enum Seen {
    /// Nothing new: what is served already, something that is not settled yet, or a fault that was told.
    Unchanged,
    /// Something new and good. It is what is served from now on.
    Changed(Content),
    /// Something that is not served. What was served goes on; the files are looked at again.
    Bad(Why),
}

/// Why files are not served.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// They cannot be read.
    #[error(transparent)]
    Unread(#[from] ReadError),
    /// What stands in them is not good.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Tells contents apart without keeping a key.
type Mark = [u8; 32];

impl Watch {
    /// Nothing is looked at yet.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source,
            served: None,
            last: None,
            told: None,
        }
    }

    /// What is watched.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether the files, as they are now, are not served.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.told.is_some()
    }

    /// Looks once. Blocks for as long as the file system does.
    pub fn look(&mut self, folders: &Folders, now: SystemTime) -> Seen {
        let files = match self.read(folders) {
            Ok(files) => files,
            Err(why) => {
                self.last = None;
                return self.tell(why.into());
            }
        };
        let mark = files.mark();
        if self.served == Some(mark) {
            (self.last, self.told) = (Some(mark), None);
            return Seen::Unchanged;
        }
        let settled = self.last == Some(mark);
        self.last = Some(mark);
        if !settled {
            return Seen::Unchanged;
        }
        match files.parse(now) {
            Ok(content) => {
                (self.served, self.told) = (Some(mark), None);
                Seen::Changed(content)
            }
            Err(fault) => self.tell(fault.into()),
        }
    }

    /// Once for each fault, until it is another or gone.
    fn tell(&mut self, why: Why) -> Seen {
        let words = why.to_string();
        if self.told.as_ref() == Some(&words) {
            return Seen::Unchanged;
        }
        self.told = Some(words);
        Seen::Bad(why)
    }

    fn read(&self, folders: &Folders) -> Result<Files, ReadError> {
        match &self.source {
            Source::Pair { certificate, key } => Ok(Files::Pair {
                certificate: folders.read(certificate)?,
                key: folders.read(key)?,
            }),
            Source::Roots(path) => folders.read(path).map(Files::Roots),
        }
    }
}

/// What a look has read.
enum Files {
    Pair {
        certificate: Zeroizing<Vec<u8>>,
        key: Zeroizing<Vec<u8>>,
    },
    Roots(Zeroizing<Vec<u8>>),
}

impl Files {
    fn mark(&self) -> Mark {
        let mut hash = Sha256::new();
        let mut take = |file: &[u8]| {
            hash.update((file.len() as u64).to_be_bytes());
            hash.update(file);
        };
        match self {
            Self::Pair { certificate, key } => {
                take(certificate);
                take(key);
            }
            Self::Roots(roots) => take(roots),
        }
        hash.finalize().into()
    }

    fn parse(&self, now: SystemTime) -> Result<Content, Fault> {
        match self {
            Self::Pair { certificate, key } => {
                Pair::parse(certificate, key, now).map(Content::Pair)
            }
            Self::Roots(roots) => content::roots(roots).map(Content::Roots),
        }
    }
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
