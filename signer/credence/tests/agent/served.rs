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

/// The other CA is known by its SPIFFE ID, and its endpoint by the bundle that is held.
#[tokio::test]
async fn a_foreign_bundle_comes_from_its_ca_s_endpoint_and_follows_its_roots() {
    let other = other_ca();
    let endpoint = endpoint_of(&other);
    let ca = ca("");
    let toml = source(&ca)
        + crate::ONE
        + &format!(
            "[[federation]]\ntrust_domain = \"other.org\"\nprofile = \"https-spiffe\"\nurl = \"https://{endpoint}/\"\n\
             endpoint_id = \"spiffe://other.org/credence/ca\"\nbundle_file = \"other.pem\"\n"
        );
    let mut agent = prepared(&ca, &toml);
    fs::write(agent.path("other.pem"), other.order(&["ca", "roots"])).unwrap();
    agent.start_again();
    let socket = agent.path("web.sock");
    let bundle = until("the foreign bundle", async || {
        let found = agent.status()["bundles"]
            .as_array()?
            .iter()
            .find(|one| one["trust_domain"] == "other.org")
            .cloned()?;
        found["number"].is_u64().then_some(())?;
        fetch(&socket, "spiffe://other.org").await.ok()
    })
    .await;
    assert_eq!(certificates(&bundle), other.roots());
    other.order(&["ca", "rotate-root"]);
    until("both of its roots", async || {
        let bundle = fetch(&socket, "spiffe://other.org").await.ok()?;
        (certificates(&bundle).len() == 2).then_some(())
    })
    .await;
    let (_, metrics) = agent.page("/metrics").await;
    assert!(
        metrics.contains("credence_agent_bundle_failing{trust_domain=\"other.org\"} 0"),
        "{metrics}"
    );
}

/// Of another trust domain, with its bundle's endpoint. An agent asks every 10 s at most: the CA has to wait for as long with a new root,
/// which it does for three hints.
fn other_ca() -> credence_ca_tests::daemon::Daemon {
    let setup = credence_ca_tests::daemon::Setup::new(
        BINARY,
        "[bundle_endpoint]\naddress = \"127.0.0.1:0\"\n[lifecycle]\nrefresh_hint = \"5s\"\nclock_skew = \"0s\"\nrotate_roots = \"on-order\"\n",
    );
    let ca = setup.prepared();
    let path = ca.folder().join("ca.toml");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("example.org", "other.org");
    fs::write(&path, text).unwrap();
    let mut ca = ca;
    ca.start_again();
    ca
}

/// Where it serves its bundle, by its log.
fn endpoint_of(ca: &credence_ca_tests::daemon::Daemon) -> String {
    let log = ca.log();
    let ready = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ready = ready
        .into_iter()
        .find(|line| line["message"] == "ready")
        .unwrap();
    let address = ready["bundle_endpoint"].as_str().unwrap();
    address
        .trim_start_matches("Some(")
        .trim_end_matches(')')
        .to_owned()
}
