//! From JSON to a configuration: the shape of each section first, then its meaning.

use std::collections::BTreeMap;

use credence_policy::{Policy, read_json};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    CertificatesParts, CompanionParts, Config, ConfigFaults, Expiry, InboundParts, Metrics,
    OutboundParts, TcpParts,
};
use crate::{
    deny::DenyList,
    ledger::{MAX_IDENTITIES, issuer_key},
};

/// Longest patience with a certificate that has ended.
const MAX_SKEW_SECONDS: u32 = 3600;
/// Rules with series of their own that may be asked for.
const MAX_NAMED_RULES: usize = 10_000;
/// Issuers that may be given names.
const MAX_NAMED_ISSUERS: usize = 64;
/// Bytes of a root's name.
const MAX_ROOT_NAME_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Role {
    #[default]
    Inbound,
    Tcp,
    Outbound,
    Certificates,
}

/// Sections are read by themselves, so that a fault in one does not hide those in another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    role: Role,
    #[serde(default, deserialize_with = "present")]
    companion: Section,
    #[serde(default, deserialize_with = "present")]
    policy: Section,
    #[serde(default, deserialize_with = "present")]
    revocations: Section,
    #[serde(default, deserialize_with = "present")]
    expiry: Section,
    #[serde(default, deserialize_with = "present")]
    headers: Section,
    #[serde(default, deserialize_with = "present")]
    access_log: Section,
    #[serde(default, deserialize_with = "present")]
    metrics: Section,
    #[serde(default, deserialize_with = "present")]
    certificates: Section,
}

type Section = Option<Box<RawValue>>;

/// A field that may be left out but not be null: null could be meant as anything.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Section, D::Error> {
    Box::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RawExpiry {
    allowed_skew_seconds: u32,
    status: u32,
    drain_header: bool,
}

impl Default for RawExpiry {
    fn default() -> Self {
        Self {
            allowed_skew_seconds: 0,
            status: 421,
            drain_header: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RawMetrics {
    peers: usize,
    rules: usize,
    issuers: BTreeMap<String, String>,
}

impl Default for RawMetrics {
    fn default() -> Self {
        Self {
            peers: 200,
            rules: 100,
            issuers: BTreeMap::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCertificates {
    cluster: String,
    #[serde(default = "five")]
    interval_seconds: u32,
    #[serde(default = "thousand")]
    timeout_ms: u32,
}

const fn five() -> u32 {
    5
}

const fn thousand() -> u32 {
    1000
}

impl Config {
    /// Reads the filter's configuration: a JSON object, described in `docs/filter.md`.
    ///
    /// # Errors
    /// Every fault of the document, each with its JSON pointer.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigFaults> {
        let mut faults = ConfigFaults::default();
        let raw: Option<RawConfig> = faults.keep("", read_json(json));
        let config = raw.and_then(|raw| Reader(&mut faults).config(raw));
        match config {
            Some(config) if faults.0.is_empty() => Ok(config),
            _ => Err(faults),
        }
    }
}

struct Reader<'a>(&'a mut ConfigFaults);

impl Reader<'_> {
    fn config(&mut self, raw: RawConfig) -> Option<Config> {
        let is_companion = self.companion(&raw);
        self.sections_fit(&raw, is_companion);
        match raw.role {
            Role::Inbound => self.inbound(raw),
            Role::Tcp if is_companion => self.companion_parts(raw),
            Role::Tcp => self.tcp(raw),
            Role::Outbound => self.outbound(raw),
            Role::Certificates => self.certificates(raw.certificates),
        }
    }

    fn companion(&mut self, raw: &RawConfig) -> bool {
        let Some(json) = &raw.companion else {
            return false;
        };
        let read = read_json(json.get().as_bytes());
        self.0.keep("/companion", read).unwrap_or(false)
    }

    /// A section that the role does not take would be one that its author relies on in vain.
    fn sections_fit(&mut self, raw: &RawConfig, is_companion: bool) {
        use Role::{Certificates, Inbound, Outbound, Tcp};
        let decides = !is_companion;
        for (name, section, roles) in [
            ("companion", &raw.companion, &[Tcp][..]),
            (
                "policy",
                &raw.policy,
                if decides {
                    &[Inbound, Tcp, Outbound]
                } else {
                    &[]
                },
            ),
            ("revocations", &raw.revocations, &[Inbound, Tcp]),
            ("expiry", &raw.expiry, &[Inbound, Tcp]),
            ("headers", &raw.headers, &[Inbound]),
            (
                "accessLog",
                &raw.access_log,
                if decides {
                    &[Inbound, Tcp, Outbound]
                } else {
                    &[]
                },
            ),
            (
                "metrics",
                &raw.metrics,
                if decides {
                    &[Inbound, Tcp, Outbound]
                } else {
                    &[]
                },
            ),
            ("certificates", &raw.certificates, &[Certificates]),
        ] {
            if section.is_some() && !roles.contains(&raw.role) {
                let text = format!("this role takes no `{name}`: take it out, or correct `role`");
                self.0.add(&format!("/{name}"), text);
            }
        }
    }

    fn inbound(&mut self, raw: RawConfig) -> Option<Config> {
        let policy = self.policy(raw.policy);
        let revocations = self.revocations(raw.revocations);
        let expiry = self.expiry(raw.expiry);
        let metrics = self.metrics(raw.metrics);
        let headers = self.section("/headers", raw.headers);
        let access_log = self.section("/accessLog", raw.access_log);
        Some(Config::Inbound(Box::new(InboundParts {
            policy: policy?,
            revocations,
            expiry: expiry?,
            metrics: metrics?,
            headers: headers?,
            access_log: access_log?,
        })))
    }

    fn tcp(&mut self, raw: RawConfig) -> Option<Config> {
        let policy = self.policy(raw.policy);
        let revocations = self.revocations(raw.revocations);
        let skew = self.skew(raw.expiry);
        let metrics = self.metrics(raw.metrics);
        let access_log = self.section("/accessLog", raw.access_log);
        Some(Config::Tcp(Box::new(TcpParts {
            policy: policy?,
            revocations,
            skew: skew?,
            metrics: metrics?,
            access_log: access_log?,
        })))
    }

    fn companion_parts(&mut self, raw: RawConfig) -> Option<Config> {
        let revocations = self.revocations(raw.revocations);
        let skew = self.skew(raw.expiry)?;
        Some(Config::Companion(CompanionParts { revocations, skew }))
    }

    fn outbound(&mut self, raw: RawConfig) -> Option<Config> {
        let policy = self.policy(raw.policy);
        let metrics = self.metrics(raw.metrics);
        let access_log = self.section("/accessLog", raw.access_log);
        Some(Config::Outbound(Box::new(OutboundParts {
            policy: policy?,
            metrics: metrics?,
            access_log: access_log?,
        })))
    }

    fn certificates(&mut self, section: Section) -> Option<Config> {
        let Some(json) = section else {
            self.0.add("", "missing field `certificates`");
            return None;
        };
        let at = "/certificates";
        let raw: RawCertificates = self.0.keep(at, read_json(json.get().as_bytes()))?;
        if raw.cluster.is_empty() {
            self.0.add(
                "/certificates/cluster",
                "name the cluster of Envoy's admin interface",
            );
        }
        self.within(
            "/certificates/intervalSeconds",
            raw.interval_seconds,
            1,
            3600,
        );
        self.within("/certificates/timeoutMs", raw.timeout_ms, 1, 60_000);
        Some(Config::Certificates(CertificatesParts {
            cluster: raw.cluster,
            interval_ms: u64::from(raw.interval_seconds) * 1000,
            timeout_ms: raw.timeout_ms,
        }))
    }

    fn policy(&mut self, section: Section) -> Option<Policy> {
        let Some(json) = section else {
            self.0.add("", "missing field `policy`");
            return None;
        };
        self.0
            .keep("/policy", Policy::from_json(json.get().as_bytes()))
    }

    fn revocations(&mut self, section: Section) -> Option<DenyList> {
        let json = section?;
        let list = DenyList::from_json(json.get().as_bytes());
        let list = self.0.keep("/revocations", list)?;
        if list.number() == 0 {
            self.0.add(
                "/revocations/number",
                "0 is the number of no list: count from 1, and up with each change",
            );
        }
        Some(list)
    }

    fn expiry(&mut self, section: Section) -> Option<Expiry> {
        let raw: RawExpiry = self.section("/expiry", section)?;
        let skew = raw.allowed_skew_seconds;
        self.within("/expiry/allowedSkewSeconds", skew, 0, MAX_SKEW_SECONDS);
        self.within("/expiry/status", raw.status, 400, 599);
        Some(Expiry {
            skew,
            status: raw.status,
            drain_header: raw.drain_header,
        })
    }

    /// Of a role that answers nothing.
    fn skew(&mut self, section: Section) -> Option<u32> {
        let expiry = self.expiry(section)?;
        let default = RawExpiry::default();
        if expiry.status != default.status || expiry.drain_header {
            self.0.add(
                "/expiry",
                "`status` and `drainHeader` are of the HTTP role's answers: take them out",
            );
        }
        Some(expiry.skew)
    }

    fn metrics(&mut self, section: Section) -> Option<Metrics> {
        let raw: RawMetrics = self.section("/metrics", section)?;
        self.at_most("/metrics/peers", raw.peers, MAX_IDENTITIES);
        self.at_most("/metrics/rules", raw.rules, MAX_NAMED_RULES);
        self.at_most("/metrics/issuers", raw.issuers.len(), MAX_NAMED_ISSUERS);
        let mut roots = BTreeMap::new();
        for (issuer, name) in raw.issuers {
            let Some(key) = issuer_key(&issuer) else {
                self.0.add(
                    "/metrics/issuers",
                    "an issuer is the key identifier in its certificates (AKI), in hexadecimal",
                );
                continue;
            };
            if !is_label(&name) {
                self.0.add(
                    "/metrics/issuers",
                    "a root's name is 1 to 64 letters, digits, `-`, `_`, `.` or `/`",
                );
            }
            roots.insert(key, name);
        }
        Some(Metrics {
            peers: raw.peers,
            rules: raw.rules,
            roots,
        })
    }

    /// A section that may be left out.
    fn section<T: DeserializeOwned + Default>(&mut self, at: &str, section: Section) -> Option<T> {
        match section {
            None => Some(T::default()),
            Some(json) => self.0.keep(at, read_json(json.get().as_bytes())),
        }
    }

    fn within(&mut self, at: &str, value: u32, low: u32, high: u32) {
        if !(low..=high).contains(&value) {
            self.0
                .add(at, format!("{value} is not from {low} to {high}"));
        }
    }

    fn at_most(&mut self, at: &str, value: usize, high: usize) {
        if value > high {
            self.0.add(at, format!("{value} is more than {high}"));
        }
    }
}

fn is_label(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    (1..=MAX_ROOT_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}
