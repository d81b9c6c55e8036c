//! `CreateCertificate`: every rule of its table.

use crate::support::{
    ca::uri,
    client::{Csr, ISTIO, assert_chain, bearing, certificates},
    ports::{Mood, Shown},
    rig::{ID, Rig, Running},
    wire::{IstioRequest, IstioResponse, Kind, istio, metadata},
};
use credence_ca::profile::Profile;
use credence_daemon::{
    desk::Beyond,
    ports::Frontend,
    refusal::{AttestError, Refusal},
};
use std::time::Duration;
use tonic::{Code, Request, Status};

async fn ask(
    rig: &Rig,
    running: &Running,
    request: Request<IstioRequest>,
) -> Result<Vec<String>, Status> {
    let client = rig.client(running);
    client
        .call(ISTIO, request)
        .await
        .map(|response: IstioResponse| response.cert_chain)
}

#[tokio::test]
async fn the_leaf_is_first_one_pem_a_string_and_the_whole_bundle_last() {
    let rig = Rig::new();
    let second = crate::support::ca::Ca::new("Second root");
    let roots = [rig.ca.bundle(), second.bundle()].concat();
    *rig.issuer.bundle.lock().unwrap() = roots.clone();
    let running = rig.start().await;
    let csr = Csr::p256();
    let chain = ask(&rig, &running, bearing(istio(&csr.pem), ID))
        .await
        .unwrap();
    assert_eq!(chain.len(), 3, "leaf, issuer, bundle");
    assert!(
        chain
            .iter()
            .all(|pem| pem.ends_with("-----END CERTIFICATE-----\n"))
    );
    let ders: Vec<_> = chain.iter().map(|pem| certificates(pem)).collect();
    assert_eq!((ders[0].len(), ders[1].len()), (1, 1));
    assert_eq!(ders[2], roots);
    assert_eq!(uri(&ders[0][0]), ID);
    let (_, leaf) = x509_parser::parse_x509_certificate(&ders[0][0]).unwrap();
    assert_eq!(
        leaf.public_key().subject_public_key.data.as_ref(),
        csr.public
    );
    assert_chain(
        &[ders[0].clone(), ders[1].clone()].concat(),
        &rig.ca.bundle(),
    );
    running.stopped().await;
}

#[tokio::test]
async fn the_order_says_profile_frontend_and_usual_life() {
    let rig = Rig::new();
    let running = rig.start().await;
    ask(&rig, &running, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
    let order = rig.issuer.last();
    assert_eq!(
        (order.frontend, order.profile),
        (Frontend::Istio, Profile::IstioWorkload)
    );
    assert_eq!(order.life, Duration::from_secs(600));
}

#[tokio::test]
async fn rsa_p256_and_ed25519_requests_are_signed() {
    let rig = Rig::new();
    let running = rig.start().await;
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ED25519,
    ] {
        let csr = Csr::with(algorithm, &[]);
        let chain = ask(&rig, &running, bearing(istio(&csr.pem), ID))
            .await
            .unwrap();
        let leaf = certificates(&chain[0]).remove(0);
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        assert_eq!(
            leaf.public_key().subject_public_key.data.as_ref(),
            csr.public
        );
    }
}

#[tokio::test]
async fn headers_and_metadata_reach_the_attestor() {
    let rig = Rig::new();
    let running = rig.start().await;
    let message = IstioRequest {
        metadata: Some(metadata(&[
            ("CertSigner", Kind::Text("clusterissuers/x".into())),
            (
                "ImpersonatedIdentity",
                Kind::Text("spiffe://example.org/ns/a/sa/b".into()),
            ),
            ("SomethingNew", Kind::Number(1.0)),
        ])),
        ..istio(&Csr::p256().pem)
    };
    let mut request = bearing(message, ID);
    request
        .metadata_mut()
        .insert("clusterid", "Kubernetes".parse().unwrap());
    ask(&rig, &running, request).await.unwrap();
    let shown = Shown {
        token: Some(ID.into()),
        cluster: Some("Kubernetes".into()),
        impersonated: Some("spiffe://example.org/ns/a/sa/b".into()),
        ..Shown::default()
    };
    assert_eq!(rig.attestor.last(), shown);
}

#[tokio::test]
async fn an_impersonated_identity_is_a_text_or_none() {
    let rig = Rig::new();
    let running = rig.start().await;
    let with = |kind| IstioRequest {
        metadata: Some(metadata(&[("ImpersonatedIdentity", kind)])),
        ..istio(&Csr::p256().pem)
    };
    ask(&rig, &running, bearing(with(Kind::Text(String::new())), ID))
        .await
        .unwrap();
    assert_eq!(rig.attestor.last().impersonated, None);
    for bad in [Kind::Number(7.0), Kind::Text("x".repeat(2049))] {
        let status = ask(&rig, &running, bearing(with(bad), ID))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert_eq!(rig.issuer.orders(), 1);
}

#[tokio::test]
async fn a_life_of_nothing_or_less_is_the_usual_and_too_long_is_clamped() {
    let rig = Rig::new();
    let running = rig.start().await;
    for (asked, given) in [
        (0, 600),
        (-1, 600),
        (i64::MIN, 600),
        (1_800, 1_800),
        (86_400, 3_600),
        (i64::MAX, 3_600),
    ] {
        let message = IstioRequest {
            validity_duration: asked,
            ..istio(&Csr::p256().pem)
        };
        ask(&rig, &running, bearing(message, ID)).await.unwrap();
        assert_eq!(
            rig.issuer.last().life,
            Duration::from_secs(given),
            "{asked}"
        );
    }
    let message = IstioRequest {
        validity_duration: 1,
        ..istio(&Csr::p256().pem)
    };
    let status = ask(&rig, &running, bearing(message, ID)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_life_too_long_is_refused_where_so_configured() {
    let rig = Rig {
        beyond: Beyond::Refuse,
        ..Rig::new()
    };
    let running = rig.start().await;
    let message = IstioRequest {
        validity_duration: 86_400,
        ..istio(&Csr::p256().pem)
    };
    let status = ask(&rig, &running, bearing(message, ID)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(rig.issuer.orders(), 0);
    assert_eq!(
        rig.issuer.recorded.lock().unwrap().len(),
        1,
        "an authenticated caller's refusal is recorded"
    );
}

#[tokio::test]
async fn without_a_good_proof_it_is_unauthenticated_and_says_no_more() {
    let rig = Rig::new();
    let running = rig.start().await;
    let plain = Request::new(istio(&Csr::p256().pem));
    let mut basic = Request::new(istio(&Csr::p256().pem));
    basic
        .metadata_mut()
        .insert("authorization", "Basic abc".parse().unwrap());
    let mut two = bearing(istio(&Csr::p256().pem), ID);
    two.metadata_mut()
        .append("authorization", format!("Bearer {ID}").parse().unwrap());
    let long = bearing(istio(&Csr::p256().pem), &"x".repeat(16_385));
    let unknown = bearing(istio(&Csr::p256().pem), "who-knows");
    for request in [plain, basic, two, long, unknown] {
        let status = ask(&rig, &running, request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(!status.message().contains("secret"), "{status:?}");
    }
    assert_eq!(rig.issuer.orders(), 0);
    assert!(
        rig.issuer.recorded.lock().unwrap().is_empty(),
        "strangers write nothing"
    );
    let count =
        rig.figure("credence_ca_requests_total{frontend=\"istio\",outcome=\"unauthenticated\"}");
    assert_eq!(count, "5");
}

#[tokio::test]
async fn codes_are_those_that_clients_understand() {
    let rig = Rig::new();
    let running = rig.start().await;
    for (token, code) in [
        ("denied", Code::PermissionDenied),
        ("unavailable", Code::Unavailable),
    ] {
        let status = ask(&rig, &running, bearing(istio(&Csr::p256().pem), token))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code);
        assert!(!status.message().contains("secret"));
    }
    for (why, code) in [
        (
            Refusal::NotPermitted("secret".into()),
            Code::PermissionDenied,
        ),
        (Refusal::Unavailable("secret".into()), Code::Unavailable),
        (Refusal::Failed("secret".into()), Code::Internal),
        (Refusal::Csr("secret".into()), Code::InvalidArgument),
        (
            AttestError::Denied("secret".into()).into(),
            Code::PermissionDenied,
        ),
    ] {
        rig.issuer.set(Mood::Refuses(why));
        let status = ask(&rig, &running, bearing(istio(&Csr::p256().pem), ID))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code);
        assert!(!status.message().contains("secret"));
    }
}

#[tokio::test]
async fn a_bad_request_is_refused_and_recorded() {
    let rig = Rig::new();
    let running = rig.start().await;
    let good = Csr::p256().pem;
    let other = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    for bad in ["", "nonsense", other.as_str()] {
        let status = ask(&rig, &running, bearing(istio(bad), ID))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert_eq!(rig.issuer.orders(), 0);
    let csrs: Vec<_> = {
        let recorded = rig.issuer.recorded.lock().unwrap();
        let csr = recorded.iter().map(|(_, applied, _)| applied.csr.clone());
        csr.collect()
    };
    assert_eq!(
        csrs,
        ["", "nonsense", other.as_str()].map(|text| text.as_bytes().to_vec())
    );
    let new = good.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    ask(&rig, &running, bearing(istio(&new), ID)).await.unwrap();
}

#[tokio::test]
async fn another_trust_domain_is_not_served() {
    let rig = Rig::new();
    let running = rig.start().await;
    let request = bearing(istio(&Csr::p256().pem), "spiffe://public/ns/a/sa/b");
    let status = ask(&rig, &running, request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let recorded = rig.issuer.recorded.lock().unwrap();
    assert!(matches!(recorded[0].2, Refusal::TrustDomain(_)));
}

#[tokio::test]
async fn a_client_certificate_is_a_proof_too() {
    let rig = Rig::new();
    let running = rig.start().await;
    let client = rig.client_with(&running, Some(rig.ca.pair(&[ID], Duration::from_secs(60))));
    let response: IstioResponse = client
        .call(ISTIO, Request::new(istio(&Csr::p256().pem)))
        .await
        .unwrap();
    assert_eq!(uri(&certificates(&response.cert_chain[0])[0]), ID);
    assert_eq!(rig.attestor.last().certificates, 2);
}

#[tokio::test]
async fn an_issuer_that_gives_nothing_is_an_error_of_ours() {
    let rig = Rig::new();
    rig.issuer.set(Mood::Empty);
    let running = rig.start().await;
    let status = ask(&rig, &running, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let rig = Rig::new();
    let running = rig.start().await;
    for path in [
        "/istio.v1.auth.IstioCertificateService/Other",
        "/some.Other/Call",
    ] {
        let client = rig.client(&running);
        let status = client
            .call::<IstioRequest, IstioResponse>(path, bearing(istio(""), ID))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}
