//! Roots and issuers as tables.

use credence_ca::validity::Time;
use credence_service::admin::protocol::{Authority, Standing};
use std::fmt::Write as _;

/// What is said of who holds up a step: so many names, and how many more.
const NAMED: usize = 10;

pub(super) fn status(standing: &Standing) -> String {
    let mut text = format!(
        "trust domain  {}\nbundle        {}\nlive leaves   {}\n\n",
        standing.trust_domain, standing.bundle, standing.live_leaves
    );
    let _ = writeln!(
        text,
        "{:<7}  {:<12}  {:<20}  {:<20}  SHA-256",
        "ROLE", "PHASE", "FROM", "TO"
    );
    for (role, one) in all(standing) {
        let _ = writeln!(
            text,
            "{role:<7}  {:<12}  {:<20}  {:<20}  {}",
            one.phase,
            time(one.not_before),
            time(one.not_after),
            one.id.as_deref().unwrap_or("-"),
        );
        holds(&mut text, one);
    }
    warnings(&mut text, standing);
    text
}

pub(super) fn expiry(standing: &Standing) -> String {
    let mut text = format!("{:<7}  {:<12}  {:<20}  SHA-256\n", "ROLE", "PHASE", "ENDS");
    for (role, one) in all(standing).filter(|(_, one)| one.phase != "retired") {
        let id = one.id.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{role:<7}  {:<12}  {:<20}  {id}",
            one.phase,
            time(one.not_after)
        );
    }
    warnings(&mut text, standing);
    text
}

pub(super) fn breaks(breaks: &[String], done: bool) -> String {
    if breaks.is_empty() {
        let word = if done {
            "done"
        } else {
            "nothing is shut: this breaks nobody; --yes does it"
        };
        return format!("{word}\n");
    }
    let mut text = String::from(if done {
        "forced; this breaks:\n"
    } else {
        "this would break:\n"
    });
    for line in breaks {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn all(standing: &Standing) -> impl Iterator<Item = (&'static str, &Authority)> {
    let roots = standing.roots.iter().map(|one| ("root", one));
    roots.chain(standing.issuers.iter().map(|one| ("issuer", one)))
}

fn holds(text: &mut String, one: &Authority) {
    for gate in &one.holds {
        let _ = writeln!(text, "         waits: {}: {}", gate.gate, gate.why);
        for who in gate.who.iter().take(NAMED) {
            let _ = writeln!(
                text,
                "           {} ({}) {}, until {}",
                who.holder,
                who.identity,
                who.lacks,
                time(Some(who.until))
            );
        }
        if gate.who.len() > NAMED {
            let _ = writeln!(text, "           and {} more", gate.who.len() - NAMED);
        }
    }
}

fn warnings(text: &mut String, standing: &Standing) {
    for warning in &standing.warnings {
        let _ = writeln!(text, "WARNING  {warning}");
    }
}

fn time(unix: Option<u64>) -> String {
    unix.map_or_else(|| "-".into(), |unix| Time::from_unix(unix).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_worry_about_stands_in_each_table() {
        let trouble = "the revocation lists could not be made: the clock jumped";
        let standing = Standing {
            trust_domain: "example.org".into(),
            bundle: "7".into(),
            roots: Vec::new(),
            issuers: Vec::new(),
            warnings: vec![trouble.into()],
            live_leaves: 3,
        };
        for table in [status(&standing), expiry(&standing)] {
            assert!(table.ends_with(&format!("WARNING  {trouble}\n")), "{table}");
        }
    }
}
