//! Requests, connections and calls, from their beginning to their end.

use super::{Connection, Root, Trap, Vm};
use crate::{
    request::{Action, CONNECTION, Downstream, Outcome, Properties, Request},
    script::{ContextState, Headers},
};

impl Vm {
    /// Runs one request to its end.
    ///
    /// # Panics
    /// If the module traps.
    pub fn request(&mut self, request: &Request) -> Outcome {
        match self.try_request(request) {
            Ok(outcome) => outcome,
            Err(trap) => panic!("{trap}\n{:?}", self.script().logs),
        }
    }

    /// Runs one request to its end, under the first root.
    ///
    /// # Errors
    /// If the module traps.
    pub fn try_request(&mut self, request: &Request) -> Result<Outcome, Trap> {
        let root = *self.roots.first().expect("a root");
        self.try_request_of(root, request)
    }

    /// Runs one request to its end, under this root.
    ///
    /// # Errors
    /// If the module traps.
    pub fn try_request_of(&mut self, root: Root, request: &Request) -> Result<Outcome, Trap> {
        let id = self.stream(request);
        self.callback::<_, ()>("proxy_on_context_create", id, (id, root.0))?;
        let count = u32::try_from(request.headers.len()).unwrap_or(u32::MAX);
        let mut actions = vec![self.act("proxy_on_request_headers", id, (id, count, 0))?];
        if !self.is_answered(id) {
            actions.push(self.act("proxy_on_request_body", id, (id, 10, 0))?);
        }
        if !self.is_answered(id) {
            actions.push(self.act("proxy_on_request_trailers", id, (id, 1))?);
        }
        let on_response = self.respond(id, &request.on_response)?;
        self.callback::<_, u32>("proxy_on_done", id, (id,))?;
        self.callback::<_, ()>("proxy_on_log", id, (id,))?;
        self.callback::<_, ()>("proxy_on_delete", id, (id,))?;
        let state = self.store.data_mut().contexts.remove(&id);
        Ok(Outcome::new(
            actions,
            on_response,
            state.unwrap_or_default(),
        ))
    }

    /// The context of a request, on the connection that it names or on a new one.
    fn stream(&mut self, request: &Request) -> u32 {
        let mut properties = request.properties.clone();
        if request.has_no_connection {
            properties.remove(CONNECTION);
        } else if !properties.contains_key(CONNECTION) {
            self.next_connection += 1;
            let number = self.next_connection.to_le_bytes();
            properties.insert(CONNECTION.to_vec(), number.to_vec());
        }
        self.context(ContextState {
            properties,
            headers: request.headers.clone(),
            ..ContextState::default()
        })
    }

    /// The response's headers, the server's or those of the module's own answer.
    fn respond(&mut self, id: u32, properties: &Properties) -> Result<Option<Action>, Trap> {
        if let Some(state) = self.script_mut().contexts.get_mut(&id)
            && state.response.is_none()
        {
            state.properties.extend(properties.clone());
        }
        if !self.script().granted.contains("proxy_on_response_headers") {
            return Ok(None);
        }
        let action = self.act("proxy_on_response_headers", id, (id, 1, 0))?;
        Ok(Some(action))
    }

    fn is_answered(&self, id: u32) -> bool {
        let state = self.script().contexts.get(&id);
        state.is_some_and(|state| state.response.is_some())
    }

    /// A new connection of a network role.
    ///
    /// # Panics
    /// If the module traps.
    pub fn connect(&mut self, root: Root, downstream: &Downstream) -> Connection {
        match self.try_connect(root, downstream) {
            Ok((connection, action)) => {
                assert_eq!(action, Action::Continue, "the handshake has to go on");
                connection
            }
            Err(trap) => panic!("{trap}"),
        }
    }

    /// A new connection of a network role.
    ///
    /// # Errors
    /// If the module traps.
    pub fn try_connect(
        &mut self,
        root: Root,
        downstream: &Downstream,
    ) -> Result<(Connection, Action), Trap> {
        let id = self.context(ContextState {
            properties: downstream.properties.clone(),
            ..ContextState::default()
        });
        self.callback::<_, ()>("proxy_on_context_create", id, (id, root.0))?;
        let action = self.act("proxy_on_new_connection", id, (id,))?;
        Ok((Connection(id), action))
    }

    /// The handshake is over, with this certificate.
    pub fn present(&mut self, connection: Connection, downstream: &Downstream) {
        if let Some(state) = self.script_mut().contexts.get_mut(&connection.0) {
            state.properties.extend(downstream.properties.clone());
        }
    }

    /// Bytes from the peer.
    ///
    /// # Errors
    /// If the module traps.
    pub fn peer_sends(&mut self, connection: Connection) -> Result<Action, Trap> {
        let id = connection.0;
        self.act("proxy_on_downstream_data", id, (id, 10, 0))
    }

    /// Bytes from the server behind.
    ///
    /// # Errors
    /// If the module traps.
    pub fn server_sends(&mut self, connection: Connection) -> Result<Action, Trap> {
        let id = connection.0;
        self.act("proxy_on_upstream_data", id, (id, 10, 0))
    }

    /// The peer hangs up.
    ///
    /// # Panics
    /// If the module traps.
    pub fn disconnect(&mut self, connection: Connection) {
        self.end(connection.0).expect("no trap");
    }

    /// Whether there still is such a connection.
    #[must_use]
    pub fn is_open(&self, connection: Connection) -> bool {
        self.script().contexts.contains_key(&connection.0)
    }

    /// What there is of a connection.
    #[must_use]
    pub fn state(&self, connection: Connection) -> Option<&ContextState> {
        self.script().contexts.get(&connection.0)
    }

    /// The response to a call that the first root made.
    ///
    /// # Errors
    /// If the module traps.
    pub fn answer_call(&mut self, token: u32, headers: Headers, body: &[u8]) -> Result<(), Trap> {
        let root = self.roots.first().expect("a root").0;
        let counts = (headers.len(), body.len());
        self.script_mut().call_response = (headers, body.to_vec());
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let with = (root, token, count(counts.0), count(counts.1), 0);
        self.callback::<_, ()>("proxy_on_http_call_response", root, with)?;
        Ok(())
    }
}
