//! Mode kubernetes, with an API server that is scripted.

use crate::process::{Setup, chain, request};
use credence_ca_tests::{
    api_server::ApiServer,
    client::{Client, DAPR, uris, verify},
    wire::{DaprRequest, DaprResponse},
};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

const CONFIGURATIONS: &str = "GET /apis/dapr.io/v1alpha1/namespaces";

/// Who the token is of.
fn review(body: &str) -> Value {
    let asked: Value = serde_json::from_str(body).unwrap();
    let good = asked["spec"]["token"] == "pod-token";
    let own = "spiffe://cluster.test/ns/dapr-system/dapr-sentry";
    assert_eq!(asked["spec"]["audiences"], json!(["dapr.io/sentry", own]));
    json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {
        "authenticated": good, "audiences": ["dapr.io/sentry"],
        "user": {"username": "system:serviceaccount:shop:web", "extra": {
            "authentication.kubernetes.io/pod-name": ["web-0"],
            "authentication.kubernetes.io/pod-uid": ["u-1"],
        }},
    }})
}

fn script(what: &str, body: &str) -> (u16, String) {
    let reply = match what {
        "POST /apis/authentication.k8s.io/v1/tokenreviews" => (201, review(body)),
        "GET /api/v1/namespaces/shop/pods/web-0" => {
            let pod = json!({"kind": "Pod", "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "u-1",
                "annotations": {"dapr.io/app-id": "orders", "dapr.io/config": "apps"},
            }, "spec": {"serviceAccountName": "web"}});
            (200, pod)
        }
        _ if what == format!("{CONFIGURATIONS}/shop/configurations/apps") => (
            200,
            json!({"kind": "Configuration", "spec": {"accessControl": {"trustDomain": "shops.test"}}}),
        ),
        _ if what == format!("{CONFIGURATIONS}/dapr-system/configurations/daprsystem") => (
            200,
            json!({"kind": "Configuration", "spec": {"mtls": {"workloadCertTTL": "2h"}}}),
        ),
        _ => (404, json!({})),
    };
    (reply.0, reply.1.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_the_identity_that_the_api_server_vouches_for() {
    let mut setup = Setup::new(&["-mode=kubernetes", "-trust-domain=cluster.test"])
        .with("NAMESPACE", "dapr-system");
    let server = ApiServer::start(setup.folder.path(), script).await;
    setup.word(format!("-kubeconfig={}", server.kubeconfig.display()));
    let sentry = tokio::task::block_in_place(|| setup.start());
    assert!(!sentry.log().contains("INSECURE"));
    let id = "spiffe://cluster.test/ns/dapr-system/dapr-sentry";
    let client = Client::new(sentry.address("grpc"), &sentry.anchors(), id, None);
    let ask = async |asked: DaprRequest| -> Result<DaprResponse, Status> {
        client.call(DAPR, Request::new(asked)).await
    };
    let pod = |validator| DaprRequest {
        token: "pod-token".into(),
        ..request("orders", validator)
    };
    // it is the default, and the pod's configuration says which trust domain
    for validator in [0, 2] {
        let answer = ask(pod(validator)).await.unwrap();
        let chain = chain(&answer);
        verify(&chain, &sentry.anchors()).unwrap();
        assert_eq!(uris(&chain[0]), ["spiffe://shops.test/ns/shop/orders"]);
        let left =
            answer.valid_until.unwrap().seconds.unsigned_abs() - credence_ca_tests::token::now();
        assert!((7140..=7200).contains(&left), "{left}");
    }
    for (asked, code) in [
        (
            DaprRequest {
                token: "x".into(),
                ..pod(2)
            },
            Code::PermissionDenied,
        ),
        (
            DaprRequest {
                id: "stock".into(),
                ..pod(2)
            },
            Code::PermissionDenied,
        ),
        (pod(1), Code::InvalidArgument),
        (pod(3), Code::InvalidArgument),
    ] {
        assert_eq!(
            ask(asked.clone()).await.unwrap_err().code(),
            code,
            "{asked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_object_or_its_namespace_it_does_not_start() {
    let mut setup = Setup::new(&["-mode=kubernetes", "-config=other"]);
    let server = ApiServer::start(setup.folder.path(), script).await;
    setup.word(format!("-kubeconfig={}", server.kubeconfig.display()));
    let (code, log) = tokio::task::block_in_place(|| setup.refused());
    assert!(code == 3 && log.contains("NAMESPACE"), "{log}");
    let setup = setup.with("NAMESPACE", "dapr-system");
    let (code, log) = tokio::task::block_in_place(|| setup.refused());
    assert!(code == 3 && log.contains("no Configuration other"), "{log}");
    assert!(!setup.certs().exists());
}
