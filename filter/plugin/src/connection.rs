//! A connection of the network role.

use credence_enforce::{Bytes, ConnectionId, Speaker, Verdict};
use proxy_wasm::{
    traits::{Context, StreamContext},
    types::{Action, PeerType},
};

use crate::{
    facts::{Host, connection_id, source},
    root::{Role, Shared},
    vm,
};

pub(crate) struct Connection {
    context: u32,
    role: Shared,
    id: Option<ConnectionId>,
    is_watched: bool,
}

impl Connection {
    pub(crate) fn new(context: u32, role: Shared) -> Self {
        Self {
            context,
            role,
            id: None,
            is_watched: false,
        }
    }

    /// Whether the connection could be taken in. One that could not is held, and closed at the next sweep.
    fn open(&mut self) -> bool {
        self.id = connection_id();
        let source = source();
        let Ok(role) = self.role.try_borrow() else {
            return false;
        };
        let terms = match &*role {
            Role::Companion(terms) => *terms,
            Role::Network { network, .. } => network.terms(),
            _ => return false,
        };
        let opened = vm::with(|worker| {
            let opened = worker.open(self.context, self.id, source, terms);
            if !opened && let Role::Network { network, .. } = &*role {
                network.refuse_stray(worker, self.id.is_some());
            }
            opened
        });
        opened == Some(true)
    }

    fn flow(&self, speaker: Speaker) -> Action {
        let Some(id) = self.id.filter(|_| self.is_watched) else {
            return Action::Pause;
        };
        let Ok(mut role) = self.role.try_borrow_mut() else {
            return Action::Pause;
        };
        let (network, log) = match &mut *role {
            Role::Network { network, log } => (network, *log),
            Role::Companion(_) => return Action::Continue,
            _ => return Action::Pause,
        };
        match vm::with(|worker| network.on_bytes(worker, id, speaker, &mut Host)) {
            Some(Bytes::Flow) => Action::Continue,
            Some(Bytes::Decided(verdict)) => {
                log.tell_connection(&verdict.note());
                match verdict {
                    Verdict::Continue(_) => Action::Continue,
                    Verdict::Refuse(_) => Action::Pause,
                }
            }
            Some(Bytes::Held) | None => Action::Pause,
        }
    }

    fn end(&mut self) {
        vm::with(|worker| worker.end(self.id, self.context));
        self.is_watched = false;
    }
}

/// The host may forget a connection without saying that it was closed.
impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

impl Context for Connection {}

impl StreamContext for Connection {
    /// To pause here would hold up the handshake that the decision waits for.
    fn on_new_connection(&mut self) -> Action {
        self.is_watched = self.open();
        Action::Continue
    }

    fn on_downstream_data(&mut self, _: usize, _: bool) -> Action {
        self.flow(Speaker::Peer)
    }

    fn on_upstream_data(&mut self, _: usize, _: bool) -> Action {
        self.flow(Speaker::Server)
    }

    fn on_downstream_close(&mut self, _: PeerType) {
        self.end();
    }
}
