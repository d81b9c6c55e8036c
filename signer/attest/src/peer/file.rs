//! Registry entries as they are written: TOML, in a file of their own or in a configuration.

use super::{
    Registry,
    place::{ContainerId, PlaceError, PodUid, Unit, octets},
    registry::{Conditions, Entry, RegistryError},
};
use serde::Deserialize;
use spiffe::SpiffeId;
use std::path::PathBuf;
use thiserror::Error;

/// Octets of a registry's file.
pub const LONGEST_REGISTRY: u64 = 4 << 20;

/// An entry as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryText {
    uid: Option<u32>,
    unit: Option<String>,
    container: Option<String>,
    pod: Option<String>,
    gid: Option<u32>,
    executable: Option<PathBuf>,
    sha256: Option<String>,
    identity: String,
}

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    entries: Vec<EntryText>,
}

/// Why what is written is no registry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryFault {
    /// Not TOML, or not with these fields.
    #[error("{0}")]
    Toml(String),
    /// An identity that is none.
    #[error("entries[{0}].identity: {1:?} is not a SPIFFE ID: {2}")]
    Identity(usize, String, String),
    /// A hash that is none.
    #[error("entries[{0}].sha256: it is not 64 hexadecimal digits")]
    Hash(usize),
    /// A unit, container or pod that is none.
    #[error("entries[{0}].{1}: {2}")]
    Place(usize, &'static str, PlaceError),
    /// The entries are not good together.
    #[error(transparent)]
    Entries(#[from] RegistryError),
}

impl Registry {
    /// Reads a registry's file: TOML with `[[entries]]`, each with `identity` and at least one of `uid`, `unit`, `container` and
    /// `pod`, and `gid`, `executable` and `sha256` where they are to narrow it. A file without entries is a registry that nobody is in.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(octets: &[u8]) -> Result<Self, RegistryFault> {
        let text = std::str::from_utf8(octets)
            .map_err(|_| RegistryFault::Toml("it is not UTF-8".into()))?;
        let file: FileText = toml::from_str(text)
            .map_err(|fault| RegistryFault::Toml(fault.to_string().trim_end().to_owned()))?;
        Self::read(file.entries)
    }

    /// Takes entries as they are written.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(entries: Vec<EntryText>) -> Result<Self, RegistryFault> {
        let entries = entries.into_iter().enumerate();
        let entries: Result<Vec<_>, _> = entries.map(|(at, text)| entry(at, text)).collect();
        Ok(Self::new(entries?)?)
    }
}

fn entry(at: usize, text: EntryText) -> Result<Entry, RegistryFault> {
    let place = |field| move |why| RegistryFault::Place(at, field, why);
    let sha256 = text
        .sha256
        .map(|digits| octets(&digits).ok_or(RegistryFault::Hash(at)));
    let unit = text.unit.map(|name| Unit::new(&name));
    let container = text.container.map(|digits| ContainerId::new(&digits));
    let pod = text.pod.map(|uid| PodUid::new(&uid));
    Ok(Entry {
        conditions: Conditions {
            uid: text.uid,
            unit: unit.transpose().map_err(place("unit"))?,
            container: container.transpose().map_err(place("container"))?,
            pod: pod.transpose().map_err(place("pod"))?,
            gid: text.gid,
            executable: text.executable,
            sha256: sha256.transpose()?,
        },
        identity: SpiffeId::new(&text.identity).map_err(|why| {
            RegistryFault::Identity(at, crate::error::cut(&text.identity), why.to_string())
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole() {
        let digits = "0aFF".repeat(16);
        let text = format!(
            "[[entries]]\nuid = 1\nidentity = \"spiffe://example.org/a\"\n\
             [[entries]]\nuid = 2\ngid = 3\nexecutable = \"/bin/b\"\nsha256 = \"{digits}\"\nidentity = \"spiffe://example.org/b\"\n\
             [[entries]]\nunit = 'app@a\\x2db.service'\nidentity = \"spiffe://example.org/c\"\n\
             [[entries]]\ncontainer = \"{digits}\"\npod = \"0A0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a\"\nidentity = \"spiffe://example.org/d\"\n"
        );
        let entry = |conditions, id: &str| Entry {
            conditions,
            identity: SpiffeId::new(format!("spiffe://example.org/{id}")).unwrap(),
        };
        let narrow = Conditions {
            gid: Some(3),
            executable: Some("/bin/b".into()),
            sha256: Some([0x0a, 0xff].repeat(16).try_into().unwrap()),
            ..Conditions::of_uid(2)
        };
        let unit = Conditions {
            unit: Some(Unit::new("app@a\\x2db.service").unwrap()),
            ..Conditions::default()
        };
        let container = Conditions {
            container: Some(ContainerId::new(&digits).unwrap()),
            pod: Some(PodUid::new(&"0a".repeat(16)).unwrap()),
            ..Conditions::default()
        };
        let expected = Registry::new(vec![
            entry(Conditions::of_uid(1), "a"),
            entry(narrow, "b"),
            entry(unit, "c"),
            entry(container, "d"),
        ])
        .unwrap();
        assert_eq!(Registry::parse(text.as_bytes()), Ok(expected));
        assert_eq!(Registry::parse(b""), Ok(Registry::default()));
    }

    #[test]
    fn what_is_not_one_is_refused_and_said_where() {
        let one = "[[entries]]\nuid = 1\nidentity = \"spiffe://example.org/a\"\n";
        for (text, told) in [
            ("uid = 1".to_owned(), "unknown field `uid`"),
            (format!("{one}user = \"x\""), "unknown field `user`"),
            (one.replace("uid = 1\n", ""), "has to name a uid, unit"),
            (one.replace("uid", "gid"), "has to name a uid, unit"),
            (format!("{one}unit = \"nginx\""), "entries[0].unit"),
            (format!("{one}unit = \"nginx@.service\""), "a template"),
            (
                format!("{one}container = \"0a0a0a0a0a0a\""),
                "entries[0].container",
            ),
            (format!("{one}pod = \"web-0\""), "entries[0].pod"),
            (one.replace("uid = 1", "uid = -1"), "invalid value"),
            (one.replace("spiffe", "https"), "entries[0].identity"),
            (format!("{one}{one}"), "for the same processes (uid=1)"),
            (format!("{one}sha256 = \"00\""), "entries[0].sha256"),
            (
                format!("{one}sha256 = \"{}\"", "é".repeat(32)),
                "entries[0].sha256",
            ),
            (format!("{one}executable = \"a\""), "absolute path"),
        ] {
            let fault = Registry::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(told), "{text}: {fault}");
        }
        assert!(Registry::parse(&[0xff]).is_err());
        let many = "[[entries]]\nuid = 1\nidentity = \"spiffe://example.org/a\"\n".repeat(10_001);
        let fault = Registry::parse(many.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains("10000 at most"), "{fault}");
    }
}
