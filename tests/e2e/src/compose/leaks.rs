//! No secret is in an image, a container's own files, an environment or an image's history: the keys and tokens that the
//! tour's processes made are looked for.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem::Finder;

use super::project::{ENVOY_IMAGE, IMAGE, Project, docker};

/// How much is looked at at once.
const CHUNK: usize = 1 << 20;
/// What is in an image for certain: a search that does not find it is none.
const KNOWN: &str = "proxy_close_stream tcp companion";
/// Where secrets are, by service.
const PLACES: [(&str, &str); 5] = [
    ("ca", "/var/lib/credence"),
    ("frontend-agent", "/var/lib/credence"),
    ("server-agent", "/var/lib/credence"),
    ("frontend-agent", "/run/token"),
    ("server-agent", "/run/token"),
];

/// Something to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    /// What it is called; never what it is.
    pub name: String,
    /// What it is.
    pub octets: Vec<u8>,
}

/// Which of these are in what is read, whether they lie across two reads or not.
///
/// # Errors
/// If it cannot be read.
pub fn found_in(mut from: impl Read, needles: &[Needle]) -> io::Result<Vec<String>> {
    let finders: Vec<_> = needles
        .iter()
        .map(|needle| Finder::new(&needle.octets))
        .collect();
    let longest = needles.iter().map(|needle| needle.octets.len()).max();
    let keep = longest.unwrap_or(1).saturating_sub(1);
    let mut found = vec![false; needles.len()];
    let mut window = Vec::with_capacity(CHUNK + keep);
    loop {
        let read = from.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        for (seen, finder) in found.iter_mut().zip(&finders) {
            *seen = *seen || finder.find(&window).is_some();
        }
        if read == 0 {
            let names = needles.iter().zip(found).filter(|(_, seen)| *seen);
            return Ok(names.map(|(needle, _)| needle.name.clone()).collect());
        }
        window.drain(..window.len().saturating_sub(keep));
    }
}

/// None of the secrets that are there is where none may be.
///
/// # Errors
/// If one is, or there was none to look for, or the search does not see what is in the images.
pub async fn none_is_in_an_image(project: &Project) -> Result<String> {
    let secrets = secrets(project).await?;
    let count = secrets.len();
    ensure!(count >= 5, "only {count} secrets are there to look for");
    let mut needles = secrets.clone();
    needles.push(Needle {
        name: KNOWN.to_owned(),
        octets: KNOWN.into(),
    });
    let found = tokio::task::spawn_blocking(move || saved(&needles)).await??;
    ensure!(found == [KNOWN], "in the images: {found:?}");
    let told = what_the_engine_tells(project).await?;
    let found = found_in(told.as_bytes(), &secrets)?;
    ensure!(found.is_empty(), "in what the engine tells: {found:?}");
    for service in project.services() {
        let written = written_in(project, service).await?;
        ensure!(
            written.is_empty(),
            "{service} wrote to its root file system: {written:?}"
        );
    }
    Ok(format!(
        "{count} keys and tokens: none in an image, a layer, an environment, a history"
    ))
}

/// The images, layer by layer.
fn saved(needles: &[Needle]) -> Result<Vec<String>> {
    let mut child = Command::new("docker")
        .args(["save", IMAGE, ENVOY_IMAGE])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let found = found_in(child.stdout.take().context("no output")?, needles);
    ensure!(child.wait()?.success(), "docker save failed");
    Ok(found?)
}

/// Environments, arguments, labels and histories.
async fn what_the_engine_tells(project: &Project) -> Result<String> {
    let mut told = docker(&["image", "inspect", IMAGE, ENVOY_IMAGE]).await?;
    for image in [IMAGE, ENVOY_IMAGE] {
        told += &docker(&["history", "--no-trunc", image]).await?;
    }
    for service in project.services() {
        told += &project.inspect(service).await?.to_string();
    }
    Ok(told)
}

/// What is new in a container's own layer, but for the places that something is mounted at.
async fn written_in(project: &Project, service: &str) -> Result<Vec<String>> {
    let told = project.inspect(service).await?;
    let mounts = told["Mounts"].as_array().into_iter().flatten();
    let mut places: Vec<String> = mounts
        .filter_map(|mount| Some(mount["Destination"].as_str()?.to_owned()))
        .collect();
    let tmpfs = told["HostConfig"]["Tmpfs"].as_object();
    places.extend(tmpfs.into_iter().flatten().map(|(place, _)| place.clone()));
    let changed = docker(&["diff", &project.container(service).await?]).await?;
    let changed = changed.lines().filter_map(|line| line.split_once(' '));
    let strange = changed.map(|(_, path)| path).filter(|path| {
        let folder = format!("{path}/");
        !places
            .iter()
            .any(|place| place == path || place.starts_with(&folder))
    });
    Ok(strange.map(str::to_owned).collect())
}

/// The keys of the CA and of the agents, and the join tokens.
async fn secrets(project: &Project) -> Result<Vec<Needle>> {
    let mut secrets = Vec::new();
    for (service, place) in PLACES {
        let files = project
            .exec(service, &["find", place, "-type", "f"])
            .await?;
        for file in files.lines() {
            let text = project.exec(service, &["cat", file]).await?;
            let name = format!("{service}: {file}");
            secrets.extend(needles(&name, &text));
        }
    }
    Ok(secrets)
}

/// A PEM key as its longest line and as DER; a token as it is; nothing for anything else.
fn needles(name: &str, text: &str) -> Vec<Needle> {
    let needle = |octets: Vec<u8>| Needle {
        name: name.to_owned(),
        octets,
    };
    if text.starts_with("credence-join-") {
        return vec![needle(text.trim().into())];
    }
    if !text.contains("PRIVATE KEY-----") {
        return Vec::new();
    }
    let key = text.split("PRIVATE KEY-----").nth(1).unwrap_or_default();
    let lines: Vec<_> = key.lines().filter(|line| !line.contains("---")).collect();
    let longest = lines.iter().max_by_key(|line| line.len());
    let mut needles = Vec::new();
    if let Some(line) = longest.filter(|line| line.len() > 40) {
        needles.push(needle((*line).into()));
    }
    needles.extend(STANDARD.decode(lines.concat()).ok().map(needle));
    needles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needle(text: &str) -> Needle {
        Needle {
            name: text.to_owned(),
            octets: text.into(),
        }
    }

    #[test]
    fn finds_what_lies_across_two_reads_and_nothing_else() {
        for at in [0, 5, CHUNK - 3, CHUNK, 2 * CHUNK - 1] {
            let mut text = vec![b'.'; 3 * CHUNK];
            text.splice(at..at + 6, *b"secret");
            let needles = [needle("secret"), needle("absent")];
            let found = found_in(text.as_slice(), &needles).unwrap();
            assert_eq!(found, ["secret"], "at {at}");
        }
        assert!(found_in(io::empty(), &[needle("x")]).unwrap().is_empty());
    }

    #[test]
    fn a_key_is_looked_for_as_pem_and_as_der() {
        let der: Vec<u8> = (0..138).collect();
        let encoded = STANDARD.encode(&der);
        let (first, second) = encoded.split_at(64);
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{first}\n{second}\n-----END PRIVATE KEY-----\n");
        let found: Vec<_> = needles("a key", &pem);
        assert!(found.iter().any(|one| one.octets == der), "{found:?}");
        assert!(
            found
                .iter()
                .any(|one| encoded.contains(std::str::from_utf8(&one.octets).unwrap_or("-")))
        );
        assert_eq!(needles("a token", "credence-join-1-abc\n").len(), 1);
        assert!(needles("a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n").is_empty());
    }
}
