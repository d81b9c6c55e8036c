//! `credence policy check`: all that is wrong with a policy.

use super::{
    document::{self, Document, Faulty},
    print, print_json,
};
use crate::{cli::CheckArguments, failure::Failure};
use credence_policy::Policy;
use serde_json::json;

/// Says that a policy is one.
///
/// # Errors
/// If it cannot be read, or has faults.
pub(crate) fn run(arguments: &CheckArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    match document::judge(path)? {
        Ok(Document::Other(role)) if arguments.json => {
            print_json(&json!({"ok": true, "role": role}))
        }
        Ok(Document::Other(role)) => {
            let text = format!("{}: a configuration of the role {role}", path.display());
            print(&format!("{text}, which decides nothing\n"))
        }
        Ok(Document::Policy(policy)) if arguments.json => print_json(&json!({
            "ok": true,
            "rules": policy.rules(),
            "servers": policy.server_names().len(),
            "needs": needs(&policy),
        })),
        Ok(Document::Policy(policy)) => print(&format!("{}: {}\n", path.display(), summary(&policy))),
        Err(faults) if arguments.json => {
            let count = faults.iter().count() + faults.unlisted();
            print_json(&told(&faults))?;
            Err(Failure::PolicyTold(path.clone(), count))
        }
        Err(faults) => Err(Failure::Policy(path.clone(), faults)),
    }
}

fn summary(policy: &Policy) -> String {
    let mut text = format!("a policy of {}", count(policy.rules(), "rule"));
    let servers = policy.server_names().len();
    if servers > 0 {
        text.push_str(&format!(" and {}", count(servers, "server")));
    }
    if policy.is_dry_run() {
        text.push_str("; a dry run, it refuses nothing");
    }
    for need in needs(policy) {
        text.push_str(&format!("; some rule or mode hangs on the {need}"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// What of a connection the filter has to be able to tell.
fn needs(policy: &Policy) -> Vec<&'static str> {
    let needs = policy.needs();
    [(needs.port, "port"), (needs.source, "source address")]
        .into_iter()
        .filter_map(|(needed, what)| needed.then_some(what))
        .collect()
}

fn told(faults: &Faulty) -> serde_json::Value {
    let list: Vec<_> = faults
        .iter()
        .map(|fault| json!({"pointer": fault.pointer(), "message": fault.kind().to_string()}))
        .collect();
    json!({"ok": false, "faults": list, "unlisted": faults.unlisted()})
}
