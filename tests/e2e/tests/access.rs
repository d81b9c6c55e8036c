//! Who gets in and who does not: each step of the demo, and what it has no time for.

mod common;

use std::time::Duration;

use anyhow::{Result, ensure};
use common::{LONG, options, world};
use credence_e2e::{
    access_log::AccessLog,
    credence::{Config, Credence},
    envoy::text,
    process::{Fate, run},
    steps,
    stranger::{Papers, refused_by_alert},
    wait,
    world::{TRUST_DOMAIN, start_client},
};
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

/// How long an entry may take to be in the access log.
const LOGGED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_steps_of_the_demo_hold() -> Result<()> {
    let world = world(LONG).await?;
    steps::frontend_is_let_in(&world).await?;
    steps::frontend_is_kept_to_its_paths(&world).await?;
    steps::intruder_is_refused(&world).await?;
    steps::stranger_fails_at_the_handshake(&world).await?;
    steps::metrics_count_what_happened(&world, steps::EXPECTED).await?;
    Ok(())
}

#[tokio::test]
async fn every_decision_is_counted_once() -> Result<()> {
    let world = world(LONG).await?;
    for _ in 0..7 {
        world.frontend.get("/").await?;
    }
    for _ in 0..5 {
        world.intruder.get("/").await?;
    }
    let expected = steps::Expected {
        allowed: 7,
        denied: 5,
    };
    steps::metrics_count_what_happened(&world, expected).await?;
    // Nor is one counted again at a later tick.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let samples = world.server.metrics().await?;
    assert_eq!(steps::requests(&samples, "allow", "allow_rule")?, 7.0);
    assert_eq!(steps::requests(&samples, "deny", "no_rule")?, 5.0);
    Ok(())
}

#[tokio::test]
async fn the_access_log_names_the_peer_and_the_reason() -> Result<()> {
    let world = world(LONG).await?;
    world.intruder.get("/api/hello").await?;
    let mut log = AccessLog::new(&world.access_log());
    let entry = wait::until("an entry", LOGGED, async || Ok(log.news()?.pop())).await?;
    assert_eq!(entry.status, 403);
    assert_eq!(entry.peer, format!("spiffe://{TRUST_DOMAIN}/intruder"));
    ensure!(
        entry.details.starts_with("credence_denied"),
        "details: {}",
        entry.details
    );
    let held = world.intruder.held().await?;
    ensure!(
        held.iter()
            .any(|held| held.serial == entry.certificate_serial),
        "the serial in the log, {}, is not the one of {held:?}",
        entry.certificate_serial
    );
    Ok(())
}

/// Another CA, the very same names: neither side takes the other for what it says it is.
#[tokio::test]
async fn the_same_name_from_another_ca_is_worth_nothing() -> Result<()> {
    let world = world(LONG).await?;
    let elsewhere = TempDir::new()?;
    let options = options(LONG)?;
    let config = Config {
        trust_domain: TRUST_DOMAIN.to_owned(),
        leaf_life: "10m".to_owned(),
        identities: vec!["frontend".to_owned()],
        ..Config::default()
    };
    let other = Credence::start(
        &options.credence,
        elsewhere.path(),
        &config,
        Fate::DiesWithUs,
    );
    let other = other.await?;
    let forged = start_client(
        "frontend",
        elsewhere.path(),
        &options,
        &other,
        &world.server,
    );
    let forged = forged.await?;
    let answer = forged.get("/").await?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let refused = forged.metric("envoy_cluster_ssl_fail_verify_error").await?;
    ensure!(refused >= 1.0, "not for the certificate: {}", answer.body);
    steps::frontend_is_let_in(&world).await?;
    Ok(())
}

/// The frontend's name in a certificate that its bearer signed himself.
#[tokio::test]
async fn a_certificate_that_nobody_signed_fails_at_the_handshake() -> Result<()> {
    let world = world(LONG).await?;
    let (certificate, key) = (world.folder().join("forged"), world.folder().join("key"));
    let (certificate_file, key_file) = (text(&certificate)?, text(&key)?);
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
        "/CN=frontend",
        "-addext",
        "subjectAltName=critical,URI:spiffe://example.org/frontend",
        "-keyout",
        &key_file,
        "-out",
        &certificate_file,
    ];
    run("openssl".as_ref(), &arguments).await?;
    let papers = Papers {
        certificate: &certificate,
        key: &key,
    };
    let root = world.credence.state("ca/root.pem");
    for version in [&TLS12, &TLS13] {
        let server = world.server.address();
        let alert = refused_by_alert(server, &root, version, Some(papers)).await?;
        assert_eq!(alert, "UnknownCA", "{version:?}");
    }
    Ok(())
}

/// The client's Envoy sends nothing to a server with another identity than the one it wants.
#[tokio::test]
async fn a_client_refuses_another_server() -> Result<()> {
    let mut world = world(LONG).await?;
    let folder = TempDir::new()?;
    // An Envoy with the frontend's identity takes the server's place.
    std::fs::remove_file(world.credence.socket("server"))?;
    std::os::unix::fs::symlink(
        world.credence.socket("frontend"),
        world.credence.socket("server"),
    )?;
    let options = options(LONG)?;
    let impostor =
        credence_e2e::world::start_server(folder.path(), &options, &world.credence).await?;
    let client = start_client(
        "intruder",
        folder.path(),
        &options,
        &world.credence,
        &impostor,
    );
    let client = client.await?;
    let answer = client.get("/").await?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let refused = client.metric("envoy_cluster_ssl_fail_verify_san").await?;
    ensure!(refused >= 1.0, "not for its identity: {}", answer.body);
    let requests = impostor.metric("credence_requests_total").await?;
    assert_eq!(requests, 0.0, "the impostor got a request");
    world.server.process().still_runs()
}
