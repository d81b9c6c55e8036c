//! `credence agent run` as it is typed, beside `credence ca run`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

mod configured;
mod files;
mod issued;
mod seen;
mod served;

use credence_ca_tests::{
    agent::{Agent, fetch},
    daemon::{Daemon, Setup},
    wait::until,
};
use std::{fs, path::Path, process::Command};

/// A CA whose certificates live for seconds.
const SHORT: &str = r#"
[leaf]
shortest = "5s"
usual = "6s"
longest = "6s"
[lifecycle]
clock_skew = "0s"
rotate_roots = "on-order"
[limits]
identity_burst = 100000
"#;

const BINARY: &str = env!("CARGO_BIN_EXE_credence");
const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

fn ca(sections: &str) -> Daemon {
    Setup::new(BINARY, sections).start()
}

/// What the CA is called in an agent's configuration, with a token of a service account and the CA's roots in the agent's folder.
fn source(ca: &Daemon) -> String {
    format!(
        "trust_domain = \"example.org\"\nmonitor = \"127.0.0.1:0\"\n[ca]\naddress = \"{}\"\n\
         id = \"spiffe://example.org/credence/ca\"\nroots_file = \"roots.pem\"\ntoken_file = \"token\"\n",
        ca.running().grpc
    )
}

/// Its one identity, with a socket of its own.
const ONE: &str =
    "[[identities]]\nid = \"spiffe://example.org/ns/shop/sa/web\"\nsocket = \"web.sock\"\n";

/// An agent to be, whose token is for the one identity.
fn prepared(ca: &Daemon, toml: &str) -> Agent {
    let agent = Agent::prepared(BINARY, toml);
    let token = ca.setup.issuer.service_account("shop", "web");
    fs::write(agent.path("token"), token).unwrap();
    fs::write(agent.path("roots.pem"), ca.order(&["ca", "roots"])).unwrap();
    agent
}

fn started(ca: &Daemon, toml: &str) -> Agent {
    let mut agent = prepared(ca, toml);
    agent.start_again();
    agent
}

/// The chain that is served to this process, which openssl takes, for both ends of a connection, with the roots that are served beside it.
async fn chain(socket: &Path) -> String {
    let (chain, roots) = until("a certificate", async || {
        let chain = fetch(socket, "default").await.ok()?;
        Some((chain, fetch(socket, "ROOTCA").await.ok()?))
    })
    .await;
    openssl_takes(&chain, &roots);
    chain
}

/// The chain leads to the roots, and is good for servers and clients.
fn openssl_takes(chain: &str, roots: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (chain, roots) = (file("chain.pem", chain), file("roots.pem", roots));
    for purpose in ["sslserver", "sslclient"] {
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]);
        let said = openssl
            .arg(&roots)
            .arg("-untrusted")
            .arg(&chain)
            .arg(&chain)
            .output();
        let said = said.expect("openssl is needed");
        assert!(said.status.success(), "{purpose}: {said:?}");
    }
}
