//! `file-cert:CERT~KEY` and `file-root:PATH`, the names that Istio's agent has for files on SDS.

use std::path::{Component, Path, PathBuf};

const CERTIFICATE: &str = "file-cert:";
const ROOT: &str = "file-root:";
/// Longer than any path that the system takes.
const LONGEST: usize = 2 * 4096 + 16;

/// What a name stands for. The paths are absolute and have no `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A certificate with its issuers, and its key.
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Root certificates.
    Roots(PathBuf),
}

/// Why a name that begins like one of a file is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two paths with a `~` between them.
    #[error("file-cert: takes the certificate's path and the key's with one ~ between them")]
    NotAPair,
    /// It depends on where the agent was started, or climbs.
    #[error("the path has to be absolute, without '.', '..' and empty parts")]
    Path,
    /// Too long.
    #[error("the name is longer than {LONGEST} bytes")]
    TooLong,
}

impl Source {
    /// Reads a name; `None` is one of another kind.
    ///
    /// # Errors
    /// [`NameError`] if it is one of a file, but not a good one.
    pub fn parse(name: &str) -> Option<Result<Self, NameError>> {
        let is_ours = name.starts_with(CERTIFICATE) || name.starts_with(ROOT);
        is_ours.then(|| Self::read(name))
    }

    fn read(name: &str) -> Result<Self, NameError> {
        if name.len() > LONGEST {
            return Err(NameError::TooLong);
        }
        if let Some(root) = name.strip_prefix(ROOT) {
            return path(root).map(Self::Roots);
        }
        let pair = name.strip_prefix(CERTIFICATE).unwrap_or_default();
        let (certificate, key) = pair.split_once('~').ok_or(NameError::NotAPair)?;
        if key.contains('~') {
            return Err(NameError::NotAPair);
        }
        Ok(Self::Pair {
            certificate: path(certificate)?,
            key: path(key)?,
        })
    }

    /// The name on SDS.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Pair { certificate, key } => {
                format!("{CERTIFICATE}{}~{}", certificate.display(), key.display())
            }
            Self::Roots(path) => format!("{ROOT}{}", path.display()),
        }
    }
}

/// As it stands: what would be left out of it if it were cleaned up is not let in.
fn path(text: &str) -> Result<PathBuf, NameError> {
    let path = Path::new(text);
    let mut parts = path.components();
    let absolute = parts.next() == Some(Component::RootDir);
    let rebuilt: PathBuf = path.components().collect();
    let plain = parts.all(|part| matches!(part, Component::Normal(_)));
    let last = path.file_name().is_some();
    if !(absolute && plain && last)
        || rebuilt.as_os_str() != path.as_os_str()
        || text.contains('\0')
    {
        return Err(NameError::Path);
    }
    Ok(rebuilt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str) -> Result<Source, NameError> {
        Source::parse(name).unwrap()
    }

    #[test]
    fn names_of_files_are_read() {
        let pair = Source::Pair {
            certificate: "/etc/certs/tls.crt".into(),
            key: "/etc/keys/tls.key".into(),
        };
        assert_eq!(
            read("file-cert:/etc/certs/tls.crt~/etc/keys/tls.key"),
            Ok(pair)
        );
        assert_eq!(
            read("file-root:/etc/ca.crt"),
            Ok(Source::Roots("/etc/ca.crt".into()))
        );
    }

    #[test]
    fn other_names_are_others() {
        for other in [
            "default",
            "ROOTCA",
            "spiffe://example.org/a",
            "",
            "file",
            "File-root:/a",
        ] {
            assert_eq!(Source::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_pair_is_two_paths() {
        for bad in ["file-cert:", "file-cert:/a", "file-cert:/a~/b~/c"] {
            assert_eq!(read(bad), Err(NameError::NotAPair), "{bad}");
        }
    }

    #[test]
    fn paths_neither_climb_nor_depend_on_a_place() {
        for bad in [
            "", "a", "./a", "/", "//a", "/a//b", "/a/./b", "/a/../b", "/a/..", "/a/", "/a\0b",
            "../a",
        ] {
            assert_eq!(
                read(&format!("file-root:{bad}")),
                Err(NameError::Path),
                "{bad:?}"
            );
            let pair = format!("file-cert:/good~{bad}");
            assert_eq!(read(&pair), Err(NameError::Path), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_an_end() {
        let long = format!("file-root:/{}", "a".repeat(LONGEST));
        assert_eq!(read(&long), Err(NameError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(name in "file-(cert|root):[/a~.]{0,12}") {
            if let Ok(source) = read(&name) {
                prop_assert_eq!(source.name(), name);
            }
        }
    }
}
