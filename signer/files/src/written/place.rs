//! Where files go, and how they may be read: checked values.

use std::path::{Path, PathBuf};

/// What the files are called in their folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    certificate: String,
    key: String,
    bundle: String,
}

/// Whose files they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user; `None` leaves the agent's own.
    pub uid: Option<u32>,
    /// The group; `None` leaves the agent's own.
    pub gid: Option<u32>,
}

/// A folder that certificates are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) folder: PathBuf,
    pub(super) names: Names,
    pub(super) mode: u32,
    pub(super) key_mode: u32,
    pub(super) owner: Option<Owner>,
}

/// Why a place cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The working directory may be anywhere.
    #[error("the folder {} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// A name that is a path, or that the layout needs itself.
    #[error(
        "{0:?} is no name for a file here: letters, digits, '.', '_' and '-', not two dots at its beginning, at most 128 bytes"
    )]
    Name(String),
    /// Two files of one name.
    #[error("two of the files are called {0:?}")]
    Twice(String),
    /// More than reading and writing.
    #[error(
        "mode {0:04o} of the {1}: only read and write bits, and its owner has to be able to read"
    )]
    Mode(u32, &'static str),
    /// A key for everybody.
    #[error("mode {0:04o} of the key: others than owner and group must have no part in it")]
    OpenKey(u32),
}

impl Names {
    /// Of the certificate with its issuers, the key, and the trust bundle.
    ///
    /// # Errors
    /// If one of them is a path or begins with two dots, or two are the same.
    pub fn new(certificate: &str, key: &str, bundle: &str) -> Result<Self, PlaceError> {
        let all = [certificate, key, bundle];
        if let Some(bad) = all.iter().find(|name| !is_name(name)) {
            return Err(PlaceError::Name((*bad).to_owned()));
        }
        if certificate == key || certificate == bundle {
            return Err(PlaceError::Twice(certificate.to_owned()));
        }
        if key == bundle {
            return Err(PlaceError::Twice(key.to_owned()));
        }
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            bundle: bundle.to_owned(),
        })
    }

    pub(super) fn all(&self) -> [&str; 3] {
        [&self.certificate, &self.key, &self.bundle]
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn bundle(&self) -> &str {
        &self.bundle
    }
}

impl Default for Names {
    /// As Kubernetes and cert-manager call them.
    fn default() -> Self {
        Self {
            certificate: "tls.crt".to_owned(),
            key: "tls.key".to_owned(),
            bundle: "ca.crt".to_owned(),
        }
    }
}

impl Place {
    /// A folder, the usual names, certificates that everybody may read, and a key that its owner alone may.
    ///
    /// # Errors
    /// If the path is not absolute.
    pub fn new(folder: &Path) -> Result<Self, PlaceError> {
        if !folder.is_absolute() {
            return Err(PlaceError::Relative(folder.to_owned()));
        }
        Ok(Self {
            folder: folder.to_owned(),
            names: Names::default(),
            mode: 0o644,
            key_mode: 0o600,
            owner: None,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// With other names.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// With other modes: of the certificate and the bundle, and of the key.
    ///
    /// # Errors
    /// If a mode has other bits than those for reading and writing, or gives the key to everybody.
    pub fn with_modes(mut self, mode: u32, key_mode: u32) -> Result<Self, PlaceError> {
        for (mode, what) in [(mode, "certificates"), (key_mode, "key")] {
            if mode & !0o666 != 0 || mode & 0o400 == 0 {
                return Err(PlaceError::Mode(mode, what));
            }
        }
        if key_mode & 0o007 != 0 {
            return Err(PlaceError::OpenKey(key_mode));
        }
        (self.mode, self.key_mode) = (mode, key_mode);
        Ok(self)
    }

    /// Given to somebody else.
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }
}

fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
    (1..=128).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with("..")
        && name != "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_no_paths() {
        for bad in ["", ".", "..", "..data", "a/b", "/a", "a\0b", "é", "a b"] {
            let refused = Names::new(bad, "key", "bundle");
            assert_eq!(refused, Err(PlaceError::Name(bad.to_owned())));
        }
        let long = "a".repeat(129);
        assert!(Names::new("a", &long, "c").is_err());
        assert!(Names::new("svid.pem", "svid_key.pem", ".bundle-1").is_ok());
    }

    #[test]
    fn no_two_files_have_one_name() {
        for (a, b, c) in [("x", "x", "z"), ("x", "y", "x"), ("x", "y", "y")] {
            assert!(matches!(Names::new(a, b, c), Err(PlaceError::Twice(_))));
        }
    }

    #[test]
    fn a_key_is_not_for_everybody_and_nothing_is_executable() {
        let place = || Place::new(Path::new("/srv/tls")).unwrap();
        assert!(place().with_modes(0o644, 0o640).is_ok());
        assert!(place().with_modes(0o444, 0o400).is_ok());
        let refused = |mode, key| place().with_modes(mode, key).unwrap_err();
        assert_eq!(refused(0o644, 0o644), PlaceError::OpenKey(0o644));
        assert_eq!(refused(0o644, 0o602), PlaceError::OpenKey(0o602));
        assert_eq!(
            refused(0o755, 0o600),
            PlaceError::Mode(0o755, "certificates")
        );
        assert_eq!(
            refused(0o4644, 0o600),
            PlaceError::Mode(0o4644, "certificates")
        );
        assert_eq!(refused(0o644, 0o200), PlaceError::Mode(0o200, "key"));
    }

    #[test]
    fn a_folder_does_not_depend_on_where_the_agent_was_started() {
        let refused = Place::new(Path::new("tls"));
        assert_eq!(refused, Err(PlaceError::Relative("tls".into())));
    }
}
