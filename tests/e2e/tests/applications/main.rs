//! Applications without Envoy: the examples in docs/examples, in Rust and in Python, and clients of the Workload API that others wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy recognises only the functions that are marked as such"
)]

mod rig;
mod source;

use std::{
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
};

use anyhow::{Result, ensure};
use credence_e2e::wait;
use rig::{Language, Rig, SOON};

/// Rotations that calls run through.
const ROTATIONS: usize = 3;

/// Clients in both languages call, and no call fails while both sides get new certificates again and again.
async fn nobody_notices_rotations(language: Language) -> Result<()> {
    let rig = Rig::start().await?;
    let server = rig.server(language, "server", "client").await?;
    let mut rust = rig.client(Language::Rust, "client", &server, "server")?;
    let mut python = rig.client(Language::Python, "client", &server, "server")?;
    // the client in Rust reads who is there from the certificate that the server showed
    wait::until("rotations of server and client", SOON * 2, async || {
        rust.process.still_runs()?;
        python.process.still_runs()?;
        let (rust, python) = (rust.calls()?, python.calls()?);
        let seen = [
            rust.serials_of("server"),
            rust.serials_of("client"),
            python.serials_of("client"),
        ];
        Ok(seen
            .iter()
            .all(|serials| serials.len() > ROTATIONS)
            .then_some(()))
    })
    .await?;
    for client in [&rust, &python] {
        let calls = client.calls()?;
        assert_eq!(calls.failed, Vec::<String>::new(), "{}", client.name);
        assert!(calls.answered.len() > 100, "{}", calls.answered.len());
    }
    Ok(())
}

#[tokio::test]
async fn nobody_notices_rotations_of_a_server_in_rust() -> Result<()> {
    nobody_notices_rotations(Language::Rust).await
}

#[tokio::test]
async fn nobody_notices_rotations_of_a_server_in_python() -> Result<()> {
    nobody_notices_rotations(Language::Python).await
}

/// Who is not allowed gets no answer, and who is gets its answers on.
async fn a_stranger_is_refused(language: Language) -> Result<()> {
    let rig = Rig::start().await?;
    let server = rig.server(language, "server", "client").await?;
    let friend = rig.client(Language::Rust, "client", &server, "server")?;
    for theirs in [Language::Rust, Language::Python] {
        let before = server.refusals("stranger")?;
        let stranger = rig.client(theirs, "stranger", &server, "server")?;
        wait::until("a refusal of the stranger", SOON, async || {
            let told = stranger.output()?;
            let turned_away = told.contains("FAILED") || told.contains("Error");
            Ok((turned_away && server.refusals("stranger")? > before).then_some(()))
        })
        .await?;
        let answered = stranger.calls()?.answered;
        ensure!(answered.is_empty(), "a stranger was let in: {answered:?}");
    }
    friend.is_answered_again().await?;
    assert_eq!(server.refusals("/client")?, 0);
    Ok(())
}

#[tokio::test]
async fn a_stranger_is_refused_by_a_server_in_rust() -> Result<()> {
    a_stranger_is_refused(Language::Rust).await
}

#[tokio::test]
async fn a_stranger_is_refused_by_a_server_in_python() -> Result<()> {
    a_stranger_is_refused(Language::Python).await
}

/// A server with a good certificate, but of somebody else, gets no call.
async fn another_server_is_refused(language: Language) -> Result<()> {
    let rig = Rig::start().await?;
    let server = rig.server(Language::Rust, "stranger", "client").await?;
    let client = rig.client(language, "client", &server, "server")?;
    let why = match language {
        Language::Rust => "not authorized: spiffe://example.org/stranger",
        Language::Python => "Hostname Verification Check failed",
    };
    wait::until("a refusal of the server", SOON, async || {
        Ok(client.output()?.contains(why).then_some(()))
    })
    .await?;
    assert!(client.calls()?.answered.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_client_in_rust_refuses_another_server() -> Result<()> {
    another_server_is_refused(Language::Rust).await
}

#[tokio::test]
async fn a_client_in_python_refuses_another_server() -> Result<()> {
    another_server_is_refused(Language::Python).await
}

/// It asks for an identity, and does not listen while it has none.
async fn no_identity_no_service(language: Language) -> Result<()> {
    let mut rig = Rig::empty()?;
    let mute = UnixListener::bind(rig.socket("server"))?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut server = rig.launch_server(language, address, "server", "client")?;
    // it has come to ask, and gets no answer
    let asking = tokio::task::spawn_blocking(move || mute.accept()).await??;
    server.process.still_runs()?;
    assert!(!server.output()?.contains("serves on"));
    assert!(TcpStream::connect(address).is_err());
    drop(asking);
    rig.start_agent().await?;
    server.serves().await?;
    rig.client(Language::Rust, "client", &server, "server")?
        .is_answered_again()
        .await
}

#[tokio::test]
async fn a_server_in_rust_waits_for_its_identity() -> Result<()> {
    no_identity_no_service(Language::Rust).await
}

#[tokio::test]
async fn a_server_in_python_waits_for_its_identity() -> Result<()> {
    no_identity_no_service(Language::Python).await
}
