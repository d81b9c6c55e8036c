//! One configuration of the plugin in one worker's VM.

use std::{cell::RefCell, fmt::Display, rc::Rc};

use credence_enforce::{
    AccessLog, Config, ConfigFaults, DenyList, Headers, Inbound, Network, Note, Outbound, Terms,
    Verdict, Worker, companion_terms, ports::Meters,
};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext, StreamContext},
    types::{Action, ContextType},
};

use crate::{
    connection::Connection,
    facts::{Host, now},
    host::{self, Level},
    inbound, outbound,
    own::Own,
    vm::{self, Metrics},
};

/// Milliseconds between ticks: the clock's resolution, and how long a count waits.
const TICK_MS: u32 = 250;

/// What this configuration makes of the filter; nothing is let through before there is one.
#[derive(Default)]
pub(crate) enum Role {
    #[default]
    Unconfigured,
    Inbound {
        inbound: Box<Inbound>,
        headers: Headers,
        log: Log,
    },
    Network {
        network: Box<Network>,
        log: Log,
    },
    Companion(Terms),
    Outbound {
        outbound: Box<Outbound>,
        log: Log,
    },
    Certificates(Box<Own>),
}

/// A role, shared with what it judges. Borrowed for no longer than a judgement.
pub(crate) type Shared = Rc<RefCell<Role>>;

/// What the access log is told: as filter state, one property for each part.
#[derive(Clone, Copy)]
pub(crate) struct Log(AccessLog);

impl Log {
    /// A verdict that is not told of costs nothing.
    pub(crate) fn tell_verdict(self, verdict: &Verdict) {
        if self.0 == AccessLog::All || verdict.is_remarkable() {
            self.tell(&verdict.note());
        }
    }

    /// Of a connection the peer is told in any case: it costs one call for all requests on it.
    pub(crate) fn tell_connection(self, note: &Note) {
        if !self.tell(note) {
            tell_peer(note.peer.as_deref());
        }
    }

    /// Whether it was told.
    pub(crate) fn tell(self, note: &Note) -> bool {
        let refused = !note.reason.allows() || note.would.is_some();
        if self.0 == AccessLog::Refused && !refused {
            return false;
        }
        tell_peer(note.peer.as_deref());
        tell("credence.decision", note.reason.label());
        note.rule
            .iter()
            .for_each(|rule| tell("credence.rule", rule));
        note.would
            .iter()
            .for_each(|would| tell("credence.would", would));
        true
    }
}

pub(crate) fn tell_peer(peer: Option<&str>) {
    peer.into_iter()
        .for_each(|peer| tell("credence.peer", peer));
}

/// Nothing hangs on it: a log that lacks a field is no reason to refuse.
fn tell(name: &str, value: &str) {
    let _ = host::set_property(name, value);
}

pub(crate) struct Root {
    id: u32,
    role: Shared,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            role: Shared::default(),
        }
    }

    /// The role that the configuration asks for, at work; the log says why if it cannot be.
    fn configure(&self, size: usize) -> Result<(), ()> {
        let json =
            host::plugin_configuration(size).map_err(|_| refuse(&"Envoy did not hand it over"))?;
        let config = Config::from_json(&json).map_err(|faults| report(&faults))?;
        // Without ticks nothing would ever be seen to have ended.
        host::set_tick_period(TICK_MS).map_err(|_| refuse(&"Envoy gives no ticks"))?;
        let busy = |()| refuse(&"the filter is at work with the one before");
        let role = vm::with(|worker| {
            worker.set_clock(now());
            put_to_work(config, worker)
        });
        let role = role.ok_or(()).map_err(busy)?;
        *self.role.try_borrow_mut().map_err(|_| busy(()))? = role;
        Ok(())
    }

    /// Hands over what this configuration counted.
    fn flush(&self) {
        vm::with(|worker| {
            if let Ok(mut role) = self.role.try_borrow_mut() {
                match &mut *role {
                    Role::Inbound { inbound, .. } => inbound.drain(worker),
                    Role::Network { network, .. } => network.drain(worker),
                    Role::Outbound { outbound, .. } => outbound.drain(worker),
                    Role::Unconfigured | Role::Companion(_) | Role::Certificates(_) => {}
                }
            }
            worker.flush(&mut Metrics);
        });
    }

    fn is_singleton(&self) -> bool {
        let role = self.role.try_borrow();
        role.is_ok_and(|role| matches!(*role, Role::Certificates(_)))
    }
}

fn put_to_work(config: Config, worker: &mut Worker) -> Role {
    match config {
        Config::Inbound(mut parts) => {
            take_deny_list(worker, parts.revocations.take());
            let (headers, log) = (parts.headers, Log(parts.access_log));
            let inbound = Box::new(Inbound::new(*parts, worker));
            let what = format!("inbound: policy with {} rules", inbound.rules());
            in_force(&what, Inbound::counters());
            Role::Inbound {
                inbound,
                headers,
                log,
            }
        }
        Config::Tcp(mut parts) => {
            take_deny_list(worker, parts.revocations.take());
            let log = Log(parts.access_log);
            let network = Box::new(Network::new(*parts, worker));
            let what = format!("tcp: policy with {} rules", network.rules());
            in_force(&what, Network::counters());
            Role::Network { network, log }
        }
        Config::Companion(mut parts) => {
            take_deny_list(worker, parts.revocations.take());
            in_force("tcp: watch over connections", Worker::counters());
            Role::Companion(companion_terms(&parts))
        }
        Config::Outbound(parts) => {
            let log = Log(parts.access_log);
            let outbound = Box::new(Outbound::new(*parts, worker));
            let what = format!("outbound: policy with {} servers", outbound.servers());
            in_force(&what, Outbound::counters());
            Role::Outbound { outbound, log }
        }
        Config::Certificates(parts) => Role::Certificates(Box::new(Own::new(parts))),
    }
}

/// Says so, and makes every series visible from the start; one that fails is tried again when it counts.
fn in_force(what: &str, counters: impl Iterator<Item = String>) {
    host::log(Level::Info, &format!("credence: {what} is in force"));
    for counter in counters {
        Metrics.declare(&counter);
    }
}

/// The list that the configuration brings, or a newer one that other workers have, is in force before anything
/// is judged by this configuration.
fn take_deny_list(worker: &mut Worker, list: Option<DenyList>) {
    if let Some(list) = list {
        let (number, in_force) = (list.number(), worker.deny_list().number());
        if !worker.offer_deny_list(list) && number < in_force {
            let message =
                format!("credence: revocations {number} are older than {in_force}, which stay");
            host::log(Level::Info, &message);
        }
    }
    sync_deny_list(worker);
}

fn sync_deny_list(worker: &mut Worker) {
    if worker.sync_deny_list(&mut Host) == Ok(true) {
        let number = worker.deny_list().number();
        let message = format!("credence: revocations {number} came from another worker");
        host::log(Level::Info, &message);
    }
}

fn refuse(why: &dyn Display) {
    let message = format!("credence: configuration refused: {why}");
    host::log(Level::Error, &message);
}

fn report(faults: &ConfigFaults) {
    faults.iter().for_each(|fault| refuse(fault));
    if faults.unlisted() > 0 {
        refuse(&format_args!("and {} faults more", faults.unlisted()));
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, _: usize, size: usize, _: usize) {
        if let Ok(mut role) = self.role.try_borrow_mut()
            && let Role::Certificates(own) = &mut *role
        {
            own.on_response(size);
        }
    }

    fn on_done(&mut self) -> bool {
        self.flush();
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.configure(size).is_ok()
    }

    fn on_tick(&mut self) {
        if self.is_singleton() {
            if let Ok(mut role) = self.role.try_borrow_mut()
                && let Role::Certificates(own) = &mut *role
            {
                own.on_tick();
            }
            return;
        }
        vm::with(|worker| {
            worker.set_clock(now());
            sync_deny_list(worker);
        });
        sweep(self.id);
        vm::with(|worker| {
            // What fails is done at the next tick.
            let _ = worker.keep_ledger(&mut Host, &mut Metrics);
        });
        self.flush();
    }

    fn get_type(&self) -> Option<ContextType> {
        let role = self.role.try_borrow().ok()?;
        Some(match &*role {
            Role::Network { .. } | Role::Companion(_) => ContextType::StreamContext,
            Role::Unconfigured
            | Role::Inbound { .. }
            | Role::Outbound { .. }
            | Role::Certificates(_) => ContextType::HttpContext,
        })
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let role = Rc::clone(&self.role);
        let is_outbound = matches!(&*self.role.try_borrow().ok()?, Role::Outbound { .. });
        Some(match is_outbound {
            true => Box::new(outbound::Request::new(role)),
            false => Box::new(inbound::Request::new(role)),
        })
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Connection::new(id, Rc::clone(&self.role))))
    }
}

/// Looks after the connections of all network roles of this VM, each in the context that it has with the host.
fn sweep(root: u32) {
    let Some(Some(curious)) = vm::with(Worker::begin_sweep) else {
        return;
    };
    let mut is_elsewhere = !curious.is_empty();
    for (id, context) in curious {
        if host::set_effective_context(context).is_ok() {
            let seen = vm::with(|worker| worker.look(id, &mut Host));
            if let Some(Ok(Some(certificate))) = seen {
                tell_peer(certificate.peer().ok().map(|peer| &**peer.text()));
            }
        }
    }
    let (closes, strays) = vm::with(Worker::sweep).unwrap_or_default();
    is_elsewhere |= !closes.is_empty() || !strays.is_empty();
    for close in closes {
        if close_connection(close.context) {
            vm::with(|worker| worker.asked_to_close(&close));
        }
    }
    for context in strays {
        if close_connection(context) {
            vm::with(|worker| worker.asked_to_close_stray(context));
        }
    }
    if is_elsewhere {
        let _ = host::set_effective_context(root);
    }
}

/// Nothing is borrowed here: the host may call the connection's contexts at once.
fn close_connection(context: u32) -> bool {
    host::set_effective_context(context).is_ok() && host::close_downstream().is_ok()
}

/// How far a request is. Only an admitted one is ever let on: to continue at the body or the
/// trailers would release headers that were held back before.
pub(crate) enum Stage {
    Unjudged,
    Admitted,
    Refused,
}

impl Stage {
    pub(crate) fn action(&self) -> Action {
        match self {
            Self::Admitted => Action::Continue,
            Self::Unjudged | Self::Refused => Action::Pause,
        }
    }
}
