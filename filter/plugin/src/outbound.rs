//! A request to another service.

use credence_enforce::{Flow, Leave, Outbound, Reason, Refusal};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use crate::{
    answer::{Answer, send},
    facts::Host,
    host,
    root::{Log, Role, Shared, Stage},
    vm,
};

/// Envoy's list of the names that an upstream's certificate may have.
const PIN: &str = "envoy.network.upstream_subject_alt_names";

pub(crate) struct Request {
    role: Shared,
    stage: Stage,
    leave: Option<Leave>,
    is_response_refused: bool,
}

impl Request {
    pub(crate) fn new(role: Shared) -> Self {
        Self {
            role,
            stage: Stage::Unjudged,
            leave: None,
            is_response_refused: false,
        }
    }

    fn judge(&self) -> Result<Leave, Answer> {
        self.with(|outbound, log| {
            let leave = outbound.check(&mut Host).and_then(|leave| {
                leave.pin().map_or(Ok(()), pin)?;
                Ok(leave)
            });
            let (note, reason) = match &leave {
                Ok(leave) => (leave.note(), leave.reason()),
                Err(refusal) => (refusal.note(), refusal.reason()),
            };
            vm::with(|worker| outbound.count(worker, reason));
            log.tell(&note);
            leave
        })
    }

    fn judge_response(&self, leave: &Leave) -> Result<(), Answer> {
        self.with(|outbound, log| {
            let judged = vm::with(|worker| outbound.on_response(worker, leave, &mut Host));
            let judged = judged.unwrap_or_else(|| Err(Refusal::new(Reason::HostFailure)));
            match &judged {
                Ok(note) => note.iter().for_each(|note| {
                    log.tell(note);
                }),
                Err(refusal) => {
                    vm::with(|worker| outbound.count(worker, refusal.reason()));
                    log.tell(&refusal.note());
                }
            }
            judged.map(|_| ())
        })
    }

    fn with<R>(
        &self,
        work: impl FnOnce(&mut Outbound, Log) -> Result<R, Refusal>,
    ) -> Result<R, Answer> {
        let Ok(mut role) = self.role.try_borrow_mut() else {
            return Err(Answer::forbidden(Refusal::new(Reason::HostFailure)));
        };
        let Role::Outbound { outbound, log } = &mut *role else {
            vm::with(|worker| worker.count(Flow::Outbound, Reason::NotConfigured));
            return Err(Answer::forbidden(Refusal::new(Reason::NotConfigured)));
        };
        work(outbound, *log).map_err(|refusal| Answer {
            status: Outbound::status(&refusal),
            refusal,
            drains: false,
        })
    }
}

/// Holds Envoy to these names at the handshake with the server: on any other the request goes nowhere. The
/// argument is a protobuf message; without its third field the pin lasts as long as the request's filter chain.
fn pin(names: &str) -> Result<(), Refusal> {
    let mut arguments = Vec::new();
    for (field, text) in [(1_u8, PIN), (2, names)] {
        arguments.push(field << 3 | 2);
        put_length(&mut arguments, text.len());
        arguments.extend_from_slice(text.as_bytes());
    }
    host::call_foreign("set_envoy_filter_state", &arguments)
        .map_err(|_| Refusal::new(Reason::HostFailure))
}

/// As protobuf's variable-length integers: seven bits in a byte, the lowest first.
fn put_length(to: &mut Vec<u8>, mut length: usize) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        let more = if length == 0 { 0 } else { 0x80 };
        to.push(low & 0x7f | more);
        if length == 0 {
            return;
        }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.stage = match self.judge() {
            Ok(leave) => {
                self.leave = Some(leave);
                Stage::Admitted
            }
            Err(answer) => send(&answer),
        };
        self.stage.action()
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.stage.action()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.stage.action()
    }

    /// Our own answers come through here too: they belong to no leave.
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(leave) = &self.leave else {
            return Action::Continue;
        };
        if self.is_response_refused {
            return Action::Continue;
        }
        match self.judge_response(leave) {
            Ok(()) => Action::Continue,
            Err(answer) => {
                self.is_response_refused = true;
                send(&answer);
                Action::Pause
            }
        }
    }
}
