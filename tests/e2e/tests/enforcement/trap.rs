//! What the shipped failure policy does when a VM traps. Our filter does not, so another module is put
//! in its place that does when it is asked to.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use credence_e2e::{
    client::Client,
    envoy::text,
    lab::{Lab, Setup},
    template::Edit,
};
use tokio::time::Instant;

use crate::common::frontend;

/// Lets every request on, and traps on one with more than twenty headers.
const TRAPPING: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.gt_u (local.get 1) (i32.const 20)) (then (unreachable)))
    (i32.const 0)))"#;
/// How long it may take until good requests are served again: the shipped back-off is at most half a
/// second, and the machine may be busy.
const RECOVERED: Duration = Duration::from_millis(1500);

/// The status, or none if the connection was closed instead.
async fn ask(lab: &Lab, client: &Client, headers: usize) -> Option<u16> {
    let headers: Vec<String> = (0..headers).map(|at| format!("x-{at}")).collect();
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|name| (name.as_str(), &b"1"[..]))
        .collect();
    let mut connection = client.http1(lab.address()).await.ok()?;
    let answer = connection.request("GET", "/", &headers).await.ok()?;
    Some(answer.status)
}

#[tokio::test]
async fn a_trap_fails_closed_and_good_requests_recover_within_a_second() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let module = folder.path().join("trapping.wasm");
    fs::write(&module, wat::parse_str(TRAPPING)?)?;
    let edit = Edit::replace("${FILTER_WASM}", &text(&module)?);
    let setup = Setup::server(&frontend()).with_everywhere(edit);
    let lab = setup.with_workers(1).start().await?;
    let client = lab.client("frontend")?;
    assert_eq!(ask(&lab, &client, 0).await, Some(200));
    for _ in 0..3 {
        let trapped = ask(&lab, &client, 25).await;
        ensure!(trapped != Some(200), "the request that trapped was let on");
        let start = Instant::now();
        loop {
            match ask(&lab, &client, 0).await {
                Some(200) => break,
                Some(503) | None => {}
                other => anyhow::bail!("while the VM is down: {other:?}"),
            }
            let down = start.elapsed();
            ensure!(down < RECOVERED, "still down after {down:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let reloads = lab.envoy.stat("wasm.credence.vm_reload_success").await?;
    ensure!(reloads >= 3, "{reloads} reloads");
    Ok(())
}
