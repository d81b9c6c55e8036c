//! TLS: versions, client certificates, a serving certificate and roots that change under open connections.

use crate::support::{
    SECOND,
    ca::Ca,
    client::{Client, Csr, ISTIO, Speaks, bearing, call},
    ports::Published,
    rig::{ID, Rig, SELF},
    until,
    wire::{IstioResponse, istio},
};
use credence_daemon::{
    ports::Bundles,
    tls::{ClientRoots, RootsError, Serving, ServingError},
};
use rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};
use rustls_pki_types::PrivateKeyDer;
use std::sync::Arc;
use tonic::Request;

#[tokio::test]
async fn both_versions_are_spoken_with_http2_inside() {
    let rig = Rig::new();
    let running = rig.start().await;
    for (version, protocol) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = Client::speaking(
            running.address,
            Speaks {
                versions: &[version],
                ..rig.speaks(None)
            },
        );
        let stream = client.tls().await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(protocol));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let _: IstioResponse = client
            .call(ISTIO, bearing(istio(&Csr::p256().pem), ID))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn another_protocol_inside_is_refused() {
    let rig = Rig::new();
    let running = rig.start().await;
    let client = Client::speaking(
        running.address,
        Speaks {
            alpn: b"http/1.1",
            ..rig.speaks(None)
        },
    );
    client.tls().await.unwrap_err();
    until("it is counted", || {
        rig.figure("credence_ca_connections_cut_total{reason=\"failed_handshake\"}") == "1"
    })
    .await;
}

/// A client certificate of another CA, or one that has ended, ends the connection: it is no anonymous one.
#[tokio::test]
async fn a_client_certificate_that_is_not_good_ends_the_connection() {
    let rig = Rig::new();
    let running = rig.start().await;
    let stranger = Ca::new("Root").pair(&[ID], 60 * SECOND);
    let ended = rig.ca.pair(&[ID], std::time::Duration::ZERO);
    rig.client_with(&running, Some(rig.ca.pair(&[ID], 60 * SECOND)))
        .call::<_, IstioResponse>(ISTIO, Request::new(istio(&Csr::p256().pem)))
        .await
        .unwrap();
    *rig.clock.0.lock().unwrap() += SECOND;
    for pair in [stranger, ended] {
        let client = rig.client_with(&running, Some(pair));
        client
            .call::<_, IstioResponse>(ISTIO, bearing(istio(&Csr::p256().pem), ID))
            .await
            .unwrap_err();
    }
    assert_eq!(rig.attestor.asked(), 1);
}

#[tokio::test]
async fn a_new_serving_certificate_drops_no_connection() {
    let rig = Rig::new();
    let running = rig.start().await;
    let client = rig.client(&running);
    let channel = client.channel().await.unwrap();
    let shown = async |client: &Client| {
        let stream = client.tls().await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let _: IstioResponse = call(&channel, ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
    let before = shown(&client).await;
    let (chain, key) = rig.ca.pair(&[SELF], 7_200 * SECOND);
    rig.serving.replace(chain.clone(), key).unwrap();
    assert_eq!(shown(&client).await, chain[0].to_vec());
    assert_ne!(before, chain[0].to_vec());
    let open = rig.figure("credence_ca_connections_total");
    let _: IstioResponse = call(&channel, ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
    assert_eq!(
        rig.figure("credence_ca_connections_total"),
        open,
        "the connection from before was used"
    );
}

#[tokio::test]
async fn a_serving_certificate_that_cannot_be_used_changes_nothing() {
    let rig = Rig::new();
    let running = rig.start().await;
    let (chain, _) = rig.ca.pair(&[SELF], 60 * SECOND);
    let (_, other_key) = rig.ca.pair(&[SELF], 60 * SECOND);
    assert!(matches!(
        rig.serving.replace(chain.clone(), other_key.clone_key()),
        Err(ServingError::Pair(_))
    ));
    assert!(matches!(
        Serving::new(Vec::new(), other_key),
        Err(ServingError::Empty)
    ));
    let rubbish = PrivateKeyDer::Pkcs8(vec![1, 2, 3].into());
    assert!(rig.serving.replace(chain, rubbish).is_err());
    let _: IstioResponse = rig
        .client(&running)
        .call(ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
}

/// Clients of the next root get in as soon as it is published, those of a root that is gone no more.
#[tokio::test]
async fn clients_are_verified_with_the_bundle_as_it_is_now() {
    let rig = Rig::new();
    let running = rig.start().await;
    let next = Ca::new("Next root");
    let published = Arc::new(Published::new(rig.ca.bundle()));
    let clients = Arc::clone(&rig.clients);
    let watched = published.watch();
    let follows = tokio::spawn(async move { clients.follow(watched).await });
    let gets_in = async |ca: &Ca| {
        let client = rig.client_with(&running, Some(ca.pair(&[ID], 60 * SECOND)));
        client
            .call::<_, IstioResponse>(ISTIO, Request::new(istio(&Csr::p256().pem)))
            .await
            .is_ok()
    };
    let eventually = async |ca: &Ca, expected: bool| {
        for _ in 0..200 {
            if gets_in(ca).await == expected {
                return;
            }
            tokio::time::sleep(SECOND / 100).await;
        }
        panic!("never {expected}");
    };
    assert!(gets_in(&rig.ca).await && !gets_in(&next).await);
    published.publish([rig.ca.bundle(), next.bundle()].concat(), 2);
    eventually(&next, true).await;
    assert!(gets_in(&rig.ca).await);
    published.publish(vec![b"rubbish".to_vec()], 3);
    published.publish(next.bundle(), 4);
    eventually(&rig.ca, false).await;
    assert!(gets_in(&next).await);
    published.now.lock().unwrap().take();
    follows.await.unwrap();
}

#[test]
fn roots_that_cannot_be_used_change_nothing() {
    let ca = Ca::new("Root");
    let roots = ClientRoots::new(&ca.bundle()).unwrap();
    assert!(matches!(roots.replace(&[]), Err(RootsError::Verifier(_))));
    let bad = [ca.bundle(), vec![b"rubbish".to_vec()]].concat();
    assert!(matches!(roots.replace(&bad), Err(RootsError::Root(2, _))));
    assert!(ClientRoots::new(&[]).is_err());
}
