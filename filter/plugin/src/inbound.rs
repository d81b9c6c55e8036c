//! A request to this service.

use credence_enforce::{Flow, Headers, Pass, Reason, Refusal, Verdict, ports::Answer, refuse};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use crate::{
    answer::{Answer as LocalAnswer, send},
    facts::Host,
    host,
    root::{Role, Shared, Stage},
    vm,
};

const PEER: &str = "x-credence-peer";
const FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";

pub(crate) struct Request {
    role: Shared,
    stage: Stage,
}

impl Request {
    pub(crate) fn new(role: Shared) -> Self {
        let stage = Stage::Unjudged;
        Self { role, stage }
    }

    /// What stands in the way of the request; it is in the access log's hands already.
    fn judge(&self) -> Option<LocalAnswer> {
        let Ok(mut role) = self.role.try_borrow_mut() else {
            return Some(LocalAnswer::forbidden(Refusal::new(Reason::HostFailure)));
        };
        let Role::Inbound {
            inbound,
            headers,
            log,
        } = &mut *role
        else {
            vm::with(|worker| worker.count(Flow::Inbound, Reason::NotConfigured));
            return Some(LocalAnswer::forbidden(Refusal::new(Reason::NotConfigured)));
        };
        let verdict =
            vm::with(|worker| inbound.check(worker, &mut Host, |pass| set(*headers, pass)));
        let verdict = verdict.unwrap_or_else(|| refuse(Refusal::new(Reason::HostFailure)));
        log.tell_verdict(&verdict);
        match verdict {
            Verdict::Continue(_) => None,
            Verdict::Refuse(refusal) => Some(LocalAnswer {
                status: inbound.status(&refusal),
                drains: inbound.drains(&refusal),
                refusal,
            }),
        }
    }
}

/// What the application behind is told of the peer, and what it must not be told by the client.
fn set(headers: Headers, pass: &Pass) -> Answer<()> {
    if headers.remove_forwarded_client_cert {
        host::remove_request_header(FORWARDED_CLIENT_CERT)?;
    }
    match pass.peer() {
        _ if !headers.peer => {}
        Some(peer) => host::set_request_header(PEER, peer)?,
        None => host::remove_request_header(PEER)?,
    }
    Ok(())
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.stage = match self.judge() {
            None => Stage::Admitted,
            Some(answer) => send(&answer),
        };
        self.stage.action()
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.stage.action()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.stage.action()
    }
}
