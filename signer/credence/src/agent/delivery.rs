//! From the configuration to what runs around the agent's core: files for applications, and files of others.

use crate::failure::Failure;
use credence_config::{
    Faults,
    agent::{Federation, OutputConfig, Profile, ReloadConfig, SdsFiles},
};
use credence_delivery::{
    federation::{Foreign, Source},
    outputs::Output,
    watched::{Grant, Who},
};
use credence_files::{
    watched::Folders,
    written::{Names, Owner, Place, PlaceError, Reload, Signal},
};
use std::path::Path;

/// Where certificates are written.
///
/// # Errors
/// If a place cannot be one; every fault, with where it stands.
pub(super) fn outputs(file: &Path, config: &[OutputConfig]) -> Result<Vec<Output>, Failure> {
    let (mut outputs, mut faults) = (Vec::new(), Vec::new());
    for (at, one) in config.iter().enumerate() {
        match output(one) {
            Ok(output) => outputs.push(output),
            Err(fault) => faults.push(format!("files[{at}]: {fault}")),
        }
    }
    whole(file, outputs, faults)
}

/// Whose files are served that somebody else rotates.
///
/// # Errors
/// As [`outputs`].
pub(super) fn grants(file: &Path, config: &[SdsFiles]) -> Result<Vec<Grant>, Failure> {
    let (mut grants, mut faults) = (Vec::new(), Vec::new());
    for (at, one) in config.iter().enumerate() {
        match Folders::new(one.folders.clone()) {
            Ok(folders) => grants.push(Grant {
                folders,
                who: one.identities.clone().map_or(Who::Everyone, Who::Only),
            }),
            Err(fault) => faults.push(format!("sds_files[{at}].folders: {fault}")),
        }
    }
    whole(file, grants, faults)
}

/// Where bundles of other trust domains come from.
pub(super) fn foreign(config: &[Federation]) -> Vec<Foreign> {
    let source = |profile: &Profile| match profile.clone() {
        Profile::File(path) => Source::File(path),
        Profile::HttpsWeb { url, roots } => Source::HttpsWeb {
            url,
            roots: roots.into(),
        },
        Profile::HttpsSpiffe {
            url,
            endpoint,
            first,
        } => Source::HttpsSpiffe {
            url,
            server: endpoint,
            first,
        },
    };
    let foreign = config.iter().map(|one| Foreign {
        trust_domain: one.trust_domain.clone(),
        source: source(&one.profile),
    });
    foreign.collect()
}

fn whole<T>(file: &Path, values: Vec<T>, faults: Vec<String>) -> Result<Vec<T>, Failure> {
    match Faults::of(faults) {
        None => Ok(values),
        Some(faults) => Err(Failure::Config(file.to_path_buf(), faults)),
    }
}

fn output(config: &OutputConfig) -> Result<Output, PlaceError> {
    let [certificate, key, bundle] = &config.names;
    let names = Names::new(certificate, key, bundle)?;
    let place = Place::new(&config.folder)?.with_names(names);
    let mut place = place.with_modes(config.mode, config.key_mode)?;
    if config.uid.is_some() || config.gid.is_some() {
        place = place.with_owner(Owner {
            uid: config.uid,
            gid: config.gid,
        });
    }
    Ok(Output {
        identity: config.identity.clone(),
        place,
        reload: config.reload.as_ref().and_then(reload),
    })
}

/// A signal that is none was refused with the configuration.
fn reload(config: &ReloadConfig) -> Option<Reload> {
    match config {
        ReloadConfig::Command(program, arguments) => Some(Reload::Command {
            program: program.clone(),
            arguments: arguments.clone(),
        }),
        ReloadConfig::Signal { signal, pid_file } => {
            Signal::parse(signal).map(|signal| Reload::Signal {
                pid_file: pid_file.clone(),
                signal,
            })
        }
    }
}
