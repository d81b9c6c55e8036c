//! TokenReview, against an API server that is scripted.

use crate::{
    bearer, domain, now, refusal,
    server::{Asked, Server},
    unavailable,
};
use credence_attest::{
    AttestError, Attested, Attestor as _, HttpsUrl, ProofKind, Refusal, Unavailable,
    identity::template::Template,
    kubernetes::{ApiServer, KubernetesAttestor, KubernetesError, KubernetesSettings, ServerLoad},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinHandle};

pub(crate) const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

fn review(status: &str) -> String {
    format!(r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{status}}}"#)
}

pub(crate) fn vouched() -> String {
    review(
        r#"{"authenticated":true,"audiences":["istio-ca"],"user":{"username":"system:serviceaccount:prod:web","uid":"9","groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/pod-name":["web-0"],"authentication.kubernetes.io/pod-uid":["u-1"]}}}"#,
    )
}

pub(crate) fn settings(server: &Server) -> KubernetesSettings {
    let token_file = server.ca_file.with_file_name("token");
    std::fs::write(&token_file, "own-token\n").unwrap();
    KubernetesSettings {
        name: "cluster".into(),
        server: HttpsUrl::parse(&server.url).unwrap(),
        ca_file: Some(server.ca_file.clone()),
        token_file,
        cluster: None,
        audiences: vec!["istio-ca".into()],
        timeout: Duration::from_secs(20),
        load: ServerLoad::default(),
        template: Template::istio(domain()),
        dapr: None,
    }
}

fn attestor(server: &Server) -> KubernetesAttestor {
    KubernetesAttestor::new(settings(server)).unwrap()
}

#[tokio::test]
async fn a_service_account_that_the_server_vouches_for_is_let_in() {
    let server = Server::start(|_| (201, vouched())).await;
    let attestor = attestor(&server);
    let found = attestor
        .attest(&bearer("their-token"), now())
        .await
        .unwrap();
    assert_eq!(
        found.identity.to_string(),
        "spiffe://example.org/ns/prod/sa/web"
    );
    assert_eq!(found.proof.kind, ProofKind::TokenReview);
    assert_eq!(
        found.proof.subject.as_deref(),
        Some("system:serviceaccount:prod:web")
    );
    assert_eq!(found.proof.audiences, ["istio-ca"]);
    assert!(!format!("{found:?}").contains("their-token"));
    let [
        Asked {
            method,
            path,
            authorization,
            body,
        },
    ] = &server.asked()[..]
    else {
        panic!("one question");
    };
    assert_eq!((method.as_str(), path.as_str()), ("POST", REVIEWS));
    assert_eq!(authorization.as_deref(), Some("Bearer own-token"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["kind"], "TokenReview");
    assert_eq!(body["spec"]["token"], "their-token");
    assert_eq!(body["spec"]["audiences"][0], "istio-ca");
}

#[tokio::test]
async fn whom_the_server_does_not_vouch_for_is_refused() {
    let user = r#""user":{"username":"system:serviceaccount:prod:web"}"#;
    for (status, why) in [
        (
            r#"{"authenticated":false}"#.into(),
            Refusal::NotAuthenticated,
        ),
        (r#"{"error":"expired"}"#.into(), Refusal::NotAuthenticated),
        (
            format!(r#"{{"authenticated":true,{user}}}"#),
            Refusal::Audience,
        ),
        (
            format!(r#"{{"authenticated":true,"audiences":["x"],{user}}}"#),
            Refusal::Audience,
        ),
    ] {
        let server = Server::start(move |_| (201, review(&status))).await;
        assert_eq!(refusal(&attestor(&server), &bearer("t"), now()).await, why);
    }
    let admin = r#"{"authenticated":true,"audiences":["istio-ca"],"user":{"username":"admin"}}"#;
    let server = Server::start(move |_| (201, review(admin))).await;
    let why = refusal(&attestor(&server), &bearer("t"), now()).await;
    assert!(matches!(why, Refusal::ServiceAccount(_)), "{why}");
}

/// None of these is the caller's fault, and each has another remedy.
#[tokio::test]
async fn what_the_server_has_against_us_is_told_apart() {
    for (status, expected) in [
        (401, "does not accept this CA's own token"),
        (403, "system:auth-delegator"),
        (429, "429"),
        (500, "500"),
        (503, "503"),
        (302, "302"),
        (404, "404"),
    ] {
        let server = Server::start(move |_| (status, vouched())).await;
        let why = unavailable(&attestor(&server), &bearer("t"), now()).await;
        assert!(why.to_string().contains(expected), "{why}");
        assert_eq!(matches!(why, Unavailable::OwnToken(_)), status == 401);
        assert_eq!(matches!(why, Unavailable::OwnRights(_)), status == 403);
    }
    for body in ["", "{}", r#"{"kind":"Status"}"#] {
        let server = Server::start(move |_| (201, body.to_owned())).await;
        let why = unavailable(&attestor(&server), &bearer("t"), now()).await;
        assert!(why.to_string().contains("no TokenReview"), "{why}");
    }
    let long = "x".repeat(2 << 20);
    let server = Server::start(move |_| (201, long.clone())).await;
    let why = unavailable(&attestor(&server), &bearer("t"), now()).await;
    assert!(why.to_string().contains("length limit"), "{why}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = Server::with(|_| Box::pin(std::future::pending())).await;
    let hasty = KubernetesAttestor::new(KubernetesSettings {
        timeout: Duration::from_millis(300),
        ..settings(&server)
    });
    let why = unavailable(&hasty.unwrap(), &bearer("t"), now()).await;
    assert!(why.to_string().contains("no answer within"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_away_is_not_a_refusal() {
    let server = Server::start(|_| (201, vouched())).await;
    // nobody listens there, or another test's server, whose CA is another
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let attestor = KubernetesAttestor::new(KubernetesSettings {
        server: HttpsUrl::parse(&format!("https://localhost:{gone}")).unwrap(),
        ..settings(&server)
    });
    let why = unavailable(&attestor.unwrap(), &bearer("t"), now()).await;
    assert!(matches!(why, Unavailable::Remote { .. }), "{why}");
}

#[tokio::test]
async fn our_own_token_is_read_again() {
    let server = Server::start(|_| (201, vouched())).await;
    let attestor = attestor(&server);
    let file = server.ca_file.with_file_name("token");
    assert!(attestor.attest(&bearer("t"), now()).await.is_ok());
    let beside = server.ca_file.with_file_name("beside");
    std::fs::write(&beside, "renewed").unwrap();
    std::fs::rename(&beside, &file).unwrap();
    assert!(attestor.attest(&bearer("t"), now()).await.is_ok());
    let shown: Vec<_> = server
        .asked()
        .into_iter()
        .filter_map(|a| a.authorization)
        .collect();
    assert_eq!(shown, ["Bearer own-token", "Bearer renewed"]);
}

/// A server that answers when the test says so, and an attestor that asks it two questions at once.
async fn gated(longest_wait: Duration) -> (Arc<Semaphore>, Server, Arc<KubernetesAttestor>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let server = Server::with(move |_| {
        let gate = Arc::clone(&opened);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            (201, vouched())
        })
    })
    .await;
    let load = ServerLoad {
        at_once: 2,
        longest_wait,
    };
    let settings = KubernetesSettings {
        load,
        ..settings(&server)
    };
    let attestor = Arc::new(KubernetesAttestor::new(settings).unwrap());
    (gate, server, attestor)
}

/// Two questions, when the server has both.
async fn two_asked(
    attestor: &Arc<KubernetesAttestor>,
    server: &Server,
) -> Vec<JoinHandle<Result<Attested, AttestError>>> {
    let ask = |_| {
        let attestor = Arc::clone(attestor);
        tokio::spawn(async move { attestor.attest(&bearer("t"), now()).await })
    };
    let asking = (0..2).map(ask).collect();
    while server.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    asking
}

#[tokio::test]
async fn a_busy_server_is_not_asked_more() {
    let (gate, server, attestor) = gated(Duration::ZERO).await;
    let asking = two_asked(&attestor, &server).await;
    let why = unavailable(attestor.as_ref(), &bearer("t"), now()).await;
    assert_eq!(why, Unavailable::Busy);
    assert_eq!(server.asked().len(), 2);
    // who hangs up gives the turn back
    for task in asking {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    gate.add_permits(9);
    assert!(attestor.attest(&bearer("t"), now()).await.is_ok());
}

#[tokio::test]
async fn who_waits_for_a_turn_gets_it() {
    let (gate, server, attestor) = gated(Duration::from_secs(20)).await;
    let asking = two_asked(&attestor, &server).await;
    let third = bearer("t");
    let mut third = std::pin::pin!(attestor.attest(&third, now()));
    tokio::select! {
        biased;
        found = &mut third => panic!("nobody has answered yet: {found:?}"),
        () = std::future::ready(()) => {}
    }
    gate.add_permits(3);
    assert!(third.await.is_ok());
    for task in asking {
        assert!(task.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_caller_of_another_cluster_and_a_join_token_are_left_to_others() {
    let server = Server::start(|_| (201, vouched())).await;
    let attestor = KubernetesAttestor::new(KubernetesSettings {
        cluster: Some("east".into()),
        ..settings(&server)
    })
    .unwrap();
    let from = |cluster: Option<&str>| {
        let mut evidence = bearer("t");
        evidence.metadata.cluster = cluster.map(str::to_owned);
        evidence
    };
    for other in [from(None), from(Some("west")), bearer("credence-join-1-x")] {
        let found = attestor.attest(&other, now()).await;
        assert_eq!(found, Err(AttestError::NoEvidence));
    }
    assert!(server.asked().is_empty());
    assert!(attestor.attest(&from(Some("east")), now()).await.is_ok());
}

#[tokio::test]
async fn settings_that_let_everybody_in_are_refused() {
    let server = Server::start(|_| (201, vouched())).await;
    let error = |settings| KubernetesAttestor::new(settings).err().unwrap();
    let none = KubernetesSettings {
        audiences: vec![],
        ..settings(&server)
    };
    assert!(matches!(error(none), KubernetesError::NoAudience(_)));
    let claim = Template::parse("spiffe://{trust_domain}/{claims.sub}", &domain()).unwrap();
    let claim = KubernetesSettings {
        template: claim,
        ..settings(&server)
    };
    assert!(matches!(error(claim), KubernetesError::Template(..)));
    let no_plane = KubernetesSettings {
        template: Template::dapr(),
        ..settings(&server)
    };
    assert!(matches!(
        error(no_plane),
        KubernetesError::NoControlPlane(_)
    ));
}

#[tokio::test]
async fn a_configuration_is_asked_for_by_its_name() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations/daprsystem" => {
            (200, r#"{"kind":"Configuration"}"#.into())
        }
        "/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations/secret" => {
            (403, String::new())
        }
        _ => (404, String::new()),
    })
    .await;
    let KubernetesSettings {
        server: url,
        ca_file,
        token_file,
        timeout,
        ..
    } = settings(&server);
    let api = ApiServer::new(url, ca_file, token_file, timeout).unwrap();
    let found = api.configuration("dapr-system", "daprsystem").await;
    assert_eq!(&found.unwrap().unwrap()[..], br#"{"kind":"Configuration"}"#);
    let asked = &server.asked()[0];
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.authorization.as_deref(), Some("Bearer own-token"));
    assert_eq!(api.configuration("dapr-system", "other").await, Ok(None));
    let denied = api.configuration("dapr-system", "secret").await;
    assert!(matches!(denied, Err(Unavailable::OwnRights(_))));
    for (namespace, name) in [("a/b", "c"), ("a", "../secrets/x"), ("", "c"), ("a", "..")] {
        assert!(api.configuration(namespace, name).await.is_err(), "{name}");
    }
    assert_eq!(server.asked().len(), 3);
}
