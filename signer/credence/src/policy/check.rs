//! `credence policy check`: all that is wrong with a policy.

use super::{document, print, print_json};
use crate::{cli::CheckArguments, failure::Failure};
use credence_policy_ask::{CheckReport, Document, summary};

/// Says that a policy is one.
///
/// # Errors
/// If it cannot be read, or has faults.
pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let read = document::judge(path)?;
    if arguments.json {
        print_json(&CheckReport::of(&read))?;
    }
    match read {
        Ok(_) if arguments.json => Ok(()),
        Ok(Document::Other(role)) => {
            let text = format!("{}: a configuration of the role {role}", path.display());
            print(&format!("{text}, which decides nothing\n"))
        }
        Ok(Document::Policy(policy)) => {
            print(&format!("{}: {}\n", path.display(), summary(&policy)))
        }
        Err(faults) if arguments.json => {
            let count = faults.iter().count() + faults.unlisted();
            Err(Failure::PolicyTold(path.clone(), count))
        }
        Err(faults) => Err(Failure::Policy(path.clone(), faults)),
    }
}
