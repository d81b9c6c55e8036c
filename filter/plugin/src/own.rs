//! The singleton: asks Envoy's admin interface for Envoy's own certificates.

use std::time::Duration;

use credence_enforce::{CertificatesParts, MAX_CERTS_BYTES, Millis, OwnCertificates, Tally};

use crate::{
    facts::now,
    host::{self, Level},
    vm::Metrics,
};

/// Milliseconds between two settings of the gauges: ages grow by the second.
const SHOW_MS: u64 = 1000;

pub(crate) struct Own {
    parts: CertificatesParts,
    known: OwnCertificates,
    tally: Tally,
    asked: Option<Millis>,
    shown: Option<Millis>,
    is_failing: bool,
}

impl Own {
    pub(crate) fn new(parts: CertificatesParts) -> Self {
        Self {
            parts,
            known: OwnCertificates::default(),
            tally: Tally::default(),
            asked: None,
            shown: None,
            is_failing: false,
        }
    }

    pub(crate) fn on_tick(&mut self) {
        let Ok(now) = now() else {
            return;
        };
        let is_due = |last: Option<Millis>, ms| {
            last.and_then(|last| now.since(last))
                .is_none_or(|since| since >= ms)
        };
        if is_due(self.asked, self.parts.interval_ms) {
            self.asked = Some(now);
            self.ask();
        }
        if is_due(self.shown, SHOW_MS) {
            self.shown = Some(now);
            self.known.show(now, &mut Metrics);
        }
        self.tally.flush(&mut Metrics);
    }

    /// Through the SDK, which has to know the token of what it will be called back for. It panics on statuses
    /// that Envoy does not give here; no request is near.
    fn ask(&mut self) {
        let headers = vec![
            (":method", "GET"),
            (":path", "/certs"),
            (":authority", "credence"),
        ];
        let timeout = Duration::from_millis(self.parts.timeout_ms.into());
        let cluster = &self.parts.cluster;
        let asked =
            proxy_wasm::hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout);
        if asked.is_err() {
            let message = format!("cluster {cluster} takes no call; is it there?");
            self.fail(&message);
        }
    }

    pub(crate) fn on_response(&mut self, size: usize) {
        let status = host::call_response_header(":status").ok().flatten();
        if status.as_deref() != Some(b"200") {
            let status = status.unwrap_or_default();
            let status = String::from_utf8_lossy(&status);
            self.fail(&format!("the answer has status {status:?}"));
            return;
        }
        if size > MAX_CERTS_BYTES {
            self.fail(&format!("the answer has {size} bytes"));
            return;
        }
        let Ok(body) = host::call_response_body(size) else {
            self.fail("Envoy did not hand the answer over");
            return;
        };
        match self.known.take(&body, &mut self.tally) {
            Ok(()) => self.is_failing = false,
            Err(fault) => self.fail(&fault.to_string()),
        }
    }

    /// Says so the first time.
    fn fail(&mut self, why: &str) {
        if !self.is_failing {
            self.is_failing = true;
            let message = format!("credence: Envoy's own certificates cannot be read: {why}");
            host::log(Level::Error, &message);
        }
    }
}
