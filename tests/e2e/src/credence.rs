//! A running `credence dev`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{
    envoy::text,
    process::{Fate, Process},
};

/// How long credence may take to serve: an unoptimised build compiles the signer's module first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What to serve.
#[derive(Debug, Clone)]
pub struct Config {
    /// The trust domain's name.
    pub trust_domain: String,
    /// The life of a leaf, as `20s`.
    pub leaf_life: String,
    /// The last part of each identity's SPIFFE ID; its socket is called the same.
    pub identities: Vec<String>,
}

impl Config {
    /// The SPIFFE ID of an identity.
    #[must_use]
    pub fn id(&self, name: &str) -> String {
        format!("spiffe://{}/{name}", self.trust_domain)
    }

    /// The configuration file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut toml = format!(
            "trust_domain = \"{}\"\nstate_dir = \"state\"\nleaf_life = \"{}\"\n",
            self.trust_domain, self.leaf_life
        );
        for name in &self.identities {
            let id = self.id(name);
            // Writing to a String cannot fail.
            let _ = write!(
                toml,
                "\n[[identities]]\nid = \"{id}\"\nsocket = \"{name}.sock\"\n"
            );
        }
        toml
    }
}

/// `credence dev`, serving.
#[derive(Debug)]
pub struct Credence {
    process: Process,
    folder: PathBuf,
}

impl Credence {
    /// Starts it with its files in `folder` and waits until it serves.
    ///
    /// # Errors
    /// If it ends or does not serve in time.
    pub async fn start(binary: &Path, folder: &Path, config: &Config, fate: Fate) -> Result<Self> {
        fs::write(folder.join("credence.toml"), config.to_toml())?;
        Self::start_again(binary, folder, fate).await
    }

    /// Starts it with the configuration that is in `folder` already.
    ///
    /// # Errors
    /// As [`Credence::start`].
    pub async fn start_again(binary: &Path, folder: &Path, fate: Fate) -> Result<Self> {
        let mut process = launch(binary, folder, fate)?;
        process
            .ready(START_LIMIT, async |output| output.contains("ready"))
            .await?;
        Ok(Self {
            process,
            folder: folder.to_owned(),
        })
    }

    /// The socket on which an identity is served.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sock"))
    }

    /// A file below its state folder, `ca/root.pem` for one.
    #[must_use]
    pub fn state(&self, file: &str) -> PathBuf {
        self.folder.join("state").join(file)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Starts `credence dev` on `folder/credence.toml` without waiting for anything.
///
/// # Errors
/// If it cannot be started.
pub fn launch(binary: &Path, folder: &Path, fate: Fate) -> Result<Process> {
    let config = text(&folder.join("credence.toml"))?;
    Process::start(
        "credence",
        binary,
        ["dev", "--config", &config],
        &folder.join("credence.log"),
        fate,
    )
}
