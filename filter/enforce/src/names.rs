//! The names of what is counted and measured.
//!
//! Envoy puts `wasmcustom.` in front, and makes labels of a name's parts if its bootstrap says how:
//! `docs/metrics.md` has the table and the tags. A value from outside is written as `label=.=value;.;`,
//! which a regular expression finds whatever dots and slashes the value has.

use crate::{
    closing::Cause,
    reason::{Flow, Reason},
};

/// The value of a label for all that is beyond a cap.
pub const OVERFLOW: &str = "(overflow)";

/// Of whom certificates are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Those who connect to this service.
    Peer,
    /// Those to whom this service connects.
    Server,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Peer, Self::Server];

    /// `peer` or `server`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Server => "server",
        }
    }
}

/// What went without identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A request.
    Http,
    /// A connection.
    Tcp,
}

impl Protocol {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Http, Self::Tcp];
}

/// The counter of what was decided for this reason.
#[must_use]
pub fn decided(flow: Flow, reason: Reason) -> String {
    let what = match flow {
        Flow::Inbound => "requests_total.inbound",
        Flow::Outbound => "requests_total.outbound",
        Flow::Connection => "connections_total.inbound",
    };
    format!("credence.{what}.{}.{}", reason.decision(), reason.label())
}

/// The counter of what PERMISSIVE or DISABLE let past without identity.
#[must_use]
pub const fn plaintext(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "credence.plaintext_total.http",
        Protocol::Tcp => "credence.plaintext_total.tcp",
    }
}

/// The counter of connections closed for this cause.
#[must_use]
pub fn closed(cause: Cause) -> String {
    format!("credence.connections_closed_total.{}", cause.label())
}

/// A series with one label.
pub(crate) fn labelled(name: &str, label: &str, value: &str) -> String {
    format!("credence.{name}.{label}=.={value};.;")
}

/// A counter of a rule.
pub(crate) fn of_rule(name: &str, rule: &str) -> String {
    labelled(name, "rule", rule)
}

/// A series of a peer or a server; `what` is the name without `peer_` or `server_` in front.
pub(crate) fn of_identity(side: Side, what: &str, id: &str) -> String {
    let label = side.label();
    labelled(&format!("{label}_{what}"), label, id)
}

/// The gauge of peers or servers by the issuer of their newest certificate.
pub(crate) fn by_issuer(side: Side, issuer: &str, root: &str) -> String {
    let label = side.label();
    format!("credence.{label}s_by_issuer.issuer=.={issuer};.;root=.={root};.;")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_that_the_tags_can_split() {
        for flow in [Flow::Inbound, Flow::Outbound, Flow::Connection] {
            let names: HashSet<_> = Reason::all().map(|reason| decided(flow, reason)).collect();
            assert_eq!(names.len(), Reason::COUNT);
            for name in names {
                let parts: Vec<_> = name.split('.').collect();
                let ["credence", _, "inbound" | "outbound", "allow" | "deny", _] = parts[..] else {
                    panic!("{name}");
                };
            }
        }
    }

    #[test]
    fn every_name_is_in_the_documentation() {
        let table = include_str!("../../../docs/metrics.md");
        let of = |name: String| name.split('.').nth(1).unwrap().to_owned();
        let mut names = vec![
            of(decided(Flow::Inbound, Reason::HostFailure)),
            of(decided(Flow::Connection, Reason::HostFailure)),
            of(plaintext(Protocol::Http).to_owned()),
            of(closed(Cause::Expired)),
        ];
        names.extend(crate::tally::RULE_COUNTERS.map(str::to_owned));
        for side in Side::ALL {
            names.push(of(by_issuer(side, "", "")));
            names.extend(crate::ledger::NAMES.map(|name| format!("{}_{name}", side.label())));
        }
        names.extend(crate::own::NAMES.map(str::to_owned));
        for name in names {
            assert!(table.contains(&format!("`credence_{name}`")), "{name}");
        }
    }
}
