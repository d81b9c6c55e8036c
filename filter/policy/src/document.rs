//! The JSON document, section by section: a raw shape first, then its meaning.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use spiffe::TrustDomain;

use crate::{
    domains::TrustDomains,
    engine::Mode,
    fault::{Collector, FaultKind, Faults, quote, read_json},
    limits,
    rule::Rule,
    rules::RuleReader,
    server::Servers,
};

/// A policy whose every part is valid, not compiled yet.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) domains: TrustDomains,
    pub(crate) mode: Mode,
    pub(crate) port_modes: BTreeMap<u16, Mode>,
    pub(crate) allow_by_default: bool,
    pub(crate) dry_run: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) servers: Servers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawDocument {
    trust_domains: Vec<String>,
    #[serde(default)]
    trust_domain_aliases: Vec<String>,
    #[serde(default)]
    mtls: RawMtls,
    #[serde(default)]
    port_level_mtls: RawPorts,
    #[serde(default)]
    default_action: Default,
    #[serde(default)]
    dry_run: bool,
    /// Each is read by itself, so that one of the wrong shape does not hide the next.
    #[serde(default)]
    rules: Vec<Box<RawValue>>,
    #[serde(default)]
    servers: Vec<Box<RawValue>>,
    #[serde(default)]
    default_server_action: Default,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMtls {
    #[serde(default)]
    mode: RawMode,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum RawMode {
    #[default]
    Unset,
    Strict,
    Permissive,
    Disable,
}

impl RawMode {
    fn or(self, inherited: Mode) -> Mode {
        match self {
            Self::Unset => inherited,
            Self::Strict => Mode::Strict,
            Self::Permissive => Mode::Permissive,
            Self::Disable => Mode::Disable,
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Default {
    #[default]
    Deny,
    Allow,
}

/// Modes by port, each as it was written: a map would let a repeated port pass.
#[derive(Default)]
struct RawPorts(Vec<(String, RawMtls)>);

impl<'de> Deserialize<'de> for RawPorts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Ports;
        impl<'de> Visitor<'de> for Ports {
            type Value = RawPorts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from ports to modes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPorts, A::Error> {
                let mut ports = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    ports.push(entry);
                }
                Ok(RawPorts(ports))
            }
        }
        from.deserialize_map(Ports)
    }
}

impl Document {
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Faults> {
        if json.len() > limits::MAX_DOCUMENT_BYTES {
            return Err(Faults::one(FaultKind::DocumentTooLong(json.len())));
        }
        let raw: RawDocument = read_json(json)?;
        let mut faults = Collector::default();
        let Some(domains) = trust_domains(&raw, &mut faults) else {
            return Err(faults.into_faults());
        };
        let mode = raw.mtls.mode.or(Mode::Strict);
        let port_modes = port_modes(&raw.port_level_mtls, mode, &mut faults);
        let mut reader = RuleReader::new(&domains, faults);
        let rules = reader.rules(&raw.rules);
        let mut faults = reader.into_faults();
        let allow_servers = raw.default_server_action == Default::Allow;
        let servers = Servers::read(&raw.servers, allow_servers, &domains, &mut faults);
        faults.finish(Self {
            domains,
            mode,
            port_modes,
            allow_by_default: raw.default_action == Default::Allow,
            dry_run: raw.dry_run,
            rules,
            servers,
        })
    }
}

/// The domains that are right, so that the rules can be judged too; none if there is none to judge by.
fn trust_domains(raw: &RawDocument, faults: &mut Collector) -> Option<TrustDomains> {
    let at = "/trustDomains";
    if raw.trust_domains.is_empty() {
        faults.add(at.to_owned(), FaultKind::NoTrustDomain);
    }
    let count = raw.trust_domains.len() + raw.trust_domain_aliases.len();
    if !faults.at_most(&at, "trust domains", count, limits::MAX_TRUST_DOMAINS) {
        return None;
    }
    let listed = domains_of(at, &raw.trust_domains, &[], faults);
    let aliases = domains_of(
        "/trustDomainAliases",
        &raw.trust_domain_aliases,
        &listed,
        faults,
    );
    let mut listed = listed.into_iter();
    listed
        .next()
        .map(|own| TrustDomains::new(own, aliases, listed))
}

fn domains_of(
    at: &str,
    names: &[String],
    taken: &[TrustDomain],
    faults: &mut Collector,
) -> Vec<TrustDomain> {
    let mut domains: Vec<TrustDomain> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let result = trust_domain(name).and_then(|domain| {
            if domains.contains(&domain) {
                return Err(FaultKind::TrustDomainTwice(name.clone()));
            }
            if taken.contains(&domain) {
                return Err(FaultKind::AliasOfItself(name.clone()));
            }
            Ok(domain)
        });
        domains.extend(faults.keep(format!("{at}/{index}"), result));
    }
    domains
}

/// A trust domain in its canonical spelling.
pub(crate) fn trust_domain(name: &str) -> Result<TrustDomain, FaultKind> {
    let wrong = |why: String| FaultKind::TrustDomain {
        quoted: quote(name),
        why,
    };
    let domain = TrustDomain::new(name).map_err(|error| wrong(error.to_string()))?;
    if domain.as_str() != name {
        return Err(wrong("it must be the bare name in small letters".into()));
    }
    Ok(domain)
}

fn port_modes(raw: &RawPorts, inherited: Mode, faults: &mut Collector) -> BTreeMap<u16, Mode> {
    let at = "/portLevelMtls";
    let mut modes = BTreeMap::new();
    if !faults.at_most(&at, "ports", raw.0.len(), limits::MAX_PORT_MODES) {
        return modes;
    }
    for (text, mtls) in &raw.0 {
        let result = port(text).and_then(|port| {
            if modes.insert(port, mtls.mode.or(inherited)).is_some() {
                return Err(FaultKind::PortTwice(port));
            }
            Ok(())
        });
        faults.keep(format!("{at}/{}", crate::fault::escape(text)), result);
    }
    modes
}

fn port(text: &str) -> Result<u16, FaultKind> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse()
        .ok()
        .filter(|port| plain && *port != 0)
        .ok_or_else(|| FaultKind::Port(quote(text)))
}
