//! What an agent is to do: whom to keep supplied, and whom to serve where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spiffe::SpiffeId;

use crate::callers::{Callers, OneUid};
use crate::sds::{Elsewhere, Validation};
use crate::view::View;

/// An identity to keep supplied, and where its owner fetches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Who the workload is.
    pub id: SpiffeId,
    /// The Unix socket on which it is served. The folder must exist.
    pub socket: PathBuf,
    /// The uid that may connect besides root; `None` is the agent's own effective uid. Another uid takes the privilege
    /// to give the socket away.
    pub uid: Option<u32>,
    /// DNS names to ask for beside the ID. The CA refuses the whole request if it does not grant one of them.
    pub dns_names: Vec<String>,
}

/// An identity to keep supplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub id: SpiffeId,
    /// DNS names to ask for beside the ID. The CA refuses the whole request if it does not grant one of them.
    pub dns_names: Vec<String>,
}

/// Who can connect to a socket, by its file's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// This uid, whose file it becomes (0600), and root.
    Uid(u32),
    /// Every process that can enter the folder (0666).
    Everyone,
}

/// A Unix socket to serve on: SDS and the Workload API.
#[derive(Clone)]
pub struct Socket {
    /// Where it is. The folder must exist.
    pub path: PathBuf,
    /// Who can connect.
    pub access: Access,
    /// What those who connect may have.
    pub callers: Arc<dyn Callers>,
}

/// What an agent is to do.
#[derive(Clone)]
pub struct Plan {
    /// Whom to keep supplied. What callers may have and is not among these, or put on the shelf by somebody else, is never there.
    pub identities: Vec<Identity>,
    /// Where to serve.
    pub sockets: Vec<Socket>,
    /// How Envoys are told whom to trust, unless they say themselves how they want to be.
    pub validation: Validation,
    /// Where names are looked up that are neither an identity's nor a bundle's.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// What each socket takes.
    pub limits: Limits,
}

/// What one socket takes before it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once on a socket; one more is closed at once. Each takes two file descriptors.
    pub connections: usize,
    /// The same of one uid: what it cannot take is left for others.
    pub connections_per_uid: usize,
    /// Streams open at once on a socket, of either service; one more gets `RESOURCE_EXHAUSTED`.
    pub streams: usize,
    /// The same of one uid.
    pub streams_per_uid: usize,
    /// Streams open at once on a connection; HTTP/2 has a client wait that wants one more.
    pub streams_per_connection: u32,
    /// Resource names in one request, and subscribed to on one stream; more end the stream with `RESOURCE_EXHAUSTED`.
    pub names: usize,
    /// Bytes in one request. Envoy's first one lists its extensions and takes some 100 KB.
    pub message_bytes: usize,
    /// How long a stream may be open without its first request.
    pub first_request: Duration,
    /// A peer that says nothing for so long is asked whether it is there (HTTP/2 PING); one that does not answer within as long again is
    /// cut off.
    pub keepalive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            connections_per_uid: 6_144,
            streams: 16_384,
            streams_per_uid: 12_288,
            streams_per_connection: 1_024,
            names: 64,
            message_bytes: 1 << 20,
            first_request: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
        }
    }
}

impl Plan {
    /// A socket for each workload, and none that two share.
    #[must_use]
    pub fn of_workloads(workloads: Vec<Workload>, limits: Limits) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let (mut identities, mut sockets) = (Vec::new(), Vec::new());
        for workload in workloads {
            let uid = workload.uid.unwrap_or(own);
            sockets.push(Socket {
                path: workload.socket,
                access: Access::Uid(uid),
                callers: Arc::new(OneUid::new(uid, View::of(workload.id.clone()))),
            });
            identities.push(Identity {
                id: workload.id,
                dns_names: workload.dns_names,
            });
        }
        Self {
            identities,
            sockets,
            validation: Validation::default(),
            elsewhere: None,
            limits,
        }
    }
}
