//! Where the record is kept: sentry itself keeps none, so that its command line does not say.

use super::error::SentryError;
use credence_sentry::{Environment, Settings};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use tracing::warn;

/// The folder, which is there when this returns: the one that is named; or beside the credentials' folder, `FOLDER.state`; or where that
/// cannot be made, since secrets are mounted so, where programs of a user keep their state.
pub(super) fn folder(
    settings: &Settings,
    environment: &Environment,
) -> Result<PathBuf, SentryError> {
    if let Some(named) = &settings.state_dir {
        return Ok(named.clone());
    }
    let beside = beside(&settings.credentials.folder);
    let refused = match made(&beside) {
        Ok(()) => return Ok(beside),
        Err(error) => error,
    };
    let Some(own) = own(environment) else {
        return Err(SentryError::NoState(beside, refused));
    };
    made(&own).map_err(|error| SentryError::NoState(own.clone(), error))?;
    warn!(
        folder = %own.display(),
        "the record is kept there, since {} cannot be made ({refused}); --state-dir names another folder",
        beside.display()
    );
    Ok(own)
}

fn beside(credentials: &Path) -> PathBuf {
    // a dot, or a slash at the end, is no name
    let whole = std::path::absolute(credentials).unwrap_or_else(|_| credentials.to_path_buf());
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(".state");
    whole.with_file_name(name)
}

/// `$XDG_STATE_HOME`, or what stands for it.
fn own(environment: &Environment) -> Option<PathBuf> {
    let named = |name: &str| {
        let folder = environment.get(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let home = || Some(named("HOME")?.join(".local/state"));
    Some(
        named("XDG_STATE_HOME")
            .or_else(home)?
            .join("credence/sentry"),
    )
}

fn made(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_beside_the_credentials() {
        for (credentials, expected) in [
            ("/a/certs", "/a/certs.state"),
            ("/a/certs/", "/a/certs.state"),
            ("/a/./certs/.", "/a/certs.state"),
        ] {
            assert_eq!(beside(Path::new(credentials)), Path::new(expected));
        }
        let here = std::env::current_dir().unwrap();
        let name = here.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            beside(Path::new(".")),
            here.with_file_name(format!("{name}.state"))
        );
    }

    #[test]
    fn elsewhere_it_is_the_user_s() {
        let of = |variables: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            own_folder(&variables.iter().map(own).collect())
        };
        let folder = |text: &str| Some(text.to_owned());
        assert_eq!(
            of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]),
            folder("/s/credence/sentry")
        );
        assert_eq!(
            of(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
            folder("/h/.local/state/credence/sentry")
        );
        assert_eq!(of(&[("HOME", "")]), None);
    }

    fn own_folder(environment: &Environment) -> Option<String> {
        own(environment).map(|folder| folder.display().to_string())
    }
}
