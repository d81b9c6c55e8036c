//! One value of Istio's in our words.

use credence_policy::Policy;
use serde_json::{Value, json};

use crate::{
    document::{Field, Key},
    options::{Domains, OWN_IN_ISTIO},
};

/// What a value comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// The same, in one value or several; none: it matches nobody who is let in.
    Same(Vec<String>),
    /// Only what matches more than it can be said, and why.
    More(Vec<String>, String),
    /// It cannot be said, and why.
    Nothing(String),
}

/// Puts values in our words; what it says is what the engine takes.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    domains: Domains,
}

impl Vocabulary {
    pub(crate) fn new(domains: Domains) -> Self {
        Self { domains }
    }

    pub(crate) fn domains(&self) -> &Domains {
        &self.domains
    }

    pub(crate) fn map(&self, field: Field, value: &str) -> Mapped {
        if value.is_empty() {
            return Mapped::Nothing("it is empty".to_owned());
        }
        let mapped = match field {
            Field::Principals => self.principal(value),
            Field::IpBlocks => ip_block(value),
            Field::Hosts => host(value),
            Field::Paths => path(value),
            Field::Ports if !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                Mapped::Nothing("it is not a port".to_owned())
            }
            Field::Namespaces | Field::Methods | Field::Ports => same(value),
        };
        self.taken(field, mapped)
    }

    /// A service account, `namespace/name` or `name` in the policy's own namespace.
    pub(crate) fn service_account(&self, value: &str, own_namespace: &str) -> Mapped {
        let (namespace, account) = value.split_once('/').unwrap_or((own_namespace, value));
        if value.contains('*')
            || namespace.is_empty()
            || account.is_empty()
            || account.contains('/')
        {
            return Mapped::Nothing("it is not a service account".to_owned());
        }
        self.taken(
            Field::Principals,
            same(&format!("*/ns/{namespace}/sa/{account}")),
        )
    }

    /// Nothing is said that the engine would not take.
    fn taken(&self, field: Field, mapped: Mapped) -> Mapped {
        let (Mapped::Same(values) | Mapped::More(values, _)) = &mapped else {
            return mapped;
        };
        match values.iter().find_map(|value| self.objection(field, value)) {
            Some(objection) => Mapped::Nothing(objection),
            None => mapped,
        }
    }

    fn objection(&self, field: Field, value: &str) -> Option<String> {
        let key = Key { field, not: false };
        let value = match field {
            Field::Ports => value
                .parse::<u16>()
                .map_or_else(|_| json!(value), Value::from),
            _ => json!(value),
        };
        let domains: Vec<_> = [&self.domains.own]
            .into_iter()
            .chain(&self.domains.federated)
            .collect();
        let document = json!({
            "trustDomains": domains,
            "trustDomainAliases": self.domains.aliases,
            "rules": [{"name": "x", key.name(): [value]}],
        });
        let faults = Policy::from_json(document.to_string().as_bytes()).err()?;
        let fault = faults.iter().next()?;
        Some(fault.kind().to_string())
    }

    /// Istio compares with the SPIFFE ID without its scheme.
    fn principal(&self, value: &str) -> Mapped {
        if let Some(bare) = value.strip_prefix("spiffe://") {
            let why = "Istio's principals have no scheme, so it never matches there".to_owned();
            return match self.principal(bare) {
                Mapped::Same(values) | Mapped::More(values, _) => Mapped::More(values, why),
                nothing @ Mapped::Nothing(_) => nothing,
            };
        }
        if value.starts_with('*') {
            return same(value);
        }
        match value.split_once('/') {
            Some((domain, path)) => match self.domains.resolve(domain) {
                Some(domain) => same(&format!("spiffe://{domain}/{path}")),
                None if domain.contains('*') => {
                    Mapped::Nothing("it has a `*` in the middle".to_owned())
                }
                None => Mapped::Same(Vec::new()),
            },
            None => self.domain_alone(value),
        }
    }

    fn domain_alone(&self, value: &str) -> Mapped {
        match value.strip_suffix('*') {
            Some(start) => {
                let domains = self.domains.starting(start).into_iter();
                Mapped::Same(
                    domains
                        .map(|domain| format!("spiffe://{domain}/*"))
                        .collect(),
                )
            }
            None => Mapped::Nothing(format!(
                "it names no workload; Istio writes \"{OWN_IN_ISTIO}/ns/NAMESPACE/sa/ACCOUNT\""
            )),
        }
    }
}

fn same(value: &str) -> Mapped {
    Mapped::Same(vec![value.to_owned()])
}

/// Envoy looks at the prefix alone; ours wants the other bits to be 0.
fn ip_block(value: &str) -> Mapped {
    same(&masked(value).unwrap_or_else(|| value.to_owned()))
}

fn masked(value: &str) -> Option<String> {
    let (address, length) = value.split_once('/')?;
    let (address, length): (std::net::IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let address = match address {
        std::net::IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32u32.checked_sub(length)?)
                .unwrap_or(0);
            std::net::Ipv4Addr::from(u32::from(v4) & mask).to_string()
        }
        std::net::IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128u32.checked_sub(length)?)
                .unwrap_or(0);
            std::net::Ipv6Addr::from(u128::from(v6) & mask).to_string()
        }
    };
    Some(format!("{address}/{length}"))
}

/// Ours are matched in small letters and without port.
fn host(value: &str) -> Mapped {
    let lower = value.to_ascii_lowercase();
    if let Some(host) = lower.strip_suffix(":*").filter(|host| !host.contains('*')) {
        return same(host);
    }
    if let Some((host, port)) = lower.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !host.ends_with(':')
    {
        let why = "hosts are matched without their port".to_owned();
        return Mapped::More(vec![host.to_owned()], why);
    }
    if lower != "." && !lower.ends_with("..") && lower.ends_with('.') {
        let host = lower.trim_end_matches('.').to_owned();
        return Mapped::More(
            vec![host],
            "a host that ends in a dot is always refused".to_owned(),
        );
    }
    same(&lower)
}

fn path(value: &str) -> Mapped {
    let Some((before, _)) = value.split_once('{') else {
        return same(value);
    };
    let why = "path templates have no counterpart".to_owned();
    match before.rsplit_once('/') {
        Some((start, "")) if !start.contains('*') => Mapped::More(vec![format!("{start}/*")], why),
        _ => Mapped::Nothing(why),
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Mapped, Vocabulary};
    use crate::{Options, options::Domains};

    fn vocabulary() -> Vocabulary {
        let options = Options {
            trust_domain: "own.test".into(),
            aliases: vec!["old.test".into()],
            federated: vec!["partner.test".into()],
            ..Options::default()
        };
        Vocabulary::new(Domains::new(&options).unwrap())
    }

    fn said(field: Field, value: &str) -> String {
        match vocabulary().map(field, value) {
            Mapped::Same(values) => format!("={}", values.join(" ")),
            Mapped::More(values, _) => format!(">{}", values.join(" ")),
            Mapped::Nothing(_) => "-".to_owned(),
        }
    }

    #[test]
    fn principals_get_their_scheme_and_their_own_name() {
        for (istio, ours) in [
            ("*", "=*"),
            ("*/ns/a/sa/b", "=*/ns/a/sa/b"),
            ("cluster.local/ns/a/sa/b", "=spiffe://own.test/ns/a/sa/b"),
            ("own.test/ns/a/*", "=spiffe://own.test/ns/a/*"),
            ("own.test/ns/a/sa/b*", "=spiffe://own.test/ns/a/sa/b*"),
            ("old.test/ns/a/sa/b", "=spiffe://own.test/ns/a/sa/b"),
            ("partner.test/x", "=spiffe://partner.test/x"),
            ("stranger.test/x", "="),
            ("strange*", "="),
            ("own*", "=spiffe://own.test/*"),
            ("o*", "=spiffe://own.test/*"),
            ("p*", "=spiffe://partner.test/*"),
            ("spiffe://own.test/a", ">spiffe://own.test/a"),
            ("own.test", "-"),
            ("own.test/", "-"),
            ("own.test/a b", "-"),
            ("own.test/a*b", "-"),
            ("a*b/c", "-"),
            ("", "-"),
        ] {
            assert_eq!(said(Field::Principals, istio), ours, "{istio}");
        }
    }

    #[test]
    fn the_other_fields_are_said_as_the_engine_reads_them() {
        for (field, istio, ours) in [
            (Field::Namespaces, "a*", "=a*"),
            (Field::Namespaces, "a*b", "-"),
            (Field::IpBlocks, "10.1.2.3", "=10.1.2.3"),
            (Field::IpBlocks, "10.1.2.3/8", "=10.0.0.0/8"),
            (Field::IpBlocks, "2001:db8::1/32", "=2001:db8::/32"),
            (Field::IpBlocks, "0.0.0.0/0", "=0.0.0.0/0"),
            (Field::IpBlocks, "10.0.0.0/33", "-"),
            (Field::IpBlocks, "example.org", "-"),
            (Field::Ports, "8080", "=8080"),
            (Field::Ports, "http", "-"),
            (Field::Ports, "65536", "-"),
            (Field::Ports, "+80", "-"),
            (Field::Ports, "0", "-"),
            (Field::Methods, "GET", "=GET"),
            (Field::Methods, "get", "-"),
            (Field::Hosts, "Example.org", "=example.org"),
            (Field::Hosts, "*.example.org", "=*.example.org"),
            (Field::Hosts, "example.org:*", "=example.org"),
            (Field::Hosts, "example.org:8080", ">example.org"),
            (Field::Hosts, "example.org.", ">example.org"),
            (Field::Hosts, "[::1]:80", ">[::1]"),
            (Field::Hosts, "*:8080", ">*"),
            (Field::Hosts, "*.example.org:*", "-"),
            (Field::Paths, "/info*", "=/info*"),
            (Field::Paths, "*/info", "=*/info"),
            (Field::Paths, "/a/{*}/b", ">/a/*"),
            (Field::Paths, "/a/{**}", ">/a/*"),
            (Field::Paths, "/a//b", "-"),
            (Field::Paths, "/%61", "-"),
            (Field::Paths, "/a?b", "-"),
        ] {
            assert_eq!(said(field, istio), ours, "{field:?} {istio}");
        }
    }

    #[test]
    fn a_service_account_is_the_end_of_an_identity() {
        let said = |value| vocabulary().service_account(value, "here");
        let same = |value: &str| Mapped::Same(vec![value.to_owned()]);
        assert_eq!(said("there/a"), same("*/ns/there/sa/a"));
        assert_eq!(said("a"), same("*/ns/here/sa/a"));
        for value in ["", "/a", "a/", "a/b/c", "a/*"] {
            assert!(matches!(said(value), Mapped::Nothing(_)), "{value}");
        }
    }
}
