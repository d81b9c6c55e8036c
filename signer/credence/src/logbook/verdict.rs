//! What was verified, and what was not.

use credence_ledger::{
    chain::Origin,
    verify::{Extent, Report},
};
use serde::Serialize;
use std::io::{self, Write};

/// Where the key came from that checkpoints were verified by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyFrom {
    /// From who asked.
    Given,
    /// From a file that whoever changes the ledger may have changed, too.
    BesideTheLedger,
}

/// Everything that there is to say of a record that is what was written.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) ledger: String,
    pub(super) origin: Origin,
    pub(super) keys: Vec<String>,
    pub(super) key_from: KeyFrom,
    pub(super) replay: bool,
    /// How many modules were compiled for it.
    pub(super) modules: u64,
    pub(super) last_checkpoint: Option<String>,
    #[serde(flatten)]
    pub(super) report: Report,
}

impl Verdict {
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            return self.print_json(&mut out);
        }
        writeln!(out, "{}: {}", self.ledger, self.summary())?;
        writeln!(out, "\nchecked:")?;
        for line in self.checked() {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "\nnot checked:")?;
        for line in self.not_checked() {
            writeln!(out, "  {line}")?;
        }
        match &self.last_checkpoint {
            Some(note) => writeln!(
                out,
                "\nthe last checkpoint; keep it somewhere else:\n\n{note}"
            ),
            None => Ok(()),
        }
    }

    fn print_json(&self, out: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            verdict: &'a Verdict,
            not_checked: Vec<String>,
        }
        let whole = Whole {
            verdict: self,
            not_checked: self.not_checked(),
        };
        serde_json::to_writer_pretty(&mut *out, &whole)?;
        writeln!(out)
    }

    fn summary(&self) -> String {
        let Report { base, head, .. } = self.report;
        let what = match self.report.extent {
            Extent::Live | Extent::Tail => "the ledger",
            Extent::Archive => "an archive of the ledger",
        };
        let first = base.saturating_add(1);
        format!(
            "nothing is wrong with {what} {}, entries {first} to {}",
            self.origin, head.size
        )
    }

    fn checked(&self) -> Vec<String> {
        let report = &self.report;
        let mut lines = vec![
            format!("{} follow from each other", count(report.entries, "entry")),
            format!("{} signed", count(report.checkpoints, "checkpoint")),
            "what entries are found by is what they say".to_owned(),
            format!(
                "{} as decided, and signed by the issuer's key",
                count(report.signatures, "certificate")
            ),
        ];
        if report.carried > 0 {
            lines.push(format!(
                "{} that archives left behind",
                count(report.carried, "entry")
            ));
        }
        if self.replay {
            lines.push(format!(
                "{} made again with the same octets, by {}",
                count(report.replayed, "certificate"),
                count(self.modules, "signing module")
            ));
        }
        if report.known > 0 {
            lines.push(format!(
                "{} kept elsewhere: the record has been through",
                count(report.known, "checkpoint")
            ));
        }
        lines
    }

    fn not_checked(&self) -> Vec<String> {
        let report = &self.report;
        let mut lines = Vec::new();
        if self.key_from == KeyFrom::BesideTheLedger {
            lines.push("whether the key is the right one: it lies beside the ledger, and who could change both could write another past; give --key".to_owned());
        }
        if report.unsigned > 0 {
            lines.push(format!(
                "{} after the last checkpoint: who can write the file can change these",
                count(report.unsigned, "entry")
            ));
        }
        if report.known == 0 && report.extent == Extent::Live {
            lines.push("whether the record's end was cut off, or the file is an old copy: a checkpoint that was kept elsewhere shows it; give --checkpoint".to_owned());
        }
        if report.known_archived > 0 {
            lines.push(format!(
                "{} of entries that have been archived; give the archive",
                count(report.known_archived, "checkpoint")
            ));
        }
        if report.base > 0 {
            lines.push(format!(
                "entries up to {}: they are in archives, which are verified by themselves",
                report.base
            ));
        }
        if !self.replay {
            lines.push("whether the recorded modules make these certificates of the recorded requests: --no-replay".to_owned());
        }
        if report.unknown > 0 {
            lines.push(format!(
                "what {} of a newer version say; the chain covers them",
                count(report.unknown, "entry")
            ));
        }
        lines.push(
            "whether all that was signed is on record: only the CA itself can know".to_owned(),
        );
        lines
    }
}

/// With the word in the right number.
fn count(number: u64, word: &str) -> String {
    match (number, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn words_agree_with_numbers() {
        assert_eq!(count(1, "entry"), "1 entry");
        assert_eq!(count(0, "entry"), "0 entries");
        assert_eq!(count(2, "checkpoint"), "2 checkpoints");
    }
}
