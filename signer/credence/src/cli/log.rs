//! What can be typed after `credence log`.

use crate::logbook::When;
use clap::{ArgGroup, Args, Subcommand};
use credence_ca::serial::Serial;
use credence_ledger::{checkpoint::CheckpointKey, entry::Kind, sqlite::Cursor};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// List entries: certificates, refusals, revocations, steps of the CA.
    List(ListArguments),
    /// Say all that is recorded of a certificate, or of an entry.
    Show(ShowArguments),
    /// Verify all of it: chain, checkpoints, signatures, and each certificate made again.
    Verify(VerifyArguments),
    /// Write all of it as lines of JSON, from which it can be verified by others.
    Export(ExportArguments),
    /// Move old entries to a file of their own.
    Archive(ArchiveArguments),
}

/// Which ledger.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct BookArguments {
    /// The state folder of a CA, which may be running: its `ledger.db`.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// A ledger, an archive or a backup.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
}

const LIST_HELP: &str = "\
TIME is RFC 3339 (2026-01-31T12:00:00Z), a day (2026-01-31), or how far away it is: 90s, 2h, 30d.
All that is given has to hold. The newest come first; with --expiring-before, what ends soonest.

STATE is that of a certificate: live, early (not valid yet), expired or revoked. On a terminal that
is too narrow, columns are left out and the ends of SPIFFE IDs kept; `credence log show --entry N`
and --json say all.

  credence log list --state DIR --identity spiffe://example.org/frontend --since 1d
  credence log list --state DIR --kind refused --kind revoked
  credence log list --state DIR --expiring-before 1h --json";

#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) book: BookArguments,
    /// About this SPIFFE ID.
    #[arg(long, value_name = "ID", conflicts_with = "serial")]
    pub(crate) identity: Option<String>,
    /// About the certificate with this serial number, hexadecimal.
    #[arg(long, value_name = "SERIAL", value_parser = serial)]
    pub(crate) serial: Option<Serial>,
    #[arg(long, value_name = "KIND", value_parser = kind, help = kinds_help())]
    pub(crate) kind: Vec<Kind>,
    /// Written at this time or later.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Written before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Certificates that have not ended and end before this time; 2h is in two hours.
    #[arg(long, value_name = "TIME")]
    pub(crate) expiring_before: Option<When>,
    /// The oldest first.
    #[arg(long, conflicts_with = "expiring_before")]
    pub(crate) oldest: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// From where a list with the same conditions ended, as it said.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<Cursor>,
    /// Print lines of JSON, one for each entry, whole.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["serial", "entry"]))]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) book: BookArguments,
    /// The certificate with this serial number, hexadecimal.
    #[arg(value_name = "SERIAL", value_parser = serial)]
    pub(crate) serial: Option<Serial>,
    /// The entry with this number.
    #[arg(long, value_name = "N")]
    pub(crate) entry: Option<u64>,
    /// Print a JSON object.
    #[arg(long, conflicts_with = "pem")]
    pub(crate) json: bool,
    /// Print the certificate, PEM.
    #[arg(long)]
    pub(crate) pem: bool,
}

const VERIFY_HELP: &str = "\
What is checked: that SQLite's file is consistent; that each entry follows from the one before it; that
checkpoints are signed; that what entries are found by is what they say; that each certificate is
the one that was decided, is signed by its issuer's key, and is made again, octet by octet, by the
recorded signing module of the recorded request, and passes the guard. What was not checked is said too.

Without --key, the key comes from `ledger.key` beside the ledger: whoever could change both could
write another past. Keep the key's public half (the CA logs it at each start), and a checkpoint now
and then (this command prints the last one), somewhere else.

Exit codes: 0 nothing is wrong; 9 something is, the first fault is named with its entry's number;
4 the ledger or the key cannot be read.";

#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) book: BookArguments,
    /// The public key that checkpoints are signed with, NAME+HASH+KEY (C2SP signed-note); can be
    /// repeated.
    #[arg(long, value_name = "KEY", value_parser = CheckpointKey::parse)]
    pub(crate) key: Vec<CheckpointKey>,
    /// A checkpoint that was kept elsewhere: the record has to have been through it; can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Do not make certificates again, which takes most of the time.
    #[arg(long)]
    pub(crate) no_replay: bool,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) book: BookArguments,
    /// A file to make, with mode 0600; standard output otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

const ARCHIVE_HELP: &str = "\
Entries up to the last checkpoint from before TIME go to the archive, which verifies by itself; the
ledger goes on with that checkpoint as its base. What still counts stays in it: certificates that have
not ended, revocations, tokens. Keep archives in order: each begins where the one before ended.

The CA that writes the ledger must not be running.

  credence log archive --state DIR --before 90d --to ledger-2026-01.db";

#[derive(Debug, Args)]
#[command(after_long_help = ARCHIVE_HELP)]
pub(crate) struct ArchiveArguments {
    #[command(flatten)]
    pub(crate) book: BookArguments,
    /// Entries from before this time: RFC 3339, a day, or how long ago.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: When,
    /// The archive, a file to make.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// A public key that signed checkpoints before the present one, NAME+HASH+KEY; can be repeated.
    #[arg(long, value_name = "KEY", value_parser = CheckpointKey::parse)]
    pub(crate) former_key: Vec<CheckpointKey>,
}

fn kinds_help() -> String {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    format!("Of this kind; can be repeated: {}", names.join(", "))
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::named(text).ok_or_else(kinds_help)
}

/// Hexadecimal, as `openssl x509 -serial` and others print it: in either case, with colons, with zeros in front.
fn serial(text: &str) -> Result<Serial, String> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .skip_while(|digit| *digit == Some(0))
        .collect();
    let mut digits = digits.ok_or("a serial number is written in hexadecimal digits")?;
    if digits.len() % 2 == 1 {
        digits.insert(0, 0);
    }
    let octets: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
        .collect();
    Serial::from_octets(&octets).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::serial;

    #[test]
    fn serial_numbers_are_read_as_others_print_them() {
        for text in ["05ab7c", "5AB7C", "05:ab:7c", "0x5ab7c", "000005ab7c"] {
            assert_eq!(serial(text).unwrap().octets(), [5, 0xab, 0x7c], "{text}");
        }
        for text in ["", "0", "xyz", "-1", "5 a", &"f".repeat(42)] {
            assert!(serial(text).is_err(), "{text}");
        }
    }
}
