//! A running `credence dev`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    envoy::text,
    process::{Fate, Process},
};

/// How long credence may take to serve: an unoptimised build compiles the signer's module first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What to serve.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The trust domain's name.
    pub trust_domain: String,
    /// The life of a leaf, as `20s`.
    pub leaf_life: String,
    /// The last part of each identity's SPIFFE ID; its socket is called the same.
    pub identities: Vec<String>,
    /// Further sections, `[custody]` for one, as they stand in the file.
    pub sections: String,
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
            "trust_domain = \"{}\"\nstate_dir = \"state\"\nleaf_life = \"{}\"\n\n{}\n",
            self.trust_domain, self.leaf_life, self.sections
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
        Self::served(launch(binary, folder, fate)?, folder).await
    }

    /// The same, called as a test wants it.
    ///
    /// # Errors
    /// As [`Credence::start`].
    pub async fn start_called(call: &Call, folder: &Path) -> Result<Self> {
        Self::served(call.launch(folder)?, folder).await
    }

    async fn served(mut process: Process, folder: &Path) -> Result<Self> {
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

/// How `credence dev` is called, where a test cares. It ends when we do.
#[derive(Debug, Clone)]
pub struct Call {
    /// The credence binary.
    pub binary: PathBuf,
    /// What starts it, with its arguments: `env NAME=VALUE`, for one. Nothing, if it is empty.
    pub through: Vec<String>,
    /// Arguments besides the configuration.
    pub arguments: Vec<String>,
}

impl Call {
    /// Nothing special.
    #[must_use]
    pub fn plain(binary: PathBuf) -> Self {
        Self {
            binary,
            through: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Starts it on `folder/credence.toml` without waiting for anything.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(&self, folder: &Path) -> Result<Process> {
        let mut words = self.through.clone();
        words.push(text(&self.binary)?);
        words.extend(["dev".to_owned(), "--config".to_owned()]);
        words.push(text(&folder.join("credence.toml"))?);
        words.extend(self.arguments.iter().cloned());
        let (program, arguments) = words.split_first().context("no program")?;
        Process::start(
            "credence",
            Path::new(program),
            arguments,
            &folder.join("credence.log"),
            Fate::DiesWithUs,
        )
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
