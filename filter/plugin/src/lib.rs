//! credence_filter.wasm: the proxy-wasm edge of credence-enforce.
//!
//! The SDK dispatches Envoy's callbacks to the contexts here. They read what the enforcer asks for,
//! send its answers and hand over its counts; what to answer is decided in credence-enforce.

mod host;

use std::{cell::RefCell, fmt::Display, panic, rc::Rc};

use credence_enforce::{
    Enforcer, Facts, Faults, Reason, Refusal, Tally, Unreadable, Verdict, enforcer_from_json,
    metrics::counter_name, refuse,
};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType},
};

#[allow(
    missing_docs,
    reason = "what the SDK's macro makes has no documentation"
)]
mod entry {
    use super::{Root, host, panic};

    proxy_wasm::main! {{
        panic::set_hook(Box::new(|what| host::log(host::Level::Critical, &what.to_string())));
        proxy_wasm::set_root_context(|_| Box::<Root>::default());
    }}
}

/// One configuration of the plugin in one worker's VM.
#[derive(Default)]
struct Root {
    filter: Rc<RefCell<Filter>>,
}

/// What the requests of one configuration share.
#[derive(Default)]
struct Filter {
    /// None until a configuration was good: nothing is let through before.
    enforcer: Option<Enforcer>,
    tally: Tally,
    counters: [Option<u32>; Reason::COUNT],
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        configure(size).is_some_and(|enforcer| self.accept(enforcer))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request {
            filter: Rc::clone(&self.filter),
            stage: Stage::Unjudged,
        }))
    }
}

impl Root {
    fn accept(&self, enforcer: Enforcer) -> bool {
        let Ok(mut filter) = self.filter.try_borrow_mut() else {
            return false;
        };
        let rules = enforcer.rules();
        let message = format!("credence: policy with {rules} rules is in force");
        host::log(host::Level::Info, &message);
        filter.enforcer = Some(enforcer);
        filter.define_counters();
        true
    }
}

/// The enforcer of the configuration that Envoy hands over, or the log says why there is none.
fn configure(size: usize) -> Option<Enforcer> {
    let refuse = |why: &dyn Display| {
        let message = format!("credence: configuration refused: {why}");
        host::log(host::Level::Error, &message);
    };
    let Ok(json) = host::plugin_configuration(size) else {
        refuse(&"Envoy did not hand it over");
        return None;
    };
    let report = |faults: &Faults| {
        faults.iter().for_each(|fault| refuse(fault));
        if faults.unlisted() > 0 {
            refuse(&format_args!("and {} faults more", faults.unlisted()));
        }
    };
    enforcer_from_json(&json).inspect_err(report).ok()
}

impl Filter {
    fn judge(&mut self) -> Verdict {
        let verdict = match &mut self.enforcer {
            Some(enforcer) => enforcer.check(&mut Host),
            None => refuse(Refusal::new(Reason::NotConfigured)),
        };
        self.tally.record(&verdict);
        self.flush();
        verdict
    }

    /// Makes every series visible from the start; one that fails is tried again when it is needed.
    fn define_counters(&mut self) {
        for (id, reason) in self.counters.iter_mut().zip(Reason::ALL) {
            *id = host::define_counter(&counter_name(reason)).ok();
        }
    }

    fn flush(&mut self) {
        let counters = &mut self.counters;
        self.tally.flush(|at, reason, count| {
            let Some(slot) = counters.get_mut(at) else {
                return false;
            };
            *slot = slot.or_else(|| host::define_counter(&counter_name(reason)).ok());
            slot.is_some_and(|id| host::increment(id, count).is_ok())
        });
    }
}

/// What the enforcer asks, answered by Envoy.
struct Host;

impl Facts for Host {
    fn peer_digest(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        property(host::property::PEER_DIGEST)
    }

    fn is_mtls(&mut self) -> Result<bool, Unreadable> {
        // Envoy writes a boolean property as one byte.
        property(host::property::MTLS).map(|value| value.as_deref() == Some(&[1]))
    }

    fn peer_pem(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        property(host::property::PEER_PEM)
    }

    fn path(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        host::request_header(":path").map_err(|_| Unreadable)
    }

    fn now(&mut self) -> Result<i64, Unreadable> {
        let nanoseconds = host::now().map_err(|_| Unreadable)?;
        i64::try_from(nanoseconds / 1_000_000_000).map_err(|_| Unreadable)
    }
}

fn property(path: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
    host::property(path).map_err(|_| Unreadable)
}

/// One HTTP request.
struct Request {
    filter: Rc<RefCell<Filter>>,
    stage: Stage,
}

/// How far a request is. Only an admitted one is ever let on: to continue at the body or the
/// trailers would release headers that were held back before.
enum Stage {
    Unjudged,
    Admitted,
    Refused,
}

impl Stage {
    fn action(&self) -> Action {
        match self {
            Self::Admitted => Action::Continue,
            Self::Unjudged | Self::Refused => Action::Pause,
        }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let verdict = match self.filter.try_borrow_mut() {
            Ok(mut filter) => filter.judge(),
            Err(_) => refuse(Refusal::new(Reason::HostFailure)),
        };
        self.stage = match verdict {
            Verdict::Continue(_) => Stage::Admitted,
            Verdict::Refuse(refusal) => answer(&refusal),
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

/// Answers a refused request. If even that fails it stays where it is, unanswered and not let on.
fn answer(refusal: &Refusal) -> Stage {
    let headers = [("content-type", "text/plain; charset=utf-8")];
    let (status, details) = (refusal.status(), refusal.details());
    let sent = host::send_local_response(status, &details, &headers, &refusal.body());
    if sent.is_err() {
        host::log(
            host::Level::Error,
            &format!("credence: no answer could be sent: {details}"),
        );
    }
    Stage::Refused
}
