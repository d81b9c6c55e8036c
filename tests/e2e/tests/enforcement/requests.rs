//! Requests that nobody sends by accident: none may trap the filter or get past it.

use std::time::Duration;

use anyhow::Result;
use credence_e2e::{
    authority::id,
    client::Client,
    lab::{Lab, Setup},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::common::{config, counted, everybody, frontend, never_trapped, requests, status, with};

/// Only `/api/*`, so that every request's path, method and host are looked at.
fn particular() -> Value {
    let rule =
        json!({"name": "api", "methods": ["GET"], "hosts": ["server.test"], "paths": ["/api/*"]});
    with(
        config(&json!([rule])),
        &json!({"headers": {"peer": true}, "accessLog": "all"}),
    )
}

async fn still_serves(lab: &mut Lab, client: &Client) -> Result<()> {
    assert_eq!(status(lab, client, "/api/x").await?, 200);
    never_trapped(lab).await
}

#[tokio::test]
async fn headers_that_are_not_utf8_change_nothing() -> Result<()> {
    let mut lab = Setup::server(&particular()).start().await?;
    let client = lab.client("frontend")?;
    let odd = [
        ("x-odd", &b"\xff\xfe\x80"[..]),
        ("cookie", b"a=\xc3\x28"),
        ("x-forwarded-for", b"\xff"),
        ("user-agent", b"\xf0\x28\x8c\x28"),
    ];
    let mut one = client.http1(lab.address()).await?;
    assert_eq!(one.request("GET", "/api/x", &odd).await?.status, 200);
    assert_eq!(one.request("GET", "/other", &odd).await?.status, 403);
    let mut two = client.http2(lab.address()).await?;
    let answer = two.send("GET", "/api/x", &odd).await?.answer().await?;
    assert_eq!(answer.status, 200);
    still_serves(&mut lab, &client).await
}

#[tokio::test]
async fn a_path_method_or_host_that_is_not_utf8_is_not_let_in() -> Result<()> {
    let mut lab = Setup::server(&particular()).start().await?;
    let client = lab.client("frontend")?;
    for request in [
        &b"GET /api/\xff\xfe HTTP/1.1\r\nhost: server.test\r\n\r\n"[..],
        b"GET /api/x HTTP/1.1\r\nhost: server.test\xff\r\n\r\n",
        b"G\xcbT /api/x HTTP/1.1\r\nhost: server.test\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\nhost: server.test\r\nhost: other.test\r\n\r\n",
        b"GET http://other.test/api/x HTTP/1.1\r\nhost: server.test\r\n\r\n",
        b"get /api/x HTTP/1.1\r\nhost: server.test\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: server.test\r\n\r\n",
        b"CONNECT server.test:443 HTTP/1.1\r\nhost: server.test:443\r\n\r\n",
        b"GET /api/x HTTP/1.0\r\n\r\n",
    ] {
        let words = String::from_utf8_lossy(request).into_owned();
        let answer = raw(&client, &lab, request).await?;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{words} got {answer}");
    }
    still_serves(&mut lab, &client).await
}

/// Sends octets over TLS, and gives what comes back until the server says no more.
async fn raw(client: &Client, lab: &Lab, octets: &[u8]) -> Result<String> {
    let mut tls = client.connect(lab.address()).await?;
    tls.write_all(octets).await?;
    let mut answer = vec![0; 4096];
    let read = timeout(Duration::from_secs(5), tls.read(&mut answer)).await?;
    // Closing without a word is an answer, too.
    answer.truncate(read.unwrap_or(0));
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// `:method GET` and no more, as a HEADERS frame that ends stream and headers.
const NO_PATH: &[u8] = b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82";
/// `:method CONNECT`, `:authority server.test`, without `:path` and `:scheme` (RFC 9113 §8.5).
const CONNECT: &[u8] = b"\x00\x00\x16\x01\x05\x00\x00\x00\x01\x02\x07CONNECT\x01\x0bserver.test";
/// The same as an extended CONNECT would be, but for the path: `:protocol websocket`, `:scheme https`.
const EXTENDED: &[u8] = b"\x00\x00\x2c\x01\x04\x00\x00\x00\x01\x02\x07CONNECT\x01\x0bserver.test\x87\x00\x09:protocol\x09websocket";

/// Envoy itself ends the first and the last; a CONNECT comes to the filter.
#[tokio::test]
async fn a_request_without_a_path_is_not_let_in() -> Result<()> {
    let rules = json!([{"name": "api", "paths": ["/api/*"]}]);
    let mut lab = Setup::server(&config(&rules)).start().await?;
    let client = lab.client("frontend")?;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for frame in [NO_PATH, CONNECT, EXTENDED] {
        let mut tls = client.http2_transport(lab.address()).await?;
        tls.write_all(&[&preface[..], frame].concat()).await?;
        let first = first_answer(&mut tls).await?;
        // 0x88 is `:status 200` (RFC 7541, appendix A).
        assert_ne!(first, Some(0x88), "{frame:x?}");
    }
    let connect = b"CONNECT server.test:443 HTTP/1.1\r\nhost: server.test:443\r\n\r\n";
    let answer = raw(&client, &lab, connect).await?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    requests(&lab, "deny", "path_missing", 2).await?;
    requests(&lab, "allow", "allow_rule", 0).await?;
    still_serves(&mut lab, &client).await
}

/// The first octet of the first HEADERS frame; none if the stream or the connection is ended instead.
async fn first_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<Option<u8>> {
    loop {
        let mut head = [0; 9];
        if timeout(Duration::from_secs(5), stream.read_exact(&mut head))
            .await?
            .is_err()
        {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length)?];
        stream.read_exact(&mut payload).await?;
        match head[3] {
            1 => return Ok(payload.first().copied()),
            3 | 7 => return Ok(None),
            _ => {}
        }
    }
}

#[tokio::test]
async fn sixty_kilobytes_of_headers_are_judged_as_any_other_request() -> Result<()> {
    let mut lab = Setup::server(&particular()).start().await?;
    let client = lab.client("frontend")?;
    let big = vec![b'x'; 57 * 1024];
    let mut one = client.http1(lab.address()).await?;
    let headers = [("x-big", big.as_slice())];
    assert_eq!(one.request("GET", "/api/x", &headers).await?.status, 200);
    assert_eq!(one.request("GET", "/other", &headers).await?.status, 403);
    let peer = [("x-credence-peer", big.as_slice())];
    assert_eq!(one.request("GET", "/api/x", &peer).await?.status, 200);
    let mut two = client.http2(lab.address()).await?;
    let answer = two.send("GET", "/api/x", &headers).await?.answer().await?;
    assert_eq!(answer.status, 200);
    still_serves(&mut lab, &client).await
}

#[tokio::test]
async fn a_path_of_sixty_kilobytes_is_refused_and_logged() -> Result<()> {
    let mut lab = Setup::server(&particular()).start().await?;
    let client = lab.client("frontend")?;
    let path = format!("/api/{}", "x".repeat(57 * 1024));
    let mut one = client.http1(lab.address()).await?;
    let short = one.get("/api/x").await?;
    assert_eq!(short.status, 200);
    let long = one.get(&path).await?;
    assert_eq!(long.status, 403, "{}", long.body);
    // It could be told from the rest by nothing else.
    let crooked = format!("/{}", "a/../".repeat(11 * 1024));
    let answer = one.get(&crooked).await?;
    assert_eq!(answer.status, 403, "{}", answer.body);
    still_serves(&mut lab, &client).await
}

#[tokio::test]
async fn a_policy_of_ten_thousand_rules_serves_the_last_as_the_first() -> Result<()> {
    const RULES: usize = 10_000;
    let rule = |at: usize| json!({"name": format!("r{at}"), "principals": [id(&format!("w{at}"))]});
    let rules: Vec<Value> = (0..RULES).map(rule).collect();
    let mut lab = Setup::server(&config(&json!(rules))).start().await?;
    for at in [0, RULES / 2, RULES - 1] {
        assert_eq!(
            status(&lab, &lab.client(&format!("w{at}"))?, "/").await?,
            200
        );
    }
    let unknown = lab.client(&format!("w{RULES}"))?;
    assert_eq!(status(&lab, &unknown, "/").await?, 403);
    requests(&lab, "allow", "allow_rule", 6).await?;
    requests(&lab, "deny", "no_rule", 2).await?;
    // Of the rules' names, the first hundred are series of their own.
    let hits = "credence_rule_hits_total";
    counted(&lab, hits, ("rule", "r0"), 2).await?;
    counted(&lab, hits, ("rule", "(overflow)"), 4).await?;
    let series = lab.envoy.metrics().await?;
    let series = series.iter().filter(|sample| sample.name == hits).count();
    assert!(series <= 101, "{series} series of rules");
    never_trapped(&mut lab).await
}

#[tokio::test]
async fn a_body_and_trailers_come_through_and_do_not_get_a_refused_request_through() -> Result<()> {
    let mut lab = Setup::server(&frontend()).start().await?;
    let request = b"POST / HTTP/1.1\r\nhost: server.test\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
                    5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n";
    let allowed = raw(&lab.client("frontend")?, &lab, request).await?;
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
    let refused = raw(&lab.client("intruder")?, &lab, request).await?;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    never_trapped(&mut lab).await
}

/// The same client, many identities: each connection is judged by its own certificate.
#[tokio::test]
async fn a_hundred_connections_are_told_apart() -> Result<()> {
    let rules = json!([{"name": "even", "principals": ["*/even"]}]);
    let lab = Setup::server(&config(&rules)).start().await?;
    let mut connections = Vec::new();
    for at in 0..100 {
        let kind = if at % 2 == 0 { "even" } else { "odd" };
        let client = lab.client(&format!("{at}/{kind}"))?;
        connections.push((kind, client.http1(lab.address()).await?));
    }
    for _ in 0..3 {
        for (kind, connection) in &mut connections {
            let expected = if *kind == "even" { 200 } else { 403 };
            assert_eq!(connection.get("/").await?.status, expected);
        }
    }
    requests(&lab, "allow", "allow_rule", 150).await?;
    requests(&lab, "deny", "no_rule", 150).await
}

#[tokio::test]
async fn nothing_of_a_request_counts_when_no_rule_looks_at_it() -> Result<()> {
    let mut lab = Setup::server(&everybody()).start().await?;
    let client = lab.client("frontend")?;
    for path in ["/a;b", "/%61", "/x\\y"] {
        let answer = client.http1(lab.address()).await?.get(path).await?;
        assert_eq!(answer.status, 200, "{path}");
    }
    never_trapped(&mut lab).await
}
