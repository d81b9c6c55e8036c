//! The certificates, judged by OpenSSL and pkilint.

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::{Context, Result, ensure};
use common::{LONG, world};
use credence_e2e::{checks, envoy::Envoy, world::World};

/// Puts the chain that Envoy got over SDS into files: the leaf, and the issuer.
async fn chain(world: &World, name: &str, envoy: &Envoy) -> Result<(PathBuf, PathBuf)> {
    let (chain, bundle) = envoy.secrets().await?;
    let root = fs::read_to_string(world.credence.state("ca/root.pem"))?;
    assert_eq!(bundle.trim(), root.trim(), "the bundle is not the root");
    let end = "-----END CERTIFICATE-----";
    let at = chain.find(end).context("no certificate in the chain")? + end.len();
    let (leaf, rest) = chain.split_at(at);
    assert_eq!(rest.matches(end).count(), 1, "leaf and issuer, no more");
    let file = |kind: &str| world.folder().join(format!("{name}.{kind}.pem"));
    fs::write(file("leaf"), leaf)?;
    fs::write(file("issuer"), rest.trim_start())?;
    Ok((file("leaf"), file("issuer")))
}

#[tokio::test]
async fn openssl_verifies_what_envoy_got() -> Result<()> {
    let world = world(LONG).await?;
    let root = world.credence.state("ca/root.pem");
    for (name, envoy) in [("server", &world.server), ("frontend", &world.frontend)] {
        let (leaf, issuer) = chain(&world, name, envoy).await?;
        checks::openssl_verifies(&leaf, &issuer, &root).await?;
        let text = checks::openssl_text(&leaf).await?;
        let id = format!("URI:spiffe://example.org/{name}\n");
        ensure!(text.contains(&id), "no {id} in {text}");
        ensure!(text.contains("CA:FALSE"), "not CA:FALSE: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn pkilint_has_no_objection() -> Result<()> {
    let world = world(LONG).await?;
    let (leaf, issuer) = chain(&world, "server", &world.server).await?;
    for certificate in [leaf, issuer, world.credence.state("ca/root.pem")] {
        let findings = checks::pkilint(&certificate).await?;
        ensure!(
            findings.is_empty(),
            "{}: {findings:#?}",
            certificate.display()
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_linter_does_object_to_a_bad_certificate() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let (key, bad) = (folder.path().join("key"), folder.path().join("bad.pem"));
    let (key, file) = (key.display().to_string(), bad.display().to_string());
    // An empty issuer's name, which RFC 5280 §4.1.2.4 forbids.
    let arguments = [
        "req",
        "-new",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/",
        "-keyout",
        &key,
        "-out",
        &file,
    ];
    credence_e2e::process::run("openssl".as_ref(), &arguments).await?;
    let findings = checks::pkilint(&bad).await?;
    ensure!(
        findings.iter().any(|finding| finding.severity == "ERROR"),
        "{findings:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn only_its_owner_can_read_what_is_kept() -> Result<()> {
    let world = world(LONG).await?;
    let mode = |path: PathBuf| -> Result<u32> {
        let metadata = fs::metadata(&path).with_context(|| path.display().to_string())?;
        Ok(metadata.permissions().mode() & 0o777)
    };
    assert_eq!(mode(world.credence.state(""))?, 0o700);
    for file in ["ca/root.key", "ca/issuer.key"] {
        assert_eq!(mode(world.credence.state(file))?, 0o600, "{file}");
    }
    assert_eq!(mode(world.credence.socket("frontend"))?, 0o600);
    Ok(())
}
