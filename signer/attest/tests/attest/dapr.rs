//! Dapr's apps on Kubernetes, against an API server that is scripted.

use crate::{
    bearer,
    kubernetes::{REVIEWS, settings, vouched},
    now, refusal,
    server::Server,
    unavailable,
};
use credence_attest::{
    AttestError, Claimed, NodeAgents, Panel, Refusal, Unavailable,
    identity::{domains::TrustDomains, template::Template},
    kubernetes::{ControlPlane, KubernetesAttestor, KubernetesSettings},
};
use spiffe::TrustDomain;
use std::sync::Arc;

const POD: &str = "/api/v1/namespaces/prod/pods/web-0";
const CONFIGURATION: &str = "/apis/dapr.io/v1alpha1/namespaces/prod/configurations/mesh";

fn pod(metadata: &str) -> String {
    format!(
        r#"{{"kind":"Pod","metadata":{{"name":"web-0","namespace":"prod","uid":"u-1"{metadata}}},"spec":{{"serviceAccountName":"web"}}}}"#
    )
}

fn dapr(server: &Server) -> KubernetesAttestor {
    KubernetesAttestor::new(KubernetesSettings {
        template: Template::dapr(),
        dapr: Some(ControlPlane {
            namespace: "dapr-system".into(),
            trust_domain: TrustDomain::new("cluster.local").unwrap(),
        }),
        ..settings(server)
    })
    .unwrap()
}

fn as_app(app: &str) -> credence_attest::Evidence {
    let mut evidence = bearer("t");
    evidence.claimed = Some(Claimed {
        app_id: app.into(),
        namespace: "prod".into(),
        trust_domain: String::new(),
    });
    evidence
}

/// The path, and the trust domain from the pod's configuration, as sentry has it; through the panel, which holds the
/// request's own words against that.
#[tokio::test]
async fn a_dapr_app_is_what_its_pod_says() {
    let server = Server::start(|asked| match asked.path.as_str() {
        REVIEWS => (201, vouched()),
        POD => (
            200,
            pod(r#","annotations":{"dapr.io/app-id":"shop","dapr.io/config":"mesh"}"#),
        ),
        CONFIGURATION => (
            200,
            r#"{"kind":"Configuration","spec":{"accessControl":{"trustDomain":"shops.test"}}}"#
                .into(),
        ),
        other => panic!("{other}"),
    })
    .await;
    let domains = TrustDomains::new(TrustDomain::new("shops.test").unwrap(), []);
    let panel = Panel::new(
        vec![Arc::new(dapr(&server))],
        domains,
        NodeAgents::default(),
    );
    let found = panel.attest(&as_app("shop"), now()).await.unwrap();
    assert_eq!(
        found.identity.to_string(),
        "spiffe://shops.test/ns/prod/shop"
    );
    let error = panel.attest(&as_app("bank"), now()).await.unwrap_err();
    let expected = Refusal::ClaimedOther("spiffe://shops.test/ns/prod/shop".into());
    assert!(matches!(error, AttestError::Refused { why, .. } if why == expected));
    assert!(
        server
            .asked()
            .iter()
            .all(|a| a.authorization.as_deref() == Some("Bearer own-token"))
    );
}

#[tokio::test]
async fn a_pod_that_is_not_the_token_s_is_refused() {
    let other_pod = pod("").replace("u-1", "u-2");
    let other_account = pod("").replace(
        r#""serviceAccountName":"web""#,
        r#""serviceAccountName":"x""#,
    );
    for body in [other_pod, other_account] {
        let server = Server::start(move |asked| match asked.path.as_str() {
            REVIEWS => (201, vouched()),
            _ => (200, body.clone()),
        })
        .await;
        let why = refusal(&dapr(&server), &as_app("web-0"), now()).await;
        assert!(matches!(why, Refusal::Pod(_)), "{why}");
    }
    let gone = Server::start(|asked| match asked.path.as_str() {
        REVIEWS => (201, vouched()),
        _ => (404, "{}".into()),
    })
    .await;
    let why = refusal(&dapr(&gone), &as_app("web-0"), now()).await;
    assert!(matches!(why, Refusal::Pod(_)), "{why}");
    let unbound = vouched().replace("authentication.kubernetes.io/pod-uid", "x");
    let unbound = Server::start(move |_| (201, unbound.clone())).await;
    let why = refusal(&dapr(&unbound), &as_app("web-0"), now()).await;
    assert!(matches!(why, Refusal::ServiceAccount(_)), "{why}");
    let hidden = Server::start(|asked| match asked.path.as_str() {
        REVIEWS => (201, vouched()),
        _ => (403, "{}".into()),
    })
    .await;
    let why = unavailable(&dapr(&hidden), &as_app("web-0"), now()).await;
    assert!(matches!(why, Unavailable::OwnRights(_)), "{why}");
}
