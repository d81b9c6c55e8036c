//! The socket.

use super::{
    handle::handle,
    protocol::{Answer, LONGEST_REQUEST, Request},
};
use crate::operator::Operator;
use credence_agent::{BoundSocket, SocketError, SocketFile};
use std::{
    future::Future,
    io,
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
    /// It cannot be made.
    #[error("the administration socket cannot be made")]
    Socket(#[from] SocketError),
    /// It was made, and cannot be waited at.
    #[error("the administration socket {} cannot be waited at", .0.display())]
    Waiting(PathBuf, #[source] io::Error),
}

/// The administration socket. It is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl AdminSocket {
    /// Makes the socket, mode 0600 before it has a name, in the place of one that a crash left. Blocks for up to two seconds while
    /// another process makes one in the same folder.
    ///
    /// # Errors
    /// If it cannot be made, or somebody answers there.
    pub fn bind(path: &Path) -> Result<Self, AdminError> {
        let own = rustix::process::geteuid().as_raw();
        let (listener, file) = BoundSocket::bind(path, own)?.into_parts();
        let waiting = |source| AdminError::Waiting(path.to_path_buf(), source);
        Ok(Self {
            listener: UnixListener::from_std(listener).map_err(waiting)?,
            _file: file,
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
