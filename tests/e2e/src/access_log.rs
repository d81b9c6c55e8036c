//! The server Envoy's access log, read while it grows.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The status that it was answered with.
    pub status: u64,
    /// Why, in Envoy's short words.
    pub details: String,
    /// The peer's SPIFFE ID.
    pub peer: String,
    /// The serial number of the peer's certificate.
    pub peer_serial: String,
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
        peer_serial: text("peer_serial"),
    })
}
