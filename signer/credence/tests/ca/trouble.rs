//! A record that cannot be written, and a bundle that everybody can read.

use crate::{setup, until};
use credence_ca_tests::client::certificates;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};
use tonic::Code;

/// Another process that holds the ledger's file, as a backup program might.
struct Holder(Child);

impl Holder {
    fn of(ledger: &std::path::Path) -> Self {
        const SCRIPT: &str = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nc.execute('BEGIN IMMEDIATE')\nprint('held',flush=True)\nsys.stdin.read()\n";
        let mut child = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn while_the_record_is_locked_nothing_leaves_and_then_it_goes_on_by_itself() {
    let ca = setup("").start();
    ca.certificate("shop", "web").await.unwrap();
    let holder = Holder::of(&ca.folder().join("state/ledger.db"));
    let refused = ca.certificate("shop", "web").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(
        !refused.message().contains("ledger"),
        "callers are told too much"
    );
    let (status, text) = until("health to say why", async || {
        let page = ca.page("/readyz").await;
        (page.0 == 503).then_some(page)
    })
    .await;
    assert!(
        text.contains("ledger: failing") && text.contains("lock"),
        "{status} {text}"
    );
    // Orders are refused as well: what operators do has to be on record.
    let (code, _, err) = ca.command(&["revoke", "spiffe://example.org/ns/shop/sa/web"]);
    assert!(code == 8 && err.contains("ledger"), "{err}");
    holder.release();
    until("certificates again", async || {
        ca.certificate("shop", "web").await.ok()
    })
    .await;
    until("health again", async || {
        (ca.page("/readyz").await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_bundle_endpoint_has_what_is_trusted() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ca = setup(&format!(
        "[bundle_endpoint]\naddress = \"127.0.0.1:{port}\"\npath = \"/bundle\"\n"
    ))
    .start();
    let roots = ca.folder().join("roots.pem");
    fs::write(&roots, ca.order(&["ca", "roots"])).unwrap();
    let fetch = |path: &str| {
        let mut client = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-verify_return_error",
                "-connect",
                &format!("127.0.0.1:{port}"),
                "-CAfile",
            ])
            .arg(&roots)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = client.stdin.take().unwrap();
        write!(
            stdin,
            "GET {path} HTTP/1.1\r\nhost: ca.test\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        client
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut answer)
            .unwrap();
        client.wait().unwrap();
        answer
    };
    let sequence = |answer: &str| {
        let (_, body) = answer.split_once("\r\n\r\n").expect(answer);
        let set: serde_json::Value = serde_json::from_str(body).unwrap();
        let anchors: Vec<_> = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["x5c"][0].as_str().unwrap().to_owned())
            .collect();
        (
            set["spiffe_sequence"].as_u64().unwrap(),
            set["spiffe_refresh_hint"].as_u64(),
            anchors,
        )
    };
    let (first, hint, anchors) = sequence(&fetch("/bundle"));
    assert_eq!((hint, anchors.len()), (Some(300), 1));
    assert!(fetch("/").contains("404"));
    ca.order(&["ca", "rotate-root"]);
    let (second, _, anchors) = sequence(&fetch("/bundle"));
    assert!(second > first);
    let pem = |base64: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    };
    let ders: Vec<_> = anchors
        .iter()
        .map(|anchor| certificates(&pem(anchor)).remove(0))
        .collect();
    assert_eq!(ders, ca.roots());
}
