//! What `--help` says.

use super::table::{FLAGS, Flag, Kind};

/// The column that explanations begin in.
const COLUMN: usize = 44;

/// What the flags do not say.
const BELOW: &str = "
Where the credentials' folder has none of ca.crt, issuer.crt and issuer.key, they are made. Changed ones are taken up without a restart.
Without a token validator in the configuration, mode standalone believes everybody (INSECURE).
Revocation, status and the record: credence revoke, ca status and log, with the state folder's admin.sock and ledger.db.
SIGINT and SIGTERM end it; requests under way get to end.
";

/// Every flag with what it takes, what it is for and its default.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "Usage: credence sentry [FLAGS]\n\nTakes the place of Dapr's sentry binary. A flag has one dash or two, and its value behind a space or =.\n\nFlags:\n",
    );
    for flag in FLAGS {
        text.push_str(&line(flag));
    }
    text.push_str("\nEnvironment:\n");
    let variable = format!("  {:<COLUMN$}", "NAMESPACE");
    text.push_str(&variable);
    text.push_str("Namespace of the control plane (default default)\n");
    text.push_str(BELOW);
    text
}

fn line(flag: &Flag) -> String {
    let name = format!("--{}{}", flag.name, flag.kind.name());
    let default = match (flag.kind, flag.default) {
        (_, "") | (Kind::Switch, "false") => String::new(),
        (_, default) => format!(" (default {default})"),
    };
    format!("  {name:<COLUMN$}{}{default}\n", flag.help)
}
