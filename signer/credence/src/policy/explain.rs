//! `credence policy explain`: a decision, and what each rule has to do with it.

use super::{document, print, print_json, table::table};
use crate::{cli::ExplainArguments, failure::Failure};
use credence_policy::{Decision, Explanation, RuleExplanation, plain::Request};
use credence_policy_ask::{Ask, Explained, Told};

/// Prints how a policy decides.
///
/// # Errors
/// If the policy cannot be read, or has faults.
pub(crate) fn run(arguments: &ExplainArguments) -> Result<(), Failure> {
    let policy = document::load(&arguments.file)?;
    let explanation = ask(arguments).explain(&policy);
    if arguments.json {
        print_json(&Explained::of(&explanation))
    } else {
        print(&as_text(&explanation))
    }
}

fn ask(arguments: &ExplainArguments) -> Ask {
    let octets = |text: &Option<String>| text.clone().map(String::into_bytes);
    Ask {
        peer: arguments.peer.clone(),
        port: arguments.port,
        source: arguments.source,
        request: Request {
            method: octets(&arguments.method),
            path: octets(&arguments.path),
            host: octets(&arguments.host),
        },
        tcp: arguments.tcp,
    }
}

fn as_text(explanation: &Explanation) -> String {
    let decision = explanation.decision();
    let told = Told::of(decision);
    let mut text = format!("{}: {}\n", told.in_words(), decision.reason().sentence());
    if let Some(would) = &told.would {
        text.push_str(&format!(
            "if nothing were a dry run: {}\n",
            would.in_words()
        ));
    }
    if !told.audited.is_empty() {
        text.push_str(&format!("audited by {}\n", told.audited.join(", ")));
    }
    let rows: Vec<_> = explanation
        .rules()
        .iter()
        .enumerate()
        .map(|(index, rule)| row(index, rule, decision))
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(["", "RULE", "ACTION", "WHY"], &rows));
    }
    text
}

fn row(index: usize, rule: &RuleExplanation, decision: &Decision) -> [String; 4] {
    let decides = decision.rule_index() == Some(index);
    let mark = if decides { "->" } else { "" };
    let dry = if rule.is_dry_run() { " (dry run)" } else { "" };
    [
        mark.to_owned(),
        rule.name().to_owned(),
        format!("{}{dry}", rule.action().name()),
        rule.verdict().to_string(),
    ]
}
