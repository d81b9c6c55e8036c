//! Which server is expected where: what the filter pins on the client's side.

use serde::Deserialize;
use serde_json::value::RawValue;
use spiffe::SpiffeId;

use crate::{
    domains::TrustDomains,
    fault::{Collector, FaultKind, quote, read_json},
    limits,
    principal::Principal,
    target::canonical_host,
    values::is_name,
};

/// An entry for servers: where it applies, and who they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    name: Box<str>,
    index: usize,
    hosts: Option<Vec<String>>,
    routes: Option<Vec<String>>,
    clusters: Option<Vec<String>>,
    ids: Vec<SpiffeId>,
    san_list: String,
    dry_run: bool,
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its position in `servers`, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whom the server's certificate must name: one of these.
    #[must_use]
    pub fn ids(&self) -> &[SpiffeId] {
        &self.ids
    }

    /// The same, with commas between, as Envoy's `envoy.network.upstream_subject_alt_names` takes it.
    #[must_use]
    pub fn san_list(&self) -> &str {
        &self.san_list
    }

    /// Whether another server is only counted, not refused.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether a server whose certificate has this URI is the expected one.
    #[must_use]
    pub fn allows(&self, uri: &str) -> bool {
        self.san_list.split(',').any(|id| id == uri)
    }

    fn applies(&self, query: &ServerQuery<'_>) -> bool {
        let host = query
            .host
            .and_then(|host| canonical_host(host.as_bytes()).ok());
        listed(&self.hosts, host.as_deref())
            && listed(&self.routes, query.route)
            && listed(&self.clusters, query.cluster)
    }
}

fn listed(list: &Option<Vec<String>>, value: Option<&str>) -> bool {
    match list {
        None => true,
        Some(list) => value.is_some_and(|value| list.iter().any(|entry| entry == value)),
    }
}

/// Where a request is about to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerQuery<'a> {
    /// The authority that it is for, with or without port.
    pub host: Option<&'a str>,
    /// The name of the proxy's route.
    pub route: Option<&'a str>,
    /// The name of the proxy's cluster.
    pub cluster: Option<&'a str>,
}

/// What becomes of a request that is about to go to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDecision<'a> {
    /// It may go to this server and no other.
    Pin(&'a Server),
    /// No entry applies, and `defaultServerAction` is `ALLOW`: it goes on, held by the proxy's own checks
    /// alone.
    Unpinned,
    /// No entry applies, and it does not go.
    Refused,
}

/// The entries for servers; the first that applies decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    list: Vec<Server>,
    allow_by_default: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawServer {
    name: String,
    hosts: Option<Vec<String>>,
    routes: Option<Vec<String>>,
    clusters: Option<Vec<String>>,
    principals: Vec<String>,
    #[serde(default)]
    dry_run: bool,
}

impl Servers {
    pub(crate) fn find(&self, query: &ServerQuery<'_>) -> ServerDecision<'_> {
        match self.list.iter().find(|server| server.applies(query)) {
            Some(server) => ServerDecision::Pin(server),
            None if self.allow_by_default => ServerDecision::Unpinned,
            None => ServerDecision::Refused,
        }
    }

    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.list.iter().map(|server| &*server.name)
    }

    pub(crate) fn read(
        raw: &[Box<RawValue>],
        allow_by_default: bool,
        domains: &TrustDomains,
        faults: &mut Collector,
    ) -> Self {
        let mut servers = Self {
            list: Vec::new(),
            allow_by_default,
        };
        if !faults.at_most(&"/servers", "servers", raw.len(), limits::MAX_SERVERS) {
            return servers;
        }
        for (index, json) in raw.iter().enumerate() {
            let at = format!("/servers/{index}");
            match read_json::<RawServer>(json.get().as_bytes()) {
                Err(wrong) => faults.extend(wrong.under(&at)),
                Ok(raw) => {
                    let server = read_one(&at, index, raw, domains, faults);
                    servers.add(&at, server, faults);
                }
            }
        }
        servers
    }

    fn add(&mut self, at: &str, server: Server, faults: &mut Collector) {
        if !is_name(&server.name) {
            faults.add(
                format!("{at}/name"),
                FaultKind::RuleName(quote(&server.name)),
            );
        } else if let Some(first) = self.list.iter().position(|other| other.name == server.name) {
            let name = server.name.to_string();
            faults.add(
                format!("{at}/name"),
                FaultKind::ServerNameTwice { name, first },
            );
        }
        self.list.push(server);
    }
}

fn read_one(
    at: &str,
    index: usize,
    raw: RawServer,
    domains: &TrustDomains,
    faults: &mut Collector,
) -> Server {
    let places = [
        ("hosts", &raw.hosts),
        ("routes", &raw.routes),
        ("clusters", &raw.clusters),
    ];
    if places.iter().all(|(_, list)| list.is_none()) {
        faults.add(at.to_owned(), FaultKind::ServerOfNothing);
    }
    for (field, list) in places {
        if list.as_ref().is_some_and(Vec::is_empty) {
            faults.add(format!("{at}/{field}"), FaultKind::EmptyList);
        }
    }
    hosts_are_canonical(at, raw.hosts.as_deref(), faults);
    let ids = ids(
        &format!("{at}/principals"),
        &raw.principals,
        domains,
        faults,
    );
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Server {
        name: raw.name.into(),
        index,
        hosts: raw.hosts,
        routes: raw.routes,
        clusters: raw.clusters,
        ids,
        san_list: texts.join(","),
        dry_run: raw.dry_run,
    }
}

fn hosts_are_canonical(at: &str, hosts: Option<&[String]>, faults: &mut Collector) {
    for (index, host) in hosts.unwrap_or_default().iter().enumerate() {
        if canonical_host(host.as_bytes()).as_ref() != Ok(host) {
            let why = crate::PatternFault::Never(
                "is not a host: write a name in small letters or an address, without port and without a dot at the end",
            );
            let quoted = quote(host);
            faults.add(
                format!("{at}/hosts/{index}"),
                FaultKind::Value { quoted, why },
            );
        }
    }
}

fn ids(
    at: &str,
    texts: &[String],
    domains: &TrustDomains,
    faults: &mut Collector,
) -> Vec<SpiffeId> {
    if texts.is_empty() {
        faults.add(at.to_owned(), FaultKind::EmptyList);
    }
    let mut ids = Vec::new();
    if !faults.at_most(&at, "identities", texts.len(), limits::MAX_SERVER_IDS) {
        return ids;
    }
    for (index, text) in texts.iter().enumerate() {
        ids.extend(faults.keep_at(&at, index, exact_id(text, domains)));
    }
    ids
}

fn exact_id(text: &str, domains: &TrustDomains) -> Result<SpiffeId, FaultKind> {
    let principal = Principal::new(text).map_err(|why| FaultKind::Principal {
        quoted: quote(text),
        why,
    })?;
    let id =
        SpiffeId::new(principal.to_string()).map_err(|_| FaultKind::ServerNotExact(quote(text)))?;
    if !domains.accepts(id.trust_domain()) {
        return Err(FaultKind::ForeignPrincipal(id.trust_domain().to_string()));
    }
    Ok(id)
}
