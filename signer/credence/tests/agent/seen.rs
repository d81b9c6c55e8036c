//! What is seen of an agent: table, JSON, metrics, readiness.

use crate::{ONE, WEB, ca, chain, prepared, source, started, until};
use credence_ca_tests::client::{certificates, serial};
use std::fs;

#[tokio::test]
async fn the_table_has_a_row_for_each_identity_and_json_has_the_same() {
    let ca = ca("");
    let agent = started(&ca, &(source(&ca) + ONE));
    let leaf = certificates(&chain(&agent.path("web.sock")).await);
    let one = agent.identity(WEB);
    assert_eq!(one["state"], "holding");
    assert_eq!(one["serial"], serial(&leaf[0]));
    let left = one["left"].as_u64().unwrap();
    assert!(left > 3_500 && left <= 3_600, "{left}");
    let (code, table, _) = agent.command(&[]);
    assert_eq!(code, 0);
    let head = table
        .lines()
        .find(|line| line.starts_with("IDENTITY"))
        .unwrap();
    for column in [
        "STATE",
        "SERIAL",
        "ISSUED",
        "EXPIRES",
        "NEXT RENEWAL",
        "STREAMS",
    ] {
        assert!(head.contains(column), "{head}");
    }
    let row = table.lines().find(|line| line.starts_with(WEB)).unwrap();
    for value in ["state", "serial", "issued", "expires", "next_renewal"] {
        assert!(row.contains(one[value].as_str().unwrap()), "{value}: {row}");
    }
    assert!(table.contains("bundle of example.org: 1 roots"), "{table}");
}

#[tokio::test]
async fn metrics_and_readiness_follow_the_identity() {
    let ca = ca("");
    let mut agent = prepared(&ca, &(source(&ca) + ONE));
    let token = fs::read(agent.path("token")).unwrap();
    fs::remove_file(agent.path("token")).unwrap();
    agent.start_again();
    assert_eq!(agent.page("/livez").await.0, 200);
    let (status, lacking) = until("a reason", async || {
        let page = agent.page("/readyz").await;
        page.1.contains("unattested").then_some(page)
    })
    .await;
    assert_eq!(status, 503);
    assert!(
        lacking.contains(WEB) && lacking.contains("token"),
        "{lacking}"
    );
    fs::write(agent.path("token"), token).unwrap();
    chain(&agent.path("web.sock")).await;
    until("readiness", async || {
        (agent.page("/readyz").await.0 == 200).then_some(())
    })
    .await;
    let (status, metrics) = agent.page("/metrics").await;
    assert_eq!(status, 200);
    let value = |series: &str| {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
            .parse::<f64>()
            .unwrap()
    };
    let of = |name: &str| value(&format!("credence_agent_{name}{{identity=\"{WEB}\"}}"));
    assert_eq!(of("certificates_total"), 1.0);
    assert!(of("failures_total") >= 1.0);
    assert!(of("certificate_expires_seconds") > 3_500.0);
    assert!(of("certificate_age_seconds") < 60.0);
    assert!(of("next_renewal_seconds") > 1_300.0);
    let state = |state| {
        value(&format!(
            "credence_agent_identity_state{{identity=\"{WEB}\",state=\"{state}\"}}"
        ))
    };
    assert_eq!((state("holding"), state("unattested")), (1.0, 0.0));
    assert_eq!(
        value("credence_agent_bundle_roots{trust_domain=\"example.org\"}"),
        1.0
    );
    let kinds = metrics
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .count();
    let helps = metrics
        .lines()
        .filter(|line| line.starts_with("# HELP"))
        .count();
    assert_eq!(kinds, helps);
}

#[tokio::test]
async fn nobody_else_is_told_and_without_an_agent_it_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let ca = ca("");
    let mut agent = started(&ca, &(source(&ca) + ONE));
    let socket = agent.path("agent-status.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    agent.stop();
    assert!(!socket.exists());
    let (code, _, err) = agent.command(&[]);
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("is `credence agent run` running"), "{err}");
}

#[tokio::test]
async fn a_hangup_ends_nothing_and_is_answered_in_the_log() {
    let ca = ca("");
    let agent = started(&ca, &(source(&ca) + ONE));
    chain(&agent.path("web.sock")).await;
    agent.signal(rustix::process::Signal::HUP);
    until("a line in the log", async || {
        agent
            .log()
            .contains("another configuration takes a restart")
            .then_some(())
    })
    .await;
    chain(&agent.path("web.sock")).await;
}
