//! Smoke.
use anyhow::Result;
use credence_e2e::{lab::*, template::Edit};

#[tokio::test]
async fn smoke() -> Result<()> {
    let lab = Setup::server(&lets_in_everybody())
        .with([
            without_companion(),
            Edit::between("bootstrap_extensions:", "static_resources:", ""),
            Edit::replace("reload_config: *reload", "reload_config: { backoff: { base_interval: 0.1s, max_interval: 0.5s } }"),
            Edit::replace("vm_config: *vm", "vm_config: { vm_id: credence, runtime: envoy.wasm.runtime.v8, capability_restriction_config: { allowed_capabilities: ${CAPABILITIES} }, code: { local: { filename: \"${FILTER_WASM}\" } } }"),
        ]);
    let mut lab = lab.start().await?;
    let client = lab.client("frontend")?;
    let mut connection = client.http1(lab.address()).await?;
    println!("{:?}", connection.get("/").await?);
    let mut connection = client.http2(lab.address()).await?;
    println!("{:?}", connection.get("/").await?);
    println!("{:?}", lab.access_log().last().await?);
    println!("{}", lab.envoy.ask("/stats?filter=extension_config_discovery").await?);
    lab.filter.replace(&config(&serde_json::json!([])))?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    println!("{:?}", connection.get("/").await?);
    println!("{}", lab.envoy.ask("/stats?filter=extension_config_discovery").await?);
    println!("{}", lab.envoy.ask("/stats?filter=credence").await?);
    println!("{}", lab.log()?);
    Ok(())
}
