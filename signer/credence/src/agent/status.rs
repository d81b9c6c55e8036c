//! The status socket: whoever connects is sent the agent's standing, JSON, and that is all.

use super::{gather::Insight, run::read_config, show, standing::Standing};
use crate::{cli::AgentStatusArguments, failure::Failure};
use credence_agent::{BoundSocket, SocketError, SocketFile};
use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt as _, net::UnixListener, sync::Semaphore, time::timeout};

/// Answers at once.
const AT_ONCE: usize = 8;
/// How long an answer may take to be sent, or to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in octets: some hundred kilobytes for a thousand identities.
const LONGEST_ANSWER: u64 = 64 << 20;

/// The socket, mode 0600. It is removed when this is dropped.
pub(super) struct StatusSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl StatusSocket {
    /// Makes the socket, in the place of one that a crash left.
    pub(super) fn bind(path: &Path) -> Result<Self, Failure> {
        let own = rustix::process::geteuid().as_raw();
        let bound = BoundSocket::bind(path, own).map_err(|e| Failure::Agent(e.into()))?;
        let (listener, file) = bound.into_parts();
        let failed = |source| SocketError::Io {
            path: path.to_path_buf(),
            attempt: "waiting for connections",
            source,
        };
        Ok(Self {
            listener: UnixListener::from_std(listener)
                .map_err(|e| Failure::Agent(failed(e).into()))?,
            _file: file,
        })
    }

    /// Serves for ever.
    pub(super) async fn run(self, insight: Arc<Insight>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match self.listener.accept().await {
                Ok((mut stream, _)) => {
                    let insight = Arc::clone(&insight);
                    tokio::spawn(async move {
                        let _place = place;
                        let text = serde_json::to_vec(&insight.standing()).unwrap_or_default();
                        let _ = timeout(PATIENCE, stream.write_all(&text)).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody could be told how the agent is doing");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// `credence agent status`
pub(super) fn show(arguments: &AgentStatusArguments) -> Result<(), Failure> {
    let socket = match (&arguments.socket, &arguments.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(config)) => read_config(config)?.status_socket,
        (None, None) => return Err(Failure::Usage("name the agent's --config or its --socket")),
    };
    let (text, standing) = ask(&socket)?;
    let told = match arguments.json {
        true => text + "\n",
        false => show::table(&standing),
    };
    io::Write::write_all(&mut io::stdout(), told.as_bytes()).map_err(Failure::Output)
}

fn ask(path: &Path) -> Result<(String, Standing), Failure> {
    let unanswered = |source| Failure::NoAgent(path.to_path_buf(), source);
    let stream = UnixStream::connect(path).map_err(unanswered)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(unanswered)?;
    let mut text = String::new();
    stream
        .take(LONGEST_ANSWER)
        .read_to_string(&mut text)
        .map_err(unanswered)?;
    let standing = serde_json::from_str(&text).map_err(|e| unanswered(e.into()))?;
    Ok((text, standing))
}
