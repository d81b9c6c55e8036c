//! The other end: what commands ask with.

use super::protocol::{Answer, LONGEST_ANSWER, Request};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest that an answer may take: orders to the lifecycle wait for keys and disks.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("{}: no CA answers there: is `credence ca run` running, and is this its administration socket?", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The connection ended in between.
    #[error("{}: the CA's answer did not come whole; whether the order was carried out is in `credence log list`", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The CA said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the CA behind this socket.
///
/// # Errors
/// If nobody answers, or the answer is a refusal.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ClientError> {
    let connect = |source| ClientError::Connect {
        path: path.to_path_buf(),
        source,
    };
    let stream = UnixStream::connect(path).map_err(connect)?;
    let broken = |source| ClientError::Broken {
        path: path.to_path_buf(),
        source,
    };
    match talk(stream, request).map_err(broken)? {
        Answer::Error(why) => Err(ClientError::Refused(why)),
        answer => Ok(answer),
    }
}

fn talk(mut stream: UnixStream, request: &Request) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let longest = u64::try_from(LONGEST_ANSWER).unwrap_or(u64::MAX);
    let mut line = Zeroizing::new(Vec::new());
    BufReader::new(stream)
        .take(longest)
        .read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}
