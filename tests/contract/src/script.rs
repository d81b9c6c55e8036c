//! What the module sees, and what it did.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

/// Statuses of the ABI.
pub mod status {
    /// It worked.
    pub const OK: u32 = 0;
    /// There is no such thing.
    pub const NOT_FOUND: u32 = 1;
    /// The host refuses the arguments.
    pub const BAD_ARGUMENT: u32 = 2;
    /// The value was changed by another in between.
    pub const CAS_MISMATCH: u32 = 8;
    /// The host failed.
    pub const INTERNAL_FAILURE: u32 = 10;
    /// Every status but OK that the ABI knows or could come to know.
    pub const ALL_FAILURES: [u32; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, u32::MAX];
}

/// An answer that the filter gave in the application's stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalResponse {
    /// HTTP status.
    pub status: u32,
    /// What the access log gets.
    pub details: String,
    /// The body.
    pub body: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// -1: derived from the HTTP status.
    pub grpc_status: i32,
}

/// A call that the filter made to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// By which its response is known.
    pub token: u32,
    /// To whom.
    pub cluster: String,
    /// With which headers.
    pub headers: Vec<(String, String)>,
    /// Milliseconds that it may take.
    pub timeout_ms: u32,
}

/// Bytes by bytes.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// One context: a request, a connection, a configuration.
#[derive(Debug, Clone, Default)]
pub struct ContextState {
    /// Properties by path, its elements joined by NUL.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Request headers.
    pub headers: Headers,
    /// What the access log can show.
    pub filter_state: BTreeMap<String, String>,
    /// Calls of functions beside the ABI: name and arguments.
    pub foreign_calls: Vec<(String, Vec<u8>)>,
    /// The answer to the request.
    pub response: Option<LocalResponse>,
    /// How often its connection was to be closed.
    pub closes: usize,
}

/// Values that the VMs of one Envoy share.
#[derive(Debug, Clone, Default)]
pub struct SharedData(Arc<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    by_key: BTreeMap<String, (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    /// The value of a key, and its `cas`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.lock().by_key.get(key).cloned()
    }

    /// As Envoy: a `cas` of 0 overwrites, any other only the value that has it, or none.
    pub(crate) fn set(&self, key: &str, value: Vec<u8>, cas: u32) -> u32 {
        let mut values = self.lock();
        let current = values.by_key.get(key).map(|(_, cas)| *cas);
        if cas != 0 && current.is_some_and(|current| current != cas) {
            return status::CAS_MISMATCH;
        }
        values.last_cas += 1;
        let cas = values.last_cas;
        values.by_key.insert(key.to_owned(), (value, cas));
        status::OK
    }

    /// Bytes of all values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let values = self.lock();
        values.by_key.values().map(|(value, _)| value.len()).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kinds of metrics, as the ABI numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What the module sees, and what it did.
#[derive(Debug, Default)]
pub struct Script {
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// Every context that there is.
    pub contexts: BTreeMap<u32, ContextState>,
    /// Nanoseconds since 1970.
    pub now: u64,
    /// A host call that fails: its number from the last [`Script::arm`] on (0 is the next), and its
    /// status.
    pub fail: Option<(usize, u32)>,
    /// Names of the host calls made since the last [`Script::arm`].
    pub calls: Vec<String>,
    /// Host calls that no capability grants.
    pub ungranted: BTreeSet<String>,
    /// Log lines with their level.
    pub logs: Vec<(u32, String)>,
    /// Counters by name.
    pub counters: BTreeMap<String, i64>,
    /// Gauges by name.
    pub gauges: BTreeMap<String, u64>,
    /// What was added to histograms, by name.
    pub histograms: BTreeMap<String, Vec<u64>>,
    /// Milliseconds between ticks, by configuration.
    pub tick_periods: BTreeMap<u32, u32>,
    /// Calls to clusters that were made.
    pub http_calls: Vec<HttpCall>,
    /// Response headers and body of the call whose response is delivered.
    pub call_response: (Headers, Vec<u8>),
    /// A connection that is to be closed calls its contexts back before the host call returns, not after
    /// the callback: the worse of what hosts do.
    pub closes_at_once: bool,
    pub(crate) shared: SharedData,
    pub(crate) current: u32,
    pub(crate) effective: Option<u32>,
    pub(crate) granted: BTreeSet<String>,
    pub(crate) ended: Vec<u32>,
    metrics: Vec<(Kind, String)>,
}

impl Script {
    pub(crate) fn granting(granted: BTreeSet<String>, shared: SharedData) -> Self {
        Self {
            granted,
            shared,
            ..Self::default()
        }
    }

    /// Starts to count host calls anew, with the one to fail.
    pub fn arm(&mut self, fail: Option<(usize, u32)>) {
        self.calls.clear();
        self.fail = fail;
    }

    /// How often a property was read since the last [`Script::arm`].
    #[must_use]
    pub fn reads_of(&self, property: &str) -> usize {
        self.made(&format!("proxy_get_property {property}"))
    }

    /// How often this call was made since the last [`Script::arm`].
    #[must_use]
    pub fn made(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| *made == call).count()
    }

    /// What the workers of this VM's Envoy share.
    #[must_use]
    pub fn shared(&self) -> &SharedData {
        &self.shared
    }

    /// The context that host calls are for.
    pub(crate) fn context(&mut self) -> &mut ContextState {
        let id = self.effective.unwrap_or(self.current);
        self.contexts.entry(id).or_default()
    }

    /// Notes a call; the status that it must fail with, if it must.
    pub(crate) fn enter(&mut self, call: String) -> Option<u32> {
        let number = self.calls.len();
        self.calls.push(call);
        match self.fail {
            Some((at, status)) if at == number => Some(status),
            _ => None,
        }
    }

    /// As Envoy: defining a name again gives the same metric. Ids start above 0 to catch a 0 that
    /// nobody gave.
    pub(crate) fn define(&mut self, kind: u32, name: String) -> Option<u32> {
        let kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Histogram,
            _ => return None,
        };
        let metric = (kind, name);
        let known = self.metrics.iter().position(|other| *other == metric);
        let at = known.unwrap_or_else(|| {
            if kind == Kind::Counter {
                self.counters.insert(metric.1.clone(), 0);
            }
            self.metrics.push(metric);
            self.metrics.len() - 1
        });
        u32::try_from(at).ok()?.checked_add(1)
    }

    fn metric(&self, id: u32) -> Option<(Kind, String)> {
        self.metrics.get((id as usize).checked_sub(1)?).cloned()
    }

    pub(crate) fn increment(&mut self, id: u32, by: i64) -> u32 {
        match self.metric(id) {
            Some((Kind::Counter, name)) if by > 0 => {
                *self.counters.entry(name).or_default() += by;
                status::OK
            }
            Some(_) => status::BAD_ARGUMENT,
            None => status::NOT_FOUND,
        }
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> u32 {
        match self.metric(id) {
            Some((Kind::Gauge, name)) => {
                self.gauges.insert(name, value);
                status::OK
            }
            Some((Kind::Histogram, name)) => {
                self.histograms.entry(name).or_default().push(value);
                status::OK
            }
            Some((Kind::Counter, _)) => status::BAD_ARGUMENT,
            None => status::NOT_FOUND,
        }
    }
}
