//! `SignCertificate`: every rule of its table.

use crate::support::{
    ca::uri,
    client::{Csr, DAPR, assert_chain, certificates},
    now,
    ports::Mood,
    rig::{Rig, Running, SELF},
    wire::{DaprRequest, DaprResponse, dapr},
};
use credence_ca::profile::Profile;
use credence_daemon::{
    frontend::Validators,
    ports::{Claimed, Frontend, Validator},
    refusal::Refusal,
};
use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};
use tonic::{Code, Request, Status};

async fn ask(rig: &Rig, running: &Running, message: DaprRequest) -> Result<DaprResponse, Status> {
    rig.client(running).call(DAPR, Request::new(message)).await
}

#[tokio::test]
async fn the_answer_is_leaf_and_issuers_without_the_root_and_when_it_ends() {
    let rig = Rig::new();
    let running = rig.start().await;
    let csr = Csr::with(&rcgen::PKCS_ED25519, &[]);
    let answer = ask(&rig, &running, dapr(&csr.pem)).await.unwrap();
    let chain = certificates(std::str::from_utf8(&answer.workload_certificate).unwrap());
    assert_eq!(chain.len(), 2);
    assert_eq!(uri(&chain[0]), "spiffe://example.org/ns/prod/app");
    assert_eq!(chain[1], rig.ca.issuer.der().to_vec());
    assert_chain(&chain, &rig.ca.bundle());
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert_eq!(
        leaf.public_key().subject_public_key.data.as_ref(),
        csr.public
    );
    let anchors: Vec<_> = answer
        .trust_chain_certificates
        .iter()
        .flat_map(|pem| certificates(std::str::from_utf8(pem).unwrap()))
        .collect();
    assert_eq!(anchors, rig.ca.bundle());
    let end = (now() + Duration::from_secs(600))
        .duration_since(UNIX_EPOCH)
        .unwrap();
    let stated = answer.valid_until.unwrap();
    assert_eq!(stated.seconds, i64::try_from(end.as_secs()).unwrap());
    assert_eq!(stated.seconds, leaf.validity().not_after.timestamp());
    let order = rig.issuer.last();
    assert_eq!(
        (order.frontend, order.profile),
        (Frontend::Dapr, Profile::DaprWorkload)
    );
}

#[tokio::test]
async fn rsa_and_p256_requests_are_signed_too() {
    let rig = Rig::new();
    let running = rig.start().await;
    for algorithm in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256] {
        ask(&rig, &running, dapr(&Csr::with(algorithm, &[]).pem))
            .await
            .unwrap();
    }
}

/// daprd dials for each request, and goes by the one URI in the certificate that it is shown, issuers included.
#[tokio::test]
async fn the_server_shows_its_identity_and_its_issuer() {
    let rig = Rig::new();
    let running = rig.start().await;
    let stream = rig.client(&running).tls().await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(uri(&shown[0]), SELF);
}

#[tokio::test]
async fn the_claim_and_its_token_reach_the_attestor() {
    let rig = Rig::new();
    let running = rig.start().await;
    ask(&rig, &running, dapr(&Csr::p256().pem)).await.unwrap();
    let shown = rig.attestor.last();
    assert_eq!(shown.token.as_deref(), Some("believe-the-claim"));
    let claimed = Claimed {
        app_id: "app".into(),
        namespace: "prod".into(),
        trust_domain: "example.org".into(),
        validator: Validator::Jwks,
    };
    assert_eq!(shown.claimed, Some(claimed));
}

#[tokio::test]
async fn an_empty_trust_domain_is_public() {
    let rig = Rig::new();
    let running = rig.start().await;
    let message = DaprRequest {
        trust_domain: String::new(),
        ..dapr(&Csr::p256().pem)
    };
    let answer = ask(&rig, &running, message).await.unwrap();
    let chain = certificates(std::str::from_utf8(&answer.workload_certificate).unwrap());
    assert_eq!(uri(&chain[0]), "spiffe://public/ns/prod/app");
}

/// As a validator of sentry's does, which looks at these first.
#[tokio::test]
async fn claims_that_break_a_rule_are_denied() {
    let rig = Rig::new();
    let running = rig.start().await;
    let good = dapr(&Csr::p256().pem);
    for bad in [
        DaprRequest {
            id: String::new(),
            ..good.clone()
        },
        DaprRequest {
            id: "a.b".into(),
            ..good.clone()
        },
        DaprRequest {
            id: "x".repeat(65),
            ..good.clone()
        },
        DaprRequest {
            namespace: String::new(),
            ..good.clone()
        },
        DaprRequest {
            namespace: "x".repeat(64),
            ..good.clone()
        },
        DaprRequest {
            csr: Vec::new(),
            ..good.clone()
        },
        DaprRequest {
            trust_domain: "Not A Domain".into(),
            ..good.clone()
        },
        DaprRequest {
            trust_domain: "spiffe://example.org".into(),
            ..good.clone()
        },
        DaprRequest {
            token: "x".repeat(16_385),
            ..good.clone()
        },
        DaprRequest {
            token: "a b".into(),
            ..good.clone()
        },
    ] {
        let status = ask(&rig, &running, bad.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{bad:?}");
    }
    assert_eq!(rig.attestor.asked(), 0);
    let longest = DaprRequest {
        id: "x".repeat(64),
        namespace: "x".repeat(63),
        ..good
    };
    ask(&rig, &running, longest).await.unwrap();
}

#[tokio::test]
async fn what_a_validator_refuses_is_denied() {
    let rig = Rig::new();
    let running = rig.start().await;
    for token in ["", "unknown", "denied"] {
        let message = DaprRequest {
            token: token.into(),
            ..dapr(&Csr::p256().pem)
        };
        let status = ask(&rig, &running, message).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{token}");
        assert!(!status.message().contains("secret"));
    }
    let message = DaprRequest {
        token: "unavailable".into(),
        ..dapr(&Csr::p256().pem)
    };
    assert_eq!(
        ask(&rig, &running, message).await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(rig.issuer.orders(), 0);
}

#[tokio::test]
async fn a_validator_is_the_one_named_or_the_default() {
    let rig = Rig::new();
    let running = rig.start().await;
    for (named, validator) in [
        (0, Validator::Kubernetes),
        (2, Validator::Kubernetes),
        (3, Validator::Jwks),
    ] {
        let message = DaprRequest {
            token_validator: named,
            ..dapr(&Csr::p256().pem)
        };
        ask(&rig, &running, message).await.unwrap();
        assert_eq!(rig.attestor.last().claimed.unwrap().validator, validator);
    }
    for named in [1, 4, -1, i32::MAX] {
        let message = DaprRequest {
            token_validator: named,
            ..dapr(&Csr::p256().pem)
        };
        let status = ask(&rig, &running, message).await.unwrap_err();
        assert_eq!(
            status.code(),
            Code::InvalidArgument,
            "{named}: not enabled, or there is none"
        );
    }
}

#[tokio::test]
async fn without_a_default_a_validator_has_to_be_named() {
    let validators = Validators {
        enabled: BTreeSet::from([Validator::Jwks]),
        default: None,
    };
    let rig = Rig {
        validators,
        ..Rig::new()
    };
    let running = rig.start().await;
    for named in [0, 1] {
        let message = DaprRequest {
            token_validator: named,
            ..dapr(&Csr::p256().pem)
        };
        assert_eq!(
            ask(&rig, &running, message).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn insecure_believes_the_claim_and_is_counted() {
    let validators = Validators {
        enabled: BTreeSet::from([Validator::Insecure]),
        default: Some(Validator::Insecure),
    };
    let rig = Rig {
        validators,
        ..Rig::new()
    };
    let running = rig.start().await;
    let message = DaprRequest {
        token: String::new(),
        token_validator: 0,
        ..dapr(&Csr::p256().pem)
    };
    ask(&rig, &running, message).await.unwrap();
    assert_eq!(rig.figure("credence_ca_no_proof_total"), "1");
}

#[tokio::test]
async fn a_request_has_one_of_two_labels() {
    let rig = Rig::new();
    let running = rig.start().await;
    let good = Csr::p256().pem;
    let legacy = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    ask(&rig, &running, dapr(&legacy)).await.unwrap();
    let other = good.replace("CERTIFICATE REQUEST", "PUBLIC KEY");
    for bad in [other.as_str(), "nonsense"] {
        let status = ask(&rig, &running, dapr(bad)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert_eq!(rig.issuer.recorded.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_goes_wrong_in_signing_is_internal() {
    let rig = Rig::new();
    let running = rig.start().await;
    rig.issuer
        .set(Mood::Refuses(Refusal::Failed("secret".into())));
    let status = ask(&rig, &running, dapr(&Csr::p256().pem))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"));
}

#[tokio::test]
async fn another_trust_domain_is_not_served() {
    let rig = Rig::new();
    let running = rig.start().await;
    let message = DaprRequest {
        trust_domain: "other.example".into(),
        ..dapr(&Csr::p256().pem)
    };
    let status = ask(&rig, &running, message).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(rig.issuer.orders(), 0);
}
