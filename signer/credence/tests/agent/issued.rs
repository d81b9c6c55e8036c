//! How identities come by their certificates.

use crate::{ONE, SHORT, WEB, ca, chain, prepared, source, started, until};
use credence_ca_tests::{
    agent::fetch,
    client::{certificates, serial, uris, verify},
};
use rustix::process::Signal;
use std::fs;

#[tokio::test]
async fn a_token_gets_a_certificate_that_is_renewed_and_each_renewal_is_one_line() {
    let ca = ca(SHORT);
    let mut agent = started(&ca, &(source(&ca) + ONE));
    let socket = agent.path("web.sock");
    let first = certificates(&chain(&socket).await);
    assert_eq!(uris(&first[0]), [WEB]);
    verify(&first, &ca.roots()).unwrap();
    let roots = fetch(&socket, "ROOTCA").await.unwrap();
    assert_eq!(certificates(&roots), ca.roots());
    until("three certificates", async || {
        (agent.identity(WEB)["certificates"].as_u64()? >= 3).then_some(())
    })
    .await;
    let log = agent.stop();
    let lines = log
        .lines()
        .filter(|line| line.contains("certificate received"));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["old_serial"], "none");
    assert_eq!(lines[0]["new_serial"], serial(&first[0]));
    for pair in lines.windows(2) {
        assert_eq!(pair[1]["old_serial"], pair[0]["new_serial"]);
        assert_ne!(pair[1]["old_serial"], pair[1]["new_serial"]);
        assert_eq!(pair[1]["identity"], WEB);
    }
    assert!(!socket.exists(), "the socket is left behind");
    assert!(
        !log.contains("PRIVATE KEY") && !log.contains("eyJ"),
        "a secret in the log"
    );
}

#[tokio::test]
async fn a_join_token_is_all_that_a_host_begins_with() {
    let ca = ca("");
    let id = "spiffe://example.org/host/one";
    let toml = source(&ca)
        .replace("roots_file = \"roots.pem\"\n", "")
        .replace("token_file", "join_token_file")
        + &ONE.replace(WEB, id);
    let mut agent = prepared(&ca, &toml);
    let token = ca.order(&["token", "create", id, "--ttl", "5m"]);
    fs::write(agent.path("token"), &token).unwrap();
    agent.start_again();
    let chain = certificates(&chain(&agent.path("web.sock")).await);
    assert_eq!(uris(&chain[0]), [id]);
    assert!(
        !agent.stop().contains(token.trim()),
        "the log has the token"
    );
}

#[tokio::test]
async fn a_node_agent_on_the_ca_s_socket_gets_certificates_for_all_of_its_identities() {
    let uid = rustix::process::geteuid().as_raw();
    let ca = ca(&format!(
        "{SHORT}[unix]\nsocket = \"ca.sock\"\nattestors = [\"hosts\"]\n\
         [attestors.hosts]\nkind = \"peer\"\n[[attestors.hosts.entries]]\nuid = {uid}\nidentity = \"spiffe://example.org/agent/here\"\n\
         [[node_agents]]\nidentity = \"spiffe://example.org/agent/here\"\nmay_ask_for = [\"/host/*\"]\n"
    ));
    let socket = ca.folder().join("ca.sock");
    let identity = |name: &str| {
        format!(
            "[[identities]]\nid = \"spiffe://example.org/{name}\"\nsocket = \"{}.sock\"\n",
            name.replace('/', "-")
        )
    };
    let toml = format!(
        "trust_domain = \"example.org\"\n[ca]\nsocket = \"{}\"\nnode_agent = true\n{}{}{}",
        socket.display(),
        identity("host/a"),
        identity("host/b"),
        identity("other/c"),
    );
    let agent = started(&ca, &toml);
    for name in ["a", "b"] {
        let id = format!("spiffe://example.org/host/{name}");
        let chain = certificates(&chain(&agent.path(&format!("host-{name}.sock"))).await);
        assert_eq!(uris(&chain[0]), [id.as_str()]);
        until("a renewal", async || {
            (agent.identity(&id)["certificates"].as_u64()? >= 2).then_some(())
        })
        .await;
    }
    let other = "spiffe://example.org/other/c";
    until("the refusal", async || {
        (agent.identity(other)["state"] == "refused").then_some(())
    })
    .await;
    assert!(fetch(&agent.path("other-c.sock"), "default").await.is_err());
}

#[tokio::test]
async fn without_a_token_or_a_ca_it_waits_and_says_so_and_goes_on_by_itself() {
    let ca = ca("");
    let mut agent = prepared(&ca, &(source(&ca) + ONE));
    let token = fs::read(agent.path("token")).unwrap();
    fs::remove_file(agent.path("token")).unwrap();
    ca.signal(Signal::STOP);
    agent.start_again();
    until("it to be unattested", async || {
        (agent.identity(WEB)["state"] == "unattested").then_some(())
    })
    .await;
    let error = agent.identity(WEB)["last_error"]["reason"].to_string();
    assert!(error.contains("token"), "{error}");
    fs::write(agent.path("token"), token).unwrap();
    until("it to wait for the CA", async || {
        (agent.identity(WEB)["state"] == "waiting").then_some(())
    })
    .await;
    ca.signal(Signal::CONT);
    chain(&agent.path("web.sock")).await;
    assert_eq!(agent.identity(WEB)["state"], "holding");
}

#[tokio::test]
async fn a_new_root_is_served_without_a_restart() {
    let ca = ca(
        "[lifecycle]\nrefresh_hint = \"1s\"\nclock_skew = \"0s\"\nrotate_roots = \"on-order\"\n",
    );
    let agent = started(&ca, &(source(&ca) + ONE));
    let before = chain(&agent.path("web.sock")).await;
    ca.order(&["ca", "rotate-root"]);
    until(
        "the new root to be active, by the agent's word",
        async || {
            (ca.status()["roots"][0]["phase"] == "active"
                && ca.status()["roots"].as_array()?.len() == 2)
                .then_some(())
        },
    )
    .await;
    assert_eq!(agent.status()["bundles"][0]["roots"], 2);
    assert_eq!(chain(&agent.path("web.sock")).await, before);
}

/// A join token is good once, and an agent is started more often.
#[tokio::test]
async fn what_is_kept_is_served_at_the_next_start_and_renewed_without_a_new_token() {
    let ca = ca(SHORT);
    let id = "spiffe://example.org/host/one";
    let toml = "state_dir = \"state\"\n".to_owned()
        + &source(&ca)
            .replace("roots_file = \"roots.pem\"\n", "")
            .replace("token_file", "join_token_file")
        + &ONE.replace(WEB, id);
    let mut agent = prepared(&ca, &toml);
    let token = ca.order(&["token", "create", id, "--ttl", "5m"]);
    fs::write(agent.path("token"), &token).unwrap();
    agent.start_again();
    let socket = agent.path("web.sock");
    chain(&socket).await;
    for _ in 0..2 {
        until("it to be kept", async || {
            let status = agent.status();
            (status["files"][0]["serial"] == status["identities"][0]["serial"]).then_some(())
        })
        .await;
        agent.kill();
        agent.start_again();
        let serial = until("what was kept", async || {
            let served = agent.logged("the certificate from before is served");
            Some(served.first()?["serial"].as_str()?.to_owned())
        })
        .await;
        until("a renewal", async || {
            let one = agent.identity(id);
            (one["serial"] != serial.as_str() && one["state"] == "holding").then_some(())
        })
        .await;
    }
    // a folder that others can enter is none for keys
    agent.stop();
    let state = agent.path("state");
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, told) = agent.refused();
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("mode 0700"), "{told}");
}
