//! The server Envoy's access log, read while it grows.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::wait;

/// How long an entry may take to be written.
const WRITTEN: Duration = Duration::from_secs(5);

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The status that it was answered with.
    pub status: u64,
    /// Why, in Envoy's short words.
    pub details: String,
    /// The peer's SPIFFE ID, by the filter.
    pub peer: String,
    /// The filter's decision.
    pub decision: String,
    /// The rule that decided.
    pub rule: String,
    /// What a dry run would have refused it for.
    pub would: String,
    /// The first URI of the peer's certificate, by the handshake.
    pub certificate_uri: String,
    /// The serial number of the peer's certificate.
    pub certificate_serial: String,
}

/// Reads each line once.
#[derive(Debug)]
pub struct AccessLog {
    path: PathBuf,
    read: u64,
}

impl AccessLog {
    /// A reader that begins at the beginning.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: 0,
        }
    }

    /// Waits for the next requests, and gives the last one of them.
    ///
    /// # Errors
    /// If none is written within five seconds, or as for [`AccessLog::news`].
    pub async fn last(&mut self) -> Result<Entry> {
        wait::until("an entry in the access log", WRITTEN, async || {
            Ok(self.news()?.pop())
        })
        .await
    }

    /// The requests since the last call; a line that is not whole yet is left for the next one.
    ///
    /// # Errors
    /// If the file cannot be read or a line is not what server.yaml says.
    pub fn news(&mut self) -> Result<Vec<Entry>> {
        let mut file =
            File::open(&self.path).with_context(|| format!("{}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        bytes.truncate(whole);
        self.read += u64::try_from(whole)?;
        String::from_utf8(bytes)?.lines().map(entry).collect()
    }
}

fn entry(line: &str) -> Result<Entry> {
    let fields: Value =
        serde_json::from_str(line).with_context(|| format!("access log: {line}"))?;
    // A field that Envoy knows nothing for is null.
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    Ok(Entry {
        status: fields["status"].as_u64().unwrap_or_default(),
        details: text("details"),
        peer: text("peer"),
        decision: text("decision"),
        rule: text("rule"),
        would: text("would"),
        certificate_uri: text("certificate_uri"),
        certificate_serial: text("certificate_serial"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::OpenOptions, io::Write as _};

    fn line(peer: &str) -> String {
        format!("{{\"status\":200,\"details\":\"via_upstream\",\"peer\":\"{peer}\"}}\n")
    }

    /// Envoy writes in chunks that end anywhere, within a character too.
    #[test]
    fn a_line_is_read_once_and_only_when_it_is_whole() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("access.log");
        let text = line("spiffe://example.org/a") + &line("zwölf") + &line("c");
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            let mut log = AccessLog::new(&path);
            let mut seen = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                file.write_all(part)?;
                let news = log.news()?;
                seen.extend(news.into_iter().map(|entry| entry.peer));
                let written = std::fs::read(&path)?;
                let whole = written.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(seen.len(), whole, "{cut}");
            }
            assert_eq!(seen, ["spiffe://example.org/a", "zwölf", "c"]);
            assert!(log.news()?.is_empty());
            std::fs::remove_file(&path)?;
        }
        Ok(())
    }

    #[test]
    fn a_whole_line_that_is_not_an_entry_is_told() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("access.log");
        std::fs::write(&path, "{\"status\":200,\n")?;
        assert!(AccessLog::new(&path).news().is_err());
        Ok(())
    }
}
