//! Who is served what.

use crate::{BINARY, ca, chain, prepared, source, started, until};
use credence_ca_tests::{
    agent::{Agent, fetch},
    client::{certificates, uris},
};
use std::fs;
use tonic::Code;

const TWO: &str = "
[[identities]]
id = \"spiffe://example.org/ns/shop/sa/web\"
[[identities]]
id = \"spiffe://example.org/ns/shop/sa/db\"
token_file = \"db-token\"
[shared]
socket = \"agent.sock\"
registry = \"callers.toml\"
";

fn entry(uid: u32, account: &str) -> String {
    format!("[[entries]]\nuid = {uid}\nidentity = \"spiffe://example.org/ns/shop/sa/{account}\"\n")
}

#[tokio::test]
async fn the_shared_socket_goes_by_the_registry_as_it_is_now() {
    let own = rustix::process::geteuid().as_raw();
    let ca = ca("");
    let mut agent = prepared(&ca, &(source(&ca) + TWO));
    fs::write(
        agent.path("db-token"),
        ca.setup.issuer.service_account("shop", "db"),
    )
    .unwrap();
    fs::write(agent.path("callers.toml"), entry(own, "web")).unwrap();
    agent.start_again();
    let socket = agent.path("agent.sock");
    let is = async |account: &str| {
        let chain = fetch(&socket, "default").await.ok()?;
        let found = uris(&certificates(&chain)[0]);
        (found == [format!("spiffe://example.org/ns/shop/sa/{account}")]).then_some(())
    };
    until("the first identity", async || is("web").await).await;
    let other = fetch(&socket, "spiffe://example.org/ns/shop/sa/db").await;
    let nothing = fetch(&socket, "spiffe://example.org/nobody").await;
    assert_eq!(other.unwrap_err().code(), nothing.unwrap_err().code());
    fs::write(agent.path("callers.toml"), entry(own, "db")).unwrap();
    until("the second identity", async || is("db").await).await;
    fs::write(agent.path("callers.toml"), entry(own + 1, "db")).unwrap();
    until("nothing at all", async || {
        let refused = fetch(&socket, "default").await.err()?;
        (refused.code() == Code::PermissionDenied).then_some(())
    })
    .await;
    fs::write(agent.path("callers.toml"), "[[entries]]\nuid = \"nobody\"").unwrap();
    fs::write(agent.path("callers.toml"), entry(own, "web")).unwrap();
    until("the first identity again", async || is("web").await).await;
}

#[tokio::test]
async fn callers_have_what_their_identity_has_beside_it() {
    let ca = ca("");
    let toml = source(&ca)
        + "[[identities]]\nid = \"spiffe://example.org/ns/shop/sa/web\"\nsocket = \"web.sock\"\nalso = [\"spiffe://example.org/ns/shop/sa/db\"]\n\
           [[identities]]\nid = \"spiffe://example.org/ns/shop/sa/db\"\nsocket = \"db.sock\"\ntoken_file = \"db-token\"\n";
    let mut agent = prepared(&ca, &toml);
    fs::write(
        agent.path("db-token"),
        ca.setup.issuer.service_account("shop", "db"),
    )
    .unwrap();
    agent.start_again();
    let (web, db) = (agent.path("web.sock"), agent.path("db.sock"));
    let both = until("both", async || {
        fetch(&web, "spiffe://example.org/ns/shop/sa/db").await.ok()
    })
    .await;
    assert_eq!(both, chain(&db).await);
    assert!(
        fetch(&db, "spiffe://example.org/ns/shop/sa/web")
            .await
            .is_err()
    );
}

/// A dead agent's sockets are in nobody's way, those of a living one are not taken.
#[tokio::test]
async fn it_takes_the_place_of_a_dead_agent_and_of_no_other() {
    let ca = ca("");
    let mut agent = started(&ca, &(source(&ca) + crate::ONE));
    chain(&agent.path("web.sock")).await;
    let second = Agent::prepared(
        BINARY,
        &(source(&ca) + crate::ONE).replace("web.sock", agent.path("web.sock").to_str().unwrap()),
    );
    let (code, log) = second.refused();
    assert_eq!(code, 5, "{log}");
    assert!(log.contains("is already served"), "{log}");
    agent.kill();
    assert!(agent.path("web.sock").exists());
    agent.start_again();
    chain(&agent.path("web.sock")).await;
}
