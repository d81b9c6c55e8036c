//! Bad input at the binary: one clear error that names the thing, the documented exit code, and
//! nothing half-written.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    credence::{Config, Credence, launch},
    process::{Fate, Process},
    tools,
};
use tempfile::TempDir;

// `credence --help` lists them.
const UNREADABLE: i32 = 1;
const USAGE: i32 = 2;
const CONFIGURATION: i32 = 3;
const STATE: i32 = 4;
const SOCKET: i32 = 5;
/// How long a refusal may take.
const LIMIT: Duration = Duration::from_secs(60);

fn config() -> Config {
    Config {
        trust_domain: "example.org".to_owned(),
        leaf_life: "10m".to_owned(),
        identities: vec!["frontend".to_owned(), "server".to_owned()],
        ..Config::default()
    }
}

/// A folder with a configuration, and nothing else yet.
fn fresh() -> Result<TempDir> {
    let folder = TempDir::new()?;
    fs::write(folder.path().join("credence.toml"), config().to_toml())?;
    Ok(folder)
}

/// A folder in which credence has run before.
async fn used() -> Result<TempDir> {
    let folder = fresh()?;
    let mut credence = start(folder.path()).await?;
    let status = credence.process().stop().await?;
    ensure!(status.success(), "{status}");
    Ok(folder)
}

async fn start(folder: &Path) -> Result<Credence> {
    Credence::start_again(&tools::fresh_credence()?, folder, Fate::DiesWithUs).await
}

/// Starts credence in the folder; it must end with `code` and an error that has all of `words`.
async fn refused(folder: &Path, code: i32, words: &[&str]) -> Result<String> {
    let before = snapshot(folder)?;
    let mut process = launch(&tools::fresh_credence()?, folder, Fate::DiesWithUs)?;
    let status = process.ended(LIMIT).await?;
    let output = process.output()?;
    assert_eq!(status.code(), Some(code), "{output}");
    for word in words {
        ensure!(output.contains(word), "the error lacks '{word}': {output}");
    }
    ensure!(!output.contains("panicked"), "{output}");
    ensure!(!output.contains("BEGIN PRIVATE KEY"), "a key is in the log");
    assert_eq!(snapshot(folder)?, before, "something was written: {output}");
    Ok(output)
}

/// Every file's content below the folder, but for the log and the (always empty) lock.
fn snapshot(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && !["credence.log", "lock"]
                    .map(Into::into)
                    .contains(&entry.file_name())
            {
                files.insert(entry.path(), fs::read(entry.path())?);
            } else if kind.is_socket() {
                files.insert(entry.path(), b"socket".to_vec());
            }
        }
    }
    Ok(files)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_made() -> Result<()> {
    let folder = fresh()?;
    // Not even root can make anything there.
    let toml = config()
        .to_toml()
        .replace("\"state\"", "\"/proc/credence\"");
    fs::write(folder.path().join("credence.toml"), toml)?;
    refused(folder.path(), STATE, &["/proc/credence"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written() -> Result<()> {
    let folder = fresh()?;
    // A read-only file system holds for root as well, which permissions do not.
    let toml = config().to_toml().replace("\"state\"", "\"/proc/self\"");
    fs::write(folder.path().join("credence.toml"), toml)?;
    refused(folder.path(), STATE, &["/proc/self"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_state_folder_that_is_open_to_others() -> Result<()> {
    let folder = used().await?;
    let state = folder.path().join("state");
    fs::set_permissions(&state, Permissions::from_mode(0o755))?;
    refused(
        folder.path(),
        STATE,
        &[&state.display().to_string(), "chmod 700"],
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_others_can_read() -> Result<()> {
    for name in ["root.key", "issuer.key"] {
        let folder = used().await?;
        let key = folder.path().join("state/ca").join(name);
        fs::set_permissions(&key, Permissions::from_mode(0o644))?;
        refused(
            folder.path(),
            STATE,
            &[&key.display().to_string(), "0644", "chmod 600"],
        )
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_or_certificate_that_is_missing() -> Result<()> {
    for name in ["root.key", "issuer.key", "root.pem", "issuer.pem"] {
        let folder = used().await?;
        let file = folder.path().join("state/ca").join(name);
        fs::remove_file(&file)?;
        refused(
            folder.path(),
            STATE,
            &[&file.display().to_string(), "missing"],
        )
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_does_not_match_its_certificate() -> Result<()> {
    let folder = used().await?;
    let ca = folder.path().join("state/ca");
    fs::copy(ca.join("root.key"), ca.join("issuer.key"))?;
    refused(
        folder.path(),
        STATE,
        &["issuer.key", "issuer.pem", "differ"],
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_none() -> Result<()> {
    let folder = used().await?;
    let key = folder.path().join("state/ca/issuer.key");
    fs::write(&key, "not a key\n")?;
    let output = refused(folder.path(), STATE, &[&key.display().to_string()]).await?;
    ensure!(
        !output.contains("not a key"),
        "the file is echoed: {output}"
    );
    Ok(())
}

#[tokio::test]
async fn a_socket_that_a_living_process_serves() -> Result<()> {
    let folder = fresh()?;
    let socket = folder.path().join("server.sock");
    let living = UnixListener::bind(&socket)?;
    let mut process = launch(&tools::fresh_credence()?, folder.path(), Fate::DiesWithUs)?;
    let status = process.ended(LIMIT).await?;
    let output = process.output()?;
    assert_eq!(status.code(), Some(SOCKET), "{output}");
    ensure!(output.contains(&socket.display().to_string()), "{output}");
    // It is the living one's still, and the other identity's socket did not stay.
    UnixStream::connect(&socket)?;
    drop(living);
    ensure!(!is_socket(&folder.path().join("frontend.sock")), "{output}");
    Ok(())
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left() -> Result<()> {
    let folder = fresh()?;
    let socket = folder.path().join("server.sock");
    drop(UnixListener::bind(&socket)?);
    ensure!(is_socket(&socket), "the test's own socket is gone");
    let _credence = start(folder.path()).await?;
    UnixStream::connect(&socket)?;
    Ok(())
}

#[tokio::test]
async fn a_file_in_the_place_of_a_socket() -> Result<()> {
    let folder = fresh()?;
    let file = folder.path().join("server.sock");
    fs::write(&file, "precious")?;
    let mut process = launch(&tools::fresh_credence()?, folder.path(), Fate::DiesWithUs)?;
    let status = process.ended(LIMIT).await?;
    let output = process.output()?;
    assert_eq!(status.code(), Some(SOCKET), "{output}");
    ensure!(output.contains(&file.display().to_string()), "{output}");
    assert_eq!(fs::read_to_string(&file)?, "precious");
    Ok(())
}

#[tokio::test]
async fn a_second_credence_in_the_same_folder() -> Result<()> {
    let folder = fresh()?;
    let mut first = start(folder.path()).await?;
    // Its log has the same name, so from a configuration of its own.
    let second = TempDir::new()?;
    let state = folder.path().join("state").display().to_string();
    let toml = config()
        .to_toml()
        .replace("\"state\"", &format!("\"{state}\""));
    fs::write(second.path().join("credence.toml"), toml)?;
    refused(second.path(), STATE, &[&state, "another credence"]).await?;
    first.process().still_runs()?;
    UnixStream::connect(first.socket("server"))?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_is_wrong() -> Result<()> {
    let good = config().to_toml();
    let wrong = [
        (good.replace("leaf_life", "leaf_live"), "leaf_live"),
        (good.replace("\"10m\"", "\"soon\""), "leaf_life"),
        (good.replace("\"10m\"", "\"0s\""), "leaf_life"),
        (
            good.replace("\"example.org\"", "\"exa mple.org\""),
            "trust_domain",
        ),
        (good.replace("\"example.org\"", "\"\""), "trust_domain"),
        (
            good.replace("example.org/server", "example.org/"),
            "spiffe://example.org/",
        ),
        (
            good.replace("example.org/server", "elsewhere.org/server"),
            "elsewhere.org",
        ),
        (good.replace("spiffe://example.org/server", "server"), "id"),
        (
            good.replace("server.sock", "frontend.sock"),
            "frontend.sock",
        ),
        (good.replace("state_dir = \"state\"\n", ""), "state_dir"),
        (
            good.replacen("[[identities]]", "[[identities]", 1),
            "identities",
        ),
        (
            "trust_domain = \"example.org\"\nstate_dir = \"state\"\nleaf_life = \"10m\"\n"
                .to_owned(),
            "identities",
        ),
    ];
    for (toml, word) in wrong {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("credence.toml"), &toml)?;
        refused(folder.path(), CONFIGURATION, &["credence.toml", word])
            .await
            .with_context(|| toml.clone())?;
        ensure!(
            !folder.path().join("state").exists(),
            "a state folder for: {toml}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_is_not_there() -> Result<()> {
    let folder = TempDir::new()?;
    refused(
        folder.path(),
        UNREADABLE,
        &["credence.toml", "No such file"],
    )
    .await?;
    Ok(())
}

/// Runs credence with arguments to its end.
async fn run(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let folder = TempDir::new()?;
    let log = folder.path().join("log");
    let binary = tools::fresh_credence()?;
    let mut process = Process::start("credence", &binary, arguments, &log, Fate::DiesWithUs)?;
    let status = process.ended(LIMIT).await?;
    Ok((status.code(), process.output()?))
}

#[tokio::test]
async fn the_command_line() -> Result<()> {
    for wrong in [
        &["devv"][..],
        &["dev", "--no-such-flag"],
        &["dev"],
        &["cert", "inspect"],
    ] {
        let (code, output) = run(wrong).await?;
        assert_eq!(code, Some(USAGE), "{wrong:?}: {output}");
    }
    let (code, output) = run(&["--help"]).await?;
    assert_eq!(code, Some(0), "{output}");
    ensure!(
        output.contains("dev") && output.contains("cert"),
        "{output}"
    );
    Ok(())
}

#[tokio::test]
async fn inspecting_a_certificate() -> Result<()> {
    let folder = used().await?;
    let root = folder
        .path()
        .join("state/ca/root.pem")
        .display()
        .to_string();
    let (code, output) = run(&["cert", "inspect", &root]).await?;
    assert_eq!(code, Some(0), "{output}");
    ensure!(output.contains("spiffe://example.org"), "{output}");
    for (name, content) in [("absent.pem", None), ("noise.pem", Some("noise"))] {
        let file = folder.path().join(name);
        if let Some(content) = content {
            fs::write(&file, content)?;
        }
        let (code, output) = run(&["cert", "inspect", &file.display().to_string()]).await?;
        ensure!(code.is_some_and(|code| code != 0), "{output}");
        ensure!(output.contains(name), "{output}");
    }
    Ok(())
}

#[tokio::test]
async fn asked_to_stop_it_takes_its_sockets_along() -> Result<()> {
    let folder = fresh()?;
    let mut credence = start(folder.path()).await?;
    ensure!(is_socket(&credence.socket("frontend")), "no socket");
    let status = credence.process().stop().await?;
    assert_eq!(status.code(), Some(0), "{}", credence.process().output()?);
    ensure!(
        !is_socket(&credence.socket("frontend")),
        "the socket stayed"
    );
    Ok(())
}

#[tokio::test]
async fn logs_as_json_are_json() -> Result<()> {
    let folder = fresh()?;
    let file = folder.path().join("credence.toml").display().to_string();
    let arguments = ["dev", "--config", &file, "--log-format", "json"];
    let log = folder.path().join("log");
    let binary = tools::fresh_credence()?;
    let mut credence = Process::start("credence", &binary, arguments, &log, Fate::DiesWithUs)?;
    credence
        .ready(LIMIT, async |output| output.contains("ready"))
        .await?;
    credence.stop().await?;
    for line in credence.output()?.lines() {
        serde_json::from_str::<serde_json::Value>(line).with_context(|| line.to_owned())?;
    }
    Ok(())
}
