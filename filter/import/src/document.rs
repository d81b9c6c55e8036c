//! The policy document that comes out.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

/// A policy as `credence_policy::Policy::from_json` reads it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyDocument {
    pub(crate) trust_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) trust_domain_aliases: Vec<String>,
    pub(crate) mtls: Mtls,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) port_level_mtls: BTreeMap<u16, Mtls>,
    pub(crate) default_action: Action,
    pub(crate) rules: Vec<RuleDocument>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Mtls {
    pub(crate) mode: Mode,
}

/// In the order of how little they let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mode {
    Disable,
    Permissive,
    Strict,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disable => "DISABLE",
            Self::Permissive => "PERMISSIVE",
            Self::Strict => "STRICT",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Action {
    Allow,
    Deny,
    Audit,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleDocument {
    pub(crate) name: String,
    pub(crate) action: Action,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
    #[serde(flatten)]
    pub(crate) conditions: Conditions,
}

/// What a rule asks: lists by field, in the order in which documents write them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions(pub(crate) BTreeMap<Key, Vec<String>>);

/// A field, in its plain or its `not…` form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) field: Field,
    pub(crate) not: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Principals,
    Namespaces,
    IpBlocks,
    Ports,
    Methods,
    Hosts,
    Paths,
}

impl Key {
    pub(crate) const fn name(self) -> &'static str {
        match (self.field, self.not) {
            (Field::Principals, false) => "principals",
            (Field::Principals, true) => "notPrincipals",
            (Field::Namespaces, false) => "namespaces",
            (Field::Namespaces, true) => "notNamespaces",
            (Field::IpBlocks, false) => "ipBlocks",
            (Field::IpBlocks, true) => "notIpBlocks",
            (Field::Ports, false) => "ports",
            (Field::Ports, true) => "notPorts",
            (Field::Methods, false) => "methods",
            (Field::Methods, true) => "notMethods",
            (Field::Hosts, false) => "hosts",
            (Field::Hosts, true) => "notHosts",
            (Field::Paths, false) => "paths",
            (Field::Paths, true) => "notPaths",
        }
    }
}

impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, values) in &self.0 {
            let numbers: Vec<u16> = match key.field {
                Field::Ports => values.iter().filter_map(|port| port.parse().ok()).collect(),
                _ => Vec::new(),
            };
            match key.field {
                Field::Ports => map.serialize_entry(key.name(), &numbers)?,
                _ => map.serialize_entry(key.name(), values)?,
            }
        }
        map.end()
    }
}
