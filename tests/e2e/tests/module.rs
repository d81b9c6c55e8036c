//! The signing module of a running credence: its file replaced, read again at SIGHUP, taken or refused.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    credence::{Call, Config, Credence},
    envoy::text,
    process::run,
    sds::Sds,
    tools, wait,
};
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// How long a module may take to be compiled, tried and taken, by an unoptimised build.
const RELOADED: Duration = Duration::from_secs(60);

const TAKEN: &str = "SIGHUP: signing module taken";
const REFUSED: &str = "SIGHUP: the new signing module is REFUSED; the old one goes on";

/// A credence whose module is a file, and a client whose certificate is renewed every 2 to 3 seconds.
struct Serving {
    // The order matters: fields are dropped from the top, the folder last.
    sds: Sds,
    credence: Credence,
    folder: TempDir,
}

impl Serving {
    async fn start() -> Result<Self> {
        let folder = folder()?;
        let module = folder.path().join("module.wasm");
        fs::copy(tools::signer()?, &module)?;
        let mut call = call()?;
        call.arguments
            .extend(["--module".to_owned(), text(&module)?]);
        let credence = Credence::start_called(&call, folder.path()).await?;
        let sds = Sds::open(&credence.socket("workload")).await?;
        Ok(Self {
            sds,
            credence,
            folder,
        })
    }

    fn module(&self) -> PathBuf {
        self.folder.path().join("module.wasm")
    }

    /// Puts another file in the module's place, at once, as an installer would.
    fn replace(&self, bytes: &[u8]) -> Result<()> {
        let beside = self.folder.path().join("module.new");
        fs::write(&beside, bytes)?;
        Ok(fs::rename(beside, self.module())?)
    }

    /// Its log's lines with this message.
    fn logged(&mut self, message: &str) -> Result<Vec<Value>> {
        let log = self.credence.process().output()?;
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(lines
            .filter(|line: &Value| line["message"] == message)
            .collect())
    }

    /// What it counted when it last said so; none if it did not name such a figure.
    fn counted(&mut self, metric: &str, of: &str) -> Result<Option<u64>> {
        let counts = self.logged("count")?;
        let figure = counts
            .iter()
            .rfind(|line| line["metric"] == metric && line["of"] == of);
        Ok(figure.and_then(|line| line["value"].as_u64()))
    }

    /// The next certificate, verified by OpenSSL, and the module that the log says proposed it.
    async fn signed_by(&mut self) -> Result<String> {
        let svid = self.sds.next().await?;
        svid.verified(self.folder.path()).await?;
        let leaf = text(&self.folder.path().join("svid.leaf.pem"))?;
        let arguments = ["x509", "-in", &leaf, "-noout", "-serial"];
        let serial = run("openssl".as_ref(), &arguments).await?;
        let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
        let signed = self.logged("signed")?;
        let line = signed.iter().find(|line| line["serial"] == serial.as_str());
        let module = line.and_then(|line| line["module"].as_str());
        Ok(module
            .with_context(|| format!("no certificate {serial} in {signed:#?}"))?
            .to_owned())
    }

    /// Sends SIGHUP, and waits for the line that says what came of it, and for the counts behind it.
    async fn hang_up(&mut self, message: &str) -> Result<Value> {
        let before = self.logged(message)?.len();
        let counts = self.logged("count")?.len();
        self.credence.process().signal(Signal::HUP)?;
        wait::until(message, RELOADED, async || {
            self.credence.process().still_runs()?;
            let lines = self.logged(message)?;
            let told = lines.get(before).cloned();
            let last = self.logged("count")?.split_off(counts);
            let all_counted = last.iter().any(|line| {
                line["metric"] == "credence_module_loads_total" && line["of"] == "taken"
            });
            Ok(told.filter(|_| all_counted))
        })
        .await
    }
}

fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
    let config = Config {
        trust_domain: "example.org".to_owned(),
        leaf_life: "5s".to_owned(),
        identities: vec!["workload".to_owned()],
        sections: String::new(),
    };
    fs::write(folder.path().join("credence.toml"), config.to_toml())?;
    Ok(folder)
}

fn call() -> Result<Call> {
    let mut call = Call::plain(tools::fresh_credence()?);
    call.arguments = ["--log-format", "json", "--log-level", "info,credence=debug"]
        .map(str::to_owned)
        .into();
    Ok(call)
}

fn digest(bytes: &[u8]) -> String {
    let octets = Sha256::digest(bytes);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The same component with a custom section at its end: it does the same, and has another digest.
fn with_a_note(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4], b"note"].concat()
}

/// Components that are none, or none of ours, and what is said of each.
fn bad_modules(good: &[u8]) -> Result<Vec<(Vec<u8>, &'static str)>> {
    let wat = |text: &str| wat::parse_str(text);
    Ok(vec![
        (b"#!/bin/sh\n".to_vec(), "module.wasm was refused"),
        (
            good.split_at(good.len() / 2).0.to_vec(),
            "module.wasm was refused",
        ),
        (wat("(component)")?, "module.wasm was refused"),
        (
            wat(r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#)?,
            "wasi:filesystem/types@0.2.0",
        ),
    ])
}

#[tokio::test]
async fn a_replaced_module_waits_for_sighup_and_a_bad_one_is_refused() -> Result<()> {
    let good = fs::read(tools::signer()?)?;
    let old = digest(&good);
    let mut serving = Serving::start().await?;
    let loaded = serving.logged("signing module loaded; it passed its self-test")?;
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0]["sha256"], old.as_str());
    assert_eq!(serving.signed_by().await?, old);

    for (refusals, (bad, why)) in bad_modules(&good)?.into_iter().enumerate() {
        serving.replace(&bad)?;
        assert_eq!(serving.signed_by().await?, old);
        assert_eq!(serving.logged(REFUSED)?.len(), refusals, "read unasked");

        let told = serving.hang_up(REFUSED).await?;
        assert_eq!(told["level"], "ERROR", "{told}");
        assert_eq!(told["goes_on"], old.as_str(), "{told}");
        let error = told["error"].as_str().unwrap_or_default();
        ensure!(error.contains(why), "no '{why}' in {error}");
        assert_eq!(serving.signed_by().await?, old);
    }
    fs::remove_file(serving.module())?;
    let told = serving.hang_up(REFUSED).await?.to_string();
    ensure!(told.contains("cannot be read"), "{told}");
    assert_eq!(serving.signed_by().await?, old);

    let loads = "credence_module_loads_total";
    assert_eq!(serving.counted(loads, "refused")?, Some(5));
    assert_eq!(serving.counted(loads, "taken")?, Some(1));
    assert_eq!(serving.counted("credence_module_info", &old)?, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_good_module_is_taken_at_sighup_and_named_by_its_digest() -> Result<()> {
    let good = fs::read(tools::signer()?)?;
    let other = with_a_note(&good);
    let (old, new) = (digest(&good), digest(&other));
    let mut serving = Serving::start().await?;
    assert_eq!(serving.signed_by().await?, old);

    serving.replace(&other)?;
    assert_eq!(serving.signed_by().await?, old);
    ensure!(serving.logged(TAKEN)?.is_empty(), "read unasked");

    let told = serving.hang_up(TAKEN).await?;
    assert_eq!(told["sha256"], new.as_str(), "{told}");
    assert_eq!(serving.counted("credence_module_info", &new)?, Some(1));
    assert_eq!(serving.counted("credence_module_info", &old)?, None);
    // one that was under way may have ended with the old one
    let mut by = serving.signed_by().await?;
    if by == old {
        by = serving.signed_by().await?;
    }
    assert_eq!(by, new);

    let status = serving.credence.process().stop().await?;
    ensure!(status.success(), "{status}");
    let loads = "credence_module_loads_total";
    assert_eq!(serving.counted(loads, "taken")?, Some(2));
    assert_eq!(serving.counted(loads, "refused")?, None);
    Ok(())
}

/// SIGHUP would end a process that does not expect it.
#[tokio::test]
async fn the_built_in_module_has_nothing_to_read_again() -> Result<()> {
    let folder = folder()?;
    let credence = Credence::start_called(&call()?, folder.path()).await?;
    let sds = Sds::open(&credence.socket("workload")).await?;
    let mut serving = Serving {
        sds,
        credence,
        folder,
    };
    let built_in = serving.signed_by().await?;
    assert_eq!(built_in, digest(&fs::read(tools::signer()?)?));
    let told = "SIGHUP: the signing module is the built-in one, there is nothing to read again";
    serving.hang_up(told).await?;
    assert_eq!(serving.signed_by().await?, built_in);
    Ok(())
}

#[tokio::test]
async fn a_bad_module_is_refused_at_the_start() -> Result<()> {
    let folder = folder()?;
    let good = fs::read(tools::signer()?)?;
    let module = folder.path().join("module.wasm");
    let mut call = call()?;
    call.arguments
        .extend(["--module".to_owned(), text(&module)?]);
    for (bad, why) in bad_modules(&good)? {
        fs::write(&module, bad)?;
        let mut process = call.launch(folder.path())?;
        let status = process.ended(RELOADED).await?;
        let output = process.output()?;
        assert_eq!(status.code(), Some(1), "{output}");
        ensure!(output.contains(why), "no '{why}' in {output}");
        ensure!(!folder.path().join("state").exists(), "a CA was made");
    }
    Ok(())
}
