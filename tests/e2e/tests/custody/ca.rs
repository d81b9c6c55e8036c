//! A `credence dev` with its keys where a test wants them.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    credence::{Call, Config, Credence},
    envoy::text,
    process::run,
    sds::{Sds, Svid},
    tools,
};
use tempfile::TempDir;

/// The passphrase, or the token's PIN.
const SECRET: &str = "246810";
/// How long a refusal may take.
const LIMIT: Duration = Duration::from_secs(60);
/// `credence --help` has it: a key, passphrase or token that cannot be used.
const CUSTODY: i32 = 4;
/// Puts what the file named first says on descriptor 3 of the rest.
const ON_DESCRIPTOR_3: &str = r#"exec "$@" 3< <(cat "$0")"#;

/// Where the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vault {
    Files,
    Encrypted,
    EncryptedByDescriptor,
    Token,
    TokenByDescriptor,
}

impl Vault {
    fn is_token(self) -> bool {
        matches!(self, Self::Token | Self::TokenByDescriptor)
    }

    fn is_by_descriptor(self) -> bool {
        matches!(self, Self::EncryptedByDescriptor | Self::TokenByDescriptor)
    }

    /// The section `[custody]`.
    fn section(self, kind: &str) -> Result<String> {
        let secret = match self {
            Self::Files => String::new(),
            Self::Encrypted => "passphrase_file = \"secret\"\n".to_owned(),
            Self::EncryptedByDescriptor => "passphrase_fd = 3\n".to_owned(),
            Self::Token => token("pin_file = \"secret\"")?,
            Self::TokenByDescriptor => token("pin_fd = 3")?,
        };
        Ok(format!("[custody]\nkey = \"{kind}\"\n{secret}"))
    }
}

fn token(pin: &str) -> Result<String> {
    let library = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .context("SoftHSM2's library is not there (Debian: softhsm2): run scripts/setup --for-test")?;
    Ok(format!(
        "[custody.pkcs11]\nlibrary = \"{library}\"\ntoken = \"credence\"\n{pin}\n"
    ))
}

/// A CA; what it leaves goes when this is dropped.
pub(crate) struct Ca {
    folder: TempDir,
    vault: Vault,
}

impl Ca {
    /// One that has not been started yet, with a token of its own if it needs one.
    pub(crate) fn new(kind: &str, vault: Vault) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let ca = Self { folder, vault };
        ca.secret(SECRET)?;
        ca.configure(kind, vault)?;
        if vault.is_token() {
            ca.make_token()?;
        }
        Ok(ca)
    }

    /// Writes its configuration.
    pub(crate) fn configure(&self, kind: &str, vault: Vault) -> Result<()> {
        let config = Config {
            trust_domain: "example.org".to_owned(),
            leaf_life: "10m".to_owned(),
            identities: vec!["workload".to_owned()],
            sections: vault.section(kind)?,
        };
        Ok(fs::write(
            self.folder().join("credence.toml"),
            config.to_toml(),
        )?)
    }

    fn make_token(&self) -> Result<()> {
        let tokens = self.folder().join("tokens");
        fs::create_dir(&tokens)?;
        let config = self.folder().join("softhsm2.conf");
        fs::write(
            &config,
            format!("directories.tokendir = {}\n", text(&tokens)?),
        )?;
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "credence"])
            .args(["--so-pin", "13579", "--pin", SECRET])
            .env("SOFTHSM2_CONF", &config)
            .output()
            .context("softhsm2-util (Debian: softhsm2): run scripts/setup --for-test")?;
        ensure!(made.status.success(), "{made:?}");
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the stored CA.
    pub(crate) fn state(&self, file: &str) -> PathBuf {
        self.folder().join("state/ca").join(file)
    }

    /// What is stored, by name.
    pub(crate) fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let entries = fs::read_dir(self.state(""))?;
        entries
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok((name, fs::read(entry.path())?))
            })
            .collect()
    }

    /// Writes another passphrase or PIN.
    pub(crate) fn secret(&self, secret: &str) -> Result<()> {
        fs::write(self.folder().join("secret"), format!("{secret}\n"))?;
        self.secret_mode(0o600)
    }

    pub(crate) fn secret_mode(&self, mode: u32) -> Result<()> {
        let file = self.folder().join("secret");
        Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
    }

    /// The same CA, configured otherwise.
    pub(crate) fn moved_to(mut self, kind: &str, vault: Vault) -> Result<Self> {
        self.vault = vault;
        self.configure(kind, vault)?;
        Ok(self)
    }

    /// A passphrase that is in nobody's memory by chance.
    pub(crate) fn long_secret(&self) -> Result<Vec<u8>> {
        let secret = "correct horse battery staple 5081";
        self.secret(secret)?;
        Ok(secret.into())
    }

    /// Encrypts a key, as the documentation says.
    pub(crate) async fn encrypt(&self, key: &str) -> Result<()> {
        let (plain, encrypted) = (self.state(key), self.state("encrypted"));
        let secret = format!("file:{}", text(&self.folder().join("secret"))?);
        let (from, to) = (text(&plain)?, text(&encrypted)?);
        let arguments = [
            "pkcs8", "-topk8", "-scrypt", "-in", &from, "-passout", &secret, "-out", &to,
        ];
        run("openssl".as_ref(), &arguments).await?;
        fs::set_permissions(&encrypted, Permissions::from_mode(0o600))?;
        Ok(fs::rename(encrypted, plain)?)
    }

    /// Both keys' files, PEM; decrypted by OpenSSL if need be.
    pub(crate) fn plain_keys(&self) -> Result<Vec<String>> {
        let secret = format!("file:{}", text(&self.folder().join("secret"))?);
        let plain = |key: &str| -> Result<String> {
            if self.vault == Vault::Files {
                return Ok(fs::read_to_string(self.state(key))?);
            }
            let output = Command::new("openssl")
                .args(["pkcs8", "-topk8", "-nocrypt", "-passin", &secret, "-in"])
                .arg(self.state(key))
                .output()?;
            ensure!(output.status.success(), "{output:?}");
            Ok(String::from_utf8(output.stdout)?)
        };
        Ok(vec![plain("root.key")?, plain("issuer.key")?])
    }

    pub(crate) fn keys_are_where_they_should_be(&self) -> Result<()> {
        for key in ["root.key", "issuer.key"] {
            let file = fs::read_to_string(self.state(key));
            if self.vault.is_token() {
                ensure!(file.is_err(), "{key} is there, beside the token");
                continue;
            }
            let label = match self.vault {
                Vault::Files => "-----BEGIN PRIVATE KEY-----\n",
                _ => "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            };
            ensure!(file?.starts_with(label), "{key} is not {label}");
        }
        Ok(())
    }

    pub(crate) async fn start(&self) -> Result<Credence> {
        Credence::start_called(&self.call()?, self.folder()).await
    }

    /// Starts it, has it sign, has OpenSSL verify the chain, and stops it.
    pub(crate) async fn run(&self) -> Result<Svid> {
        let mut credence = self.start().await?;
        let mut sds = Sds::open(&credence.socket("workload")).await?;
        let svid = sds.next().await?;
        svid.verified(self.folder()).await?;
        let status = credence.process().stop().await?;
        ensure!(status.success(), "{status}");
        let log = credence.process().output()?;
        ensure!(!log.contains(SECRET), "the secret is in the log: {log}");
        Ok(svid)
    }

    /// Starts it, which has to fail; gives what it says.
    pub(crate) async fn refused(&self) -> Result<String> {
        let call = self.call()?;
        self.refused_by(&call).await
    }

    /// The same, started by other means.
    pub(crate) async fn refused_through(&self, through: &[&str]) -> Result<String> {
        let mut call = self.call()?;
        call.through = through.iter().map(ToString::to_string).collect();
        self.refused_by(&call).await
    }

    async fn refused_by(&self, call: &Call) -> Result<String> {
        let mut process = call.launch(self.folder())?;
        let status = process.ended(LIMIT).await?;
        let output = process.output()?;
        assert_eq!(status.code(), Some(CUSTODY), "{output}");
        Ok(output)
    }

    fn call(&self) -> Result<Call> {
        let mut call = Call::plain(tools::fresh_credence()?);
        if self.vault.is_token() {
            let config = text(&self.folder().join("softhsm2.conf"))?;
            call.through = vec!["env".to_owned(), format!("SOFTHSM2_CONF={config}")];
        }
        if self.vault.is_by_descriptor() {
            let secret = text(&self.folder().join("secret"))?;
            let bash = ["bash", "-c", ON_DESCRIPTOR_3].map(str::to_owned);
            call.through.extend(bash);
            call.through.push(secret);
        }
        Ok(call)
    }
}
