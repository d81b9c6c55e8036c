//! Imports a text and asks the engine about what came out.
#![allow(dead_code, reason = "each test program uses its part")]

use std::convert::Infallible;

use credence_policy::{Connection, Decision, Narrowed, Policy, Reason, RequestFacts, SpiffeId};
use credence_policy_import::{Options, Source, Warning};
use serde_json::Value;

/// What came out of an import.
pub struct Imported {
    pub json: Value,
    text: String,
    warnings: Vec<Warning>,
}

/// A request and its connection.
#[derive(Debug, Clone)]
pub struct Ask {
    pub peer: Option<&'static str>,
    pub method: &'static str,
    pub path: &'static str,
    pub host: &'static str,
    pub port: Option<u16>,
    pub source: Option<&'static str>,
}

impl Ask {
    pub fn get(peer: &'static str, path: &'static str) -> Self {
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

struct Facts<'a>(&'a Ask);

impl RequestFacts for Facts<'_> {
    type Error = Infallible;

    fn method(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(Some(self.0.method.into()))
    }

    fn path(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(Some(self.0.path.into()))
    }

    fn host(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(Some(self.0.host.into()))
    }
}

pub fn try_import(text: &str, change: impl FnOnce(&mut Options)) -> Result<Imported, String> {
    let mut options = Options::default();
    change(&mut options);
    let source = Source { name: "f.yaml", text };
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
pub fn import_with(text: &str, change: impl FnOnce(&mut Options)) -> Imported {
    try_import(text, change).unwrap()
}

#[track_caller]
pub fn import(text: &str) -> Imported {
    import_with(text, |_| {})
}

#[track_caller]
pub fn refused_with(text: &str, change: impl FnOnce(&mut Options)) -> String {
    try_import(text, change).err().unwrap()
}

#[track_caller]
pub fn refused(text: &str) -> String {
    refused_with(text, |_| {})
}

impl Imported {
    pub fn policy(&self) -> Policy {
        Policy::from_json(self.text.as_bytes()).unwrap()
    }

    pub fn decide(&self, ask: &Ask) -> Decision {
        let peer = ask.peer.map(|id| SpiffeId::new(id).unwrap());
        let connection = Connection {
            peer: peer.as_ref(),
            port: ask.port,
            source: ask.source.map(|address| address.parse().unwrap()),
        };
        match self.policy().for_connection(&connection) {
            Narrowed::Decided(decision) => decision,
            Narrowed::ByRequest(policy) => policy.decide(&mut Facts(ask)).unwrap(),
        }
    }

    pub fn tcp(&self, peer: &str, port: u16) -> Decision {
        let peer = SpiffeId::new(peer).unwrap();
        self.policy().for_tcp(&Connection {
            peer: Some(&peer),
            port: Some(port),
            source: None,
        })
    }

    pub fn ask(&self, ask: &Ask) -> (Reason, Option<String>) {
        let decision = self.decide(ask);
        (decision.reason(), decision.rule().map(str::to_owned))
    }

    pub fn reason(&self, ask: &Ask) -> Reason {
        self.decide(ask).reason()
    }

    pub fn allows(&self, ask: &Ask) -> bool {
        self.decide(ask).is_allowed()
    }

    /// Exactly these warnings, by a part of each.
    #[track_caller]
    pub fn warned(&self, parts: &[&str]) {
        let texts: Vec<_> = self.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), parts.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(parts) {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[track_caller]
    pub fn silent(&self) {
        self.warned(&[]);
    }
}
