//! Registry entries as they are written: TOML, in a file of their own or in a configuration.

use super::{
    Registry,
    registry::{Entry, RegistryError},
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
    uid: u32,
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
    /// The entries are not good together.
    #[error(transparent)]
    Entries(#[from] RegistryError),
}

impl Registry {
    /// Reads a registry's file: TOML with `[[entries]]`, each with `uid` and `identity`, and `gid`, `executable` and
    /// `sha256` where they are to narrow it. A file without entries is a registry that nobody is in.
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
    let sha256 = text.sha256.map(|digits| hash(&digits));
    Ok(Entry {
        uid: text.uid,
        gid: text.gid,
        executable: text.executable,
        sha256: match sha256 {
            Some(None) => return Err(RegistryFault::Hash(at)),
            known => known.flatten(),
        },
        identity: SpiffeId::new(&text.identity).map_err(|why| {
            RegistryFault::Identity(at, crate::error::cut(&text.identity), why.to_string())
        })?,
    })
}

/// 64 hexadecimal digits, in either case.
fn hash(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; 32];
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole() {
        let digits = "0aFF".repeat(16);
        let text = format!(
            "[[entries]]\nuid = 1\nidentity = \"spiffe://example.org/a\"\n\
             [[entries]]\nuid = 2\ngid = 3\nexecutable = \"/bin/b\"\nsha256 = \"{digits}\"\nidentity = \"spiffe://example.org/b\"\n"
        );
        let entry = |uid, id: &str| Entry {
            uid,
            gid: None,
            executable: None,
            sha256: None,
            identity: SpiffeId::new(format!("spiffe://example.org/{id}")).unwrap(),
        };
        let narrow = Entry {
            gid: Some(3),
            executable: Some("/bin/b".into()),
            sha256: Some([0x0a, 0xff].repeat(16).try_into().unwrap()),
            ..entry(2, "b")
        };
        let expected = Registry::new(vec![entry(1, "a"), narrow]).unwrap();
        assert_eq!(Registry::parse(text.as_bytes()), Ok(expected));
        assert_eq!(Registry::parse(b""), Ok(Registry::default()));
    }

    #[test]
    fn what_is_not_one_is_refused_and_said_where() {
        let one = "[[entries]]\nuid = 1\nidentity = \"spiffe://example.org/a\"\n";
        for (text, told) in [
            ("uid = 1".to_owned(), "unknown field `uid`"),
            (format!("{one}user = \"x\""), "unknown field `user`"),
            (one.replace("uid = 1\n", ""), "missing field `uid`"),
            (one.replace("uid = 1", "uid = -1"), "invalid value"),
            (one.replace("spiffe", "https"), "entries[0].identity"),
            (format!("{one}{one}"), "for the same processes (uid 1)"),
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
