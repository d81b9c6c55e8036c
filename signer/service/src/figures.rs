//! Figures of the parts that the frontends do not count themselves, in Prometheus' text format.

use crate::{
    book::Book,
    lifecycle::{Places, Report},
    lists::Lists,
    revocations::Revocations,
};
use credence_daemon::ports::Figures as Port;
use credence_host::{
    metrics::{Kind, Sample},
    signer::Signer,
};
use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};
use tokio::sync::watch;

/// The parts.
pub struct Figures {
    pub(crate) signer: Arc<Signer>,
    pub(crate) book: Arc<Book>,
    pub(crate) lifecycle: watch::Receiver<Report>,
    pub(crate) places: Arc<Places>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) lists: Arc<Lists>,
}

impl Port for Figures {
    fn text(&self) -> String {
        let mut text = String::new();
        samples(&mut text, &self.signer.samples());
        self.ledger(&mut text);
        self.lifecycle(&mut text);
        text
    }
}

impl Figures {
    fn ledger(&self, text: &mut String) {
        let stats = self.book.ledger().stats();
        for (name, value) in [
            ("credence_ledger_entries_total", stats.entries()),
            ("credence_ledger_batches_total", stats.batches()),
            ("credence_ledger_failed_total", stats.failed()),
            ("credence_ledger_busy_total", stats.busy()),
        ] {
            family(text, name, "counter");
            let _ = writeln!(text, "{name} {value}");
        }
    }

    fn lifecycle(&self, text: &mut String) {
        let report = self.lifecycle.borrow().clone();
        let (identities, serials) = self.revocations.count();
        let lists = self.lists.figures();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (name, value) in [
            ("credence_ca_bundle_sequence", report.bundle),
            ("credence_ca_warnings", count(report.warnings.len())),
            ("credence_ca_live_leaves", count(self.places.leaves())),
            ("credence_ca_revoked_identities", count(identities)),
            ("credence_ca_revoked_serials", count(serials)),
            ("credence_ca_crl_number", lists.number),
            ("credence_ca_crl_entries", count(lists.entries)),
            (
                "credence_ca_crl_next_update_timestamp_seconds",
                lists.next_update,
            ),
        ] {
            family(text, name, "gauge");
            let _ = writeln!(text, "{name} {value}");
        }
        let name = "credence_ca_certificate_expiry_timestamp_seconds";
        family(text, name, "gauge");
        for (role, phase, id, end) in report.standings {
            let _ = writeln!(
                text,
                "{name}{{role=\"{role}\",phase=\"{phase}\",id=\"{id}\"}} {end}"
            );
        }
    }
}

fn family(text: &mut String, name: &str, kind: &str) {
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

/// Samples of one name stand together.
fn samples(text: &mut String, samples: &[Sample]) {
    let names: BTreeSet<_> = samples.iter().map(|sample| sample.name).collect();
    for name in names {
        let mut all = samples
            .iter()
            .filter(|sample| sample.name == name)
            .peekable();
        let kind = all.peek().map_or("gauge", |sample| match sample.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        });
        family(text, name, kind);
        for Sample { label, value, .. } in all {
            let _ = match label {
                Some((label, of)) => writeln!(text, "{name}{{{label}=\"{of}\"}} {value}"),
                None => writeln!(text, "{name} {value}"),
            };
        }
    }
}
