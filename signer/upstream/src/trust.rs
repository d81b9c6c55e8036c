//! Whom a connection is made to: the trust domain's roots as they are served now, and before the first bundle what the configuration says.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence_attest::join::RootPin;
use sha2::{Digest, Sha256};

use crate::answer;
use crate::proof::JoinTokenFile;

/// The longest file of roots in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// What is trusted before there is a bundle.
#[derive(Clone)]
pub enum FirstTrust {
    /// The roots in a PEM file.
    File(PathBuf),
    /// The root whose SHA-256 the join token has. The CA sends it along in its handshake.
    JoinToken(JoinTokenFile),
    /// Nothing: for a Unix socket, where there is no TLS.
    None,
}

/// Why nothing is trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTrust {
    #[error("the CA's roots in {} cannot be read: {source}", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the CA's roots in {} cannot be used: {why}", .path.display())]
    Roots { path: PathBuf, why: String },
    #[error("{0}")]
    Token(String),
    #[error("nothing says which CA is the right one")]
    Nothing,
}

/// What a certificate has to lead to.
#[derive(Clone)]
pub(crate) enum Anchor {
    Roots(Arc<Vec<Vec<u8>>>),
    Pin(RootPin),
}

/// The present trust of one upstream.
pub struct Trust {
    first: FirstTrust,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    bundle: Option<Arc<Vec<Vec<u8>>>>,
    /// What the first trust was when it was looked at last, and before a bundle took its place: the same never counts again, something else
    /// is the operator's newer word.
    outlived: Option<[u8; 32]>,
}

impl Trust {
    /// Begins with this.
    #[must_use]
    pub fn new(first: FirstTrust) -> Self {
        Self {
            first,
            now: Mutex::default(),
        }
    }

    /// From now on these roots count, DER.
    pub(crate) fn replace(&self, roots: &[Vec<u8>]) {
        let first = self.first.read().ok().map(|(_, print)| print);
        let mut now = self.lock();
        if now.bundle.is_none() {
            // a join token that was used up cannot be read any more, and was looked at before
            now.outlived = first.or(now.outlived);
        }
        now.bundle = Some(Arc::new(roots.to_vec()));
    }

    /// What counts now: the bundle; and what the configuration says, before there is one or where it has changed since.
    pub(crate) fn anchors(&self) -> Result<Vec<Anchor>, NoTrust> {
        let (bundle, outlived) = {
            let now = self.lock();
            (now.bundle.clone(), now.outlived)
        };
        let Some(bundle) = bundle else {
            let (anchor, print) = self.first.read()?;
            self.lock().outlived = Some(print);
            return Ok(vec![anchor]);
        };
        let mut anchors = vec![Anchor::Roots(bundle)];
        if let Ok((anchor, print)) = self.first.read()
            && outlived != Some(print)
        {
            anchors.push(anchor);
        }
        Ok(anchors)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(..)")
    }
}

impl FirstTrust {
    /// What it is now, and what tells it from what it is another time.
    fn read(&self) -> Result<(Anchor, [u8; 32]), NoTrust> {
        match self {
            Self::File(path) => {
                let text = read(path).map_err(|source| NoTrust::File {
                    path: path.clone(),
                    source,
                })?;
                let why = |why: String| NoTrust::Roots {
                    path: path.clone(),
                    why,
                };
                let roots = answer::bundle(&text).map_err(|error| why(error.to_string()))?;
                if roots.is_empty() {
                    return Err(why("there is no certificate in it".to_owned()));
                }
                let print = Sha256::digest(text.as_bytes()).into();
                Ok((Anchor::Roots(Arc::new(roots)), print))
            }
            Self::JoinToken(file) => {
                let (text, token) = file
                    .token()
                    .map_err(|error| NoTrust::Token(error.to_string()))?;
                let print = Sha256::digest(text.as_bytes()).into();
                Ok((Anchor::Pin(token.root_pin()), print))
            }
            Self::None => Err(NoTrust::Nothing),
        }
    }
}

fn read(path: &PathBuf) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?
        .take(LONGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if length as u64 > LONGEST_FILE {
        return Err(io::Error::other("the file is too long for roots"));
    }
    Ok(text)
}
