//! `[[files]]`: certificates written for applications; `[[sds_files]]`: those of others, served.

use super::{
    World,
    raw::{RawFiles, RawReload, RawSdsFiles},
    workload_id,
};
use crate::{Faults, keep};
use spiffe::SpiffeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The names of the three files, where none are given.
const NAMES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// A folder that an identity's certificates are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// Whose they are.
    pub identity: SpiffeId,
    /// The folder.
    pub folder: PathBuf,
    /// Of the certificate with its issuers, the key, and the bundle.
    pub names: [String; 3],
    /// Of certificate and bundle.
    pub mode: u32,
    /// Of the key.
    pub key_mode: u32,
    /// Whose files they become; none: the agent's own user's.
    pub uid: Option<u32>,
    /// The same of the group.
    pub gid: Option<u32>,
    /// How an application is told.
    pub reload: Option<ReloadConfig>,
}

/// How an application is told that its files are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadConfig {
    /// By a program with arguments.
    Command(PathBuf, Vec<String>),
    /// By a signal to the process whose number is in a file.
    Signal {
        /// The signal's name.
        signal: String,
        /// The file.
        pid_file: PathBuf,
    },
}

/// Folders with files that somebody else rotates, served under `file-cert:` and `file-root:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdsFiles {
    /// The folders; never empty.
    pub folders: Vec<PathBuf>,
    /// Whose callers may have them, by default identity; none: all.
    pub identities: Option<BTreeSet<SpiffeId>>,
}

pub(super) fn outputs(
    raw: Vec<RawFiles>,
    named: &BTreeSet<String>,
    world: &World<'_>,
) -> Result<Vec<OutputConfig>, Faults> {
    let mut faults = Vec::new();
    let mut parsed: Vec<OutputConfig> = Vec::new();
    let mut folders = BTreeMap::new();
    for (at, files) in raw.into_iter().enumerate() {
        let place = format!("files[{at}]");
        let folder = world.folder.join(&files.folder);
        if let Some(earlier) = folders.insert(folder.clone(), at) {
            faults.push(format!(
                "{place}.folder: {} is files[{earlier}]'s already",
                folder.display()
            ));
        }
        parsed.extend(output(files, folder, named, world, &place, &mut faults));
    }
    match faults.is_empty() {
        true => Ok(parsed),
        false => Err(Faults(faults)),
    }
}

fn output(
    raw: RawFiles,
    folder: PathBuf,
    named: &BTreeSet<String>,
    world: &World<'_>,
    place: &str,
    faults: &mut Vec<String>,
) -> Option<OutputConfig> {
    let identity = keep(faults, known(&raw.identity, named, world, place));
    let [certificate, key, bundle] = NAMES.map(str::to_owned);
    let names = [
        raw.certificate.unwrap_or(certificate),
        raw.key.unwrap_or(key),
        raw.bundle.unwrap_or(bundle),
    ];
    let mode = keep(
        faults,
        mode(&format!("{place}.mode"), raw.mode.as_deref(), 0o644),
    );
    let key_mode = keep(
        faults,
        mode_of_key(&format!("{place}.key_mode"), raw.key_mode.as_deref()),
    );
    let reload = raw
        .reload
        .map(|raw| keep(faults, reload(raw, world, place)));
    Some(OutputConfig {
        identity: identity?,
        folder,
        names,
        mode: mode?,
        key_mode: key_mode?,
        uid: raw.uid,
        gid: raw.gid,
        reload: match reload {
            None => None,
            Some(reload) => Some(reload?),
        },
    })
}

/// One of the agent's identities.
fn known(
    text: &str,
    named: &BTreeSet<String>,
    world: &World<'_>,
    place: &str,
) -> Result<SpiffeId, String> {
    let place = format!("{place}.identity");
    let id = workload_id(text, world, &place)?;
    match named.contains(text) {
        true => Ok(id),
        false => Err(format!("{place}: {id} is none of the [[identities]]")),
    }
}

fn mode(place: &str, text: Option<&str>, default: u32) -> Result<u32, String> {
    let Some(text) = text else { return Ok(default) };
    let octal = text.len() == 4 && text.starts_with('0');
    let parsed = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    match parsed {
        Some(mode) if mode & !0o666 == 0 && mode & 0o400 != 0 => Ok(mode),
        _ => Err(format!(
            "{place}: {text:?} is no mode such as \"0640\": only read and write bits, and its owner has to be able to read"
        )),
    }
}

fn mode_of_key(place: &str, text: Option<&str>) -> Result<u32, String> {
    match mode(place, text, 0o600)? {
        open if open & 0o007 != 0 => Err(format!(
            "{place}: {open:04o} gives the key to everybody; owner and group may have a part in it, others not"
        )),
        mode => Ok(mode),
    }
}

fn reload(raw: RawReload, world: &World<'_>, place: &str) -> Result<ReloadConfig, String> {
    match (raw.command, raw.signal, raw.pid_file) {
        (Some(words), None, None) => match words.split_first() {
            Some((program, arguments)) if program.starts_with('/') => {
                Ok(ReloadConfig::Command(program.into(), arguments.to_vec()))
            }
            _ => Err(format!(
                "{place}.reload.command: a program with its absolute path, and its arguments; there is no shell"
            )),
        },
        (None, Some(signal), Some(pid_file)) => match signal.strip_prefix("SIG").unwrap_or(&signal)
        {
            "HUP" | "USR1" | "USR2" => Ok(ReloadConfig::Signal {
                pid_file: world.folder.join(pid_file),
                signal,
            }),
            _ => Err(format!(
                "{place}.reload.signal: {signal:?} is none of SIGHUP, SIGUSR1, SIGUSR2"
            )),
        },
        _ => Err(format!(
            "{place}.reload: either command, or signal and pid_file"
        )),
    }
}

pub(super) fn served(
    raw: Vec<RawSdsFiles>,
    named: &BTreeSet<String>,
    world: &World<'_>,
) -> Result<Vec<SdsFiles>, Faults> {
    let mut faults = Vec::new();
    let mut parsed = Vec::new();
    for (at, files) in raw.into_iter().enumerate() {
        let place = format!("sds_files[{at}]");
        if files.folders.is_empty() {
            faults.push(format!("{place}.folders: name at least one"));
        }
        let folders: Vec<_> = files
            .folders
            .iter()
            .map(|path| world.folder.join(path))
            .collect();
        if folders.iter().any(|folder| folder.parent().is_none()) {
            faults.push(format!(
                "{place}.folders: / is everything there is: name folders one by one"
            ));
        }
        let identities = files.identities.map(|texts| {
            if texts.is_empty() {
                faults.push(format!(
                    "{place}.identities: nobody could have them; left out, all may"
                ));
            }
            let known = texts.iter().map(|text| known(text, named, world, &place));
            known.filter_map(|id| keep(&mut faults, id)).collect()
        });
        parsed.push(SdsFiles {
            folders,
            identities,
        });
    }
    match faults.is_empty() {
        true => Ok(parsed),
        false => Err(Faults(faults)),
    }
}
