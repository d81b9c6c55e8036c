//! kill -9 while it works: what a client got is on record, and the record verifies.

use crate::setup;
use credence_ca_tests::{
    client::{Client, Csr, ISTIO, bearing, call, certificates},
    daemon::{Daemon, SELF},
    wire::{IstioResponse, istio},
};
use credence_ledger::{
    entry::Event,
    sqlite::{Order, Query, Reader},
    verify::Checks,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

const TIMES: u64 = 100;
const CALLERS: usize = 4;

/// Asks until the connection breaks; keeps what it got.
async fn ask(client: Client, token: String, got: Arc<Mutex<Vec<Vec<u8>>>>) {
    let Ok(channel) = client.channel().await else {
        return;
    };
    let csr = Csr::p256();
    loop {
        let request = bearing(istio(&csr.pem), &token);
        let answer: Result<IstioResponse, _> = call(&channel, ISTIO, request).await;
        let Ok(answer) = answer else {
            return;
        };
        got.lock()
            .unwrap()
            .extend(certificates(&answer.cert_chain[0]));
    }
}

fn recorded(ca: &Daemon) -> BTreeSet<Vec<u8>> {
    let reader = Reader::open(&ca.folder().join("state/ledger.db")).unwrap();
    let mut query = Query {
        order: Order::Oldest,
        limit: 1000,
        ..Query::default()
    };
    let mut found = BTreeSet::new();
    loop {
        let page = reader.list(&query).unwrap();
        for record in page.records {
            if let Event::Issued(issued) = record.entry.event {
                found.insert(issued.certificate().unwrap());
            }
        }
        match page.next {
            Some(_) => query.after = page.next,
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_under_load_lose_nothing_that_a_client_got() {
    let mut ca = setup("[limits]\nidentity_burst = 1000000\n").start();
    let roots = ca.roots();
    let token = ca.setup.issuer.service_account("shop", "web");
    let got = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    for round in 0..TIMES {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let client = Client::new(ca.running().grpc, &roots, SELF, None);
            callers.spawn(ask(client, token.clone(), Arc::clone(&got)));
        }
        // at any moment: in the middle of the first handshakes, and of hundreds of certificates
        tokio::time::sleep(Duration::from_millis(round * 37 % 300)).await;
        ca.kill();
        while callers.join_next().await.is_some() {}
        ca.start_again();
    }
    ca.stop();
    let got = got.lock().unwrap();
    assert!(
        got.len() > 500,
        "only {} certificates were handed out",
        got.len()
    );
    let recorded = recorded(&ca);
    let lost = got
        .iter()
        .filter(|certificate| !recorded.contains(*certificate))
        .count();
    assert_eq!(lost, 0, "of {}", got.len());
    let key = credence_service::book::checkpoint_key(&ca.folder().join("state/ledger.key"), true)
        .unwrap();
    let reader = Reader::open(&ca.folder().join("state/ledger.db")).unwrap();
    let origin = reader
        .last_checkpoint()
        .unwrap()
        .unwrap()
        .unverified()
        .origin
        .clone();
    let signer = credence_ledger::checkpoint::MemorySigner::new(&key);
    let public = credence_ledger::checkpoint::CheckpointSigner::public_key(&signer);
    let keys = [credence_ledger::checkpoint::CheckpointKey::new(origin, &public).unwrap()];
    let report = reader.verify(Checks::chain(&keys), &mut |_| ()).unwrap();
    assert!(report.issued > u64::try_from(got.len()).unwrap());
}
