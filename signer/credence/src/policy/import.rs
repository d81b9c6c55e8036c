//! `credence policy import`: Istio's policies in, ours out.

use super::print;
use crate::{cli::ImportArguments, failure::Failure, input};
use credence_policy_import::{Options, Source, import, yaml};

/// Prints the policy that the files come to, and a warning for each thing without counterpart.
///
/// # Errors
/// If a file cannot be read, or it cannot be told what the files mean.
pub(crate) fn run(arguments: &ImportArguments) -> Result<(), Failure> {
    let files = arguments
        .files
        .iter()
        .map(|path| {
            Ok((
                path.display().to_string(),
                input::read_text(path, yaml::MAX_BYTES)?,
            ))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| Source { name, text })
        .collect();
    let imported = import(&sources, &options(arguments)).map_err(Failure::Import)?;
    for warning in &imported.warnings {
        eprintln!("warning: {warning}");
    }
    print(&format!("{}\n", imported.json))
}

fn options(arguments: &ImportArguments) -> Options {
    let labels = &arguments.label;
    Options {
        trust_domain: arguments.trust_domain.clone(),
        aliases: arguments.trust_domain_alias.clone(),
        federated: arguments.federated_trust_domain.clone(),
        namespace: arguments.namespace.clone(),
        root_namespace: arguments.root_namespace.clone(),
        labels: (!labels.is_empty()).then(|| labels.iter().cloned().collect()),
        target: arguments.target.clone(),
    }
}
