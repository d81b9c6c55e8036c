//! The socket.

use super::{
    handle::handle,
    protocol::{Answer, LONGEST_REQUEST, Request},
};
use crate::operator::Operator;
use std::{
    fs,
    future::Future,
    io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as StdStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

/// Requests at once.
const AT_ONCE: usize = 8;
/// How long a request may take to arrive, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the socket cannot be had.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The system.
    #[error("the administration socket {} cannot be {action}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Somebody answers there.
    #[error("the administration socket {} is in use", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{} is not a socket: it is left alone", .0.display())]
    NotASocket(PathBuf),
}

/// The administration socket. It is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Makes the socket, mode 0600, in the place of one that a crash left.
    ///
    /// # Errors
    /// If it cannot be made, or somebody answers there.
    pub fn bind(path: &Path) -> Result<Self, AdminError> {
        clear(path)?;
        let failed = |action| {
            let path = path.to_path_buf();
            move |source| AdminError::Io {
                path,
                action,
                source,
            }
        };
        // nobody can connect between bind and chmod where the folder is ours alone, which the state folder is; elsewhere the umask has to do
        let listener = UnixListener::bind(path).map_err(failed("made"))?;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, mode).map_err(failed("closed to others"))?;
        Ok(Self {
            listener,
            path: path.to_path_buf(),
        })
    }

    /// Serves until `shutdown` resolves. Orders under way are waited for.
    pub async fn run(self, operator: Operator, shutdown: impl Future<Output = ()> + Send) {
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = self.accept(&operator, &mut tasks) => {}
            () = shutdown => {}
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn accept(&self, operator: &Operator, tasks: &mut JoinSet<()>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            while tasks.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let operator = operator.clone();
                    tasks.spawn(async move {
                        let _place = place;
                        if let Err(error) = serve(stream, &operator).await {
                            tracing::debug!(%error, "an administration request ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no administration connection could be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(stream: UnixStream, operator: &Operator) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reading, mut writing) = stream.into_split();
    let longest = u64::try_from(LONGEST_REQUEST).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut bounded = BufReader::new(reading).take(longest);
    let read = timeout(PATIENCE, bounded.read_until(b'\n', &mut line));
    read.await.map_err(|_| io::ErrorKind::TimedOut)??;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => handle(operator, uid, request).await,
        Err(error) => Answer::Error(format!("the request cannot be read: {error}")),
    };
    let mut text = zeroize::Zeroizing::new(serde_json::to_vec(&answer)?);
    text.push(b'\n');
    let written = timeout(PATIENCE, writing.write_all(&text));
    written.await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Takes away what a crash left.
fn clear(path: &Path) -> Result<(), AdminError> {
    let failed = |action| {
        let path = path.to_path_buf();
        move |source| AdminError::Io {
            path,
            action,
            source,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("looked at")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            Err(AdminError::NotASocket(path.to_path_buf()))
        }
        Ok(_) => match StdStream::connect(path) {
            Ok(_) => Err(AdminError::InUse(path.to_path_buf())),
            Err(_) => fs::remove_file(path).map_err(failed("removed")),
        },
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
