//! Imports a text and asks the engine about what came out.
#![allow(dead_code, reason = "each test program uses its part")]

use credence_policy::{Connection, Decision, Policy, Reason, SpiffeId, plain::Request};
use credence_policy_import::{Options, Source, Warning};
use serde_json::Value;

/// What came out of an import.
pub(crate) struct Imported {
    pub(crate) json: Value,
    text: String,
    warnings: Vec<Warning>,
}

/// A request and its connection.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) peer: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: Option<u16>,
    pub(crate) source: Option<&'static str>,
}

impl Ask {
    pub(crate) fn get(peer: &'static str, path: &'static str) -> Self {
        Self {
            peer: Some(peer),
            method: "GET",
            path,
            host: "a.example.org",
            port: Some(8080),
            source: Some("10.0.0.1"),
        }
    }
}

pub(crate) fn try_import(
    text: &str,
    change: impl FnOnce(&mut Options),
) -> Result<Imported, String> {
    let mut options = Options::default();
    change(&mut options);
    let source = Source {
        name: "f.yaml",
        text,
    };
    match credence_policy_import::import(&[source], &options) {
        Ok(imported) => Ok(Imported {
            json: serde_json::from_str(&imported.json).unwrap(),
            text: imported.json,
            warnings: imported.warnings,
        }),
        Err(problems) => {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(problems.join("\n"))
        }
    }
}

#[track_caller]
pub(crate) fn import_with(text: &str, change: impl FnOnce(&mut Options)) -> Imported {
    try_import(text, change).unwrap()
}

#[track_caller]
pub(crate) fn import(text: &str) -> Imported {
    import_with(text, |_| {})
}

#[track_caller]
pub(crate) fn refused_with(text: &str, change: impl FnOnce(&mut Options)) -> String {
    try_import(text, change).err().unwrap()
}

#[track_caller]
pub(crate) fn refused(text: &str) -> String {
    refused_with(text, |_| {})
}

impl Imported {
    pub(crate) fn policy(&self) -> Policy {
        Policy::from_json(self.text.as_bytes()).unwrap()
    }

    pub(crate) fn decide(&self, ask: &Ask) -> Decision {
        let peer = ask.peer.map(|id| SpiffeId::new(id).unwrap());
        let connection = Connection {
            peer: peer.as_ref(),
            port: ask.port,
            source: ask.source.map(|address| address.parse().unwrap()),
        };
        let mut request = Request {
            host: Some(ask.host.into()),
            ..Request::new(ask.method, ask.path)
        };
        let Ok(decision) = self
            .policy()
            .for_connection(&connection)
            .decide(&mut request);
        decision
    }

    pub(crate) fn tcp(&self, peer: &str, port: u16) -> Decision {
        let peer = SpiffeId::new(peer).unwrap();
        self.policy().for_tcp(&Connection {
            peer: Some(&peer),
            port: Some(port),
            source: None,
        })
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let rules = self.json["rules"].as_array().unwrap().iter();
        rules.map(|rule| rule["name"].as_str().unwrap()).collect()
    }

    pub(crate) fn ask(&self, ask: &Ask) -> (Reason, Option<String>) {
        let decision = self.decide(ask);
        (decision.reason(), decision.rule().map(str::to_owned))
    }

    pub(crate) fn reason(&self, ask: &Ask) -> Reason {
        self.decide(ask).reason()
    }

    pub(crate) fn allows(&self, ask: &Ask) -> bool {
        self.decide(ask).is_allowed()
    }

    pub(crate) fn has_warned(&self, part: &str) -> bool {
        self.warnings
            .iter()
            .any(|warning| warning.to_string().contains(part))
    }

    /// Exactly these warnings, by a part of each.
    #[track_caller]
    pub(crate) fn warned(&self, parts: &[&str]) {
        let texts: Vec<_> = self.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), parts.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(parts) {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[track_caller]
    pub(crate) fn silent(&self) {
        self.warned(&[]);
    }
}
