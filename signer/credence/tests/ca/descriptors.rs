//! What there is of file descriptors.

use crate::{setup, until};
use credence_ca_tests::daemon::{Daemon, Running};
use std::{fs, path::Path, time::Duration};
use tokio::net::TcpStream;

/// Starts it with these limits of open files, soft and hard.
fn start(ca: &mut Daemon, soft: u32, hard: u32) -> Result<(), String> {
    let (binary, folder) = (ca.setup.binary.clone(), ca.folder().to_path_buf());
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let binary = binary.to_string_lossy().into_owned();
    let shell = ["-c", &script, &binary];
    ca.take(Running::start_as(Path::new("sh"), &shell, &folder, &[])?);
    Ok(())
}

fn open_files(ca: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", ca.running().pid());
    fs::read_dir(folder).unwrap().count()
}

async fn bound(ca: &Daemon) -> usize {
    let metrics = ca.page("/metrics").await.1;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("credence_ca_connections_bound "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_low_soft_limit_is_raised() {
    let mut ca = setup("[limits]\nconnections = 2000\nconnections_per_address = 2000\n").prepared();
    start(&mut ca, 64, 8_192).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", ca.running().pid())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).collect();
    assert_eq!(numbers[..2], ["8192", "8192"]);
    assert_eq!(bound(&ca).await, 2_000);
    assert!(ca.log().contains("is raised"));
    ca.certificate("shop", "web").await.unwrap();
}

/// What is beyond waits in the kernel, and is served when there is room.
#[tokio::test]
async fn a_low_hard_limit_bounds_connections_and_is_said() {
    let mut ca = setup("").prepared();
    start(&mut ca, 300, 300).unwrap();
    let most = bound(&ca).await;
    assert!((64..200).contains(&most), "{most}");
    let log = ca.log();
    for told in [
        "\"there\":300",
        &format!("\"connections\":{most}"),
        "LimitNOFILE",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    let address = ca.running().grpc;
    let mut crowd = Vec::new();
    for _ in 0..most + 100 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    until("every place is taken", async || {
        let metrics = ca.page("/metrics").await.1;
        let open = format!("\ncredence_ca_connections {most}\n");
        metrics.contains(&open).then_some(())
    })
    .await;
    assert!(open_files(&ca) < 300, "some are left");
    drop(crowd);
    let certificate = tokio::time::timeout(Duration::from_secs(30), ca.certificate("shop", "web"));
    certificate.await.unwrap().unwrap();
    let log = ca.log();
    assert!(!log.contains("could be accepted"), "{log}");
}

#[tokio::test]
async fn with_too_few_it_does_not_start() {
    let mut ca = setup("").prepared();
    let told = start(&mut ca, 100, 100).unwrap_err();
    assert!(
        told.contains("100") && told.contains("LimitNOFILE"),
        "{told}"
    );
    start(&mut ca, 100, 512).unwrap();
    ca.certificate("shop", "web").await.unwrap();
}
