//! Key sets from files and over https, from a server that does as it is told.

use crate::{
    NOW, after, bearer,
    jwt::{claims, settings},
    now, refusal,
    server::{Asked, Server},
    tokens::{jwk, jwks, sign},
    unavailable,
};
use credence_attest::{
    AttestError, Attestor as _, Evidence, HttpsError, HttpsUrl, Refusal, Roots, Unavailable,
    jwt::{Freshness, JwtAttestor, Keys},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

fn freshness() -> Freshness {
    Freshness {
        refresh_after: Duration::from_secs(300),
        min_interval: Duration::from_secs(10),
        usable_for: Duration::from_secs(3600),
    }
}

fn attestor(server: &Server, timeout: Duration) -> JwtAttestor {
    let url = HttpsUrl::parse(&format!("{}/keys", server.url)).unwrap();
    let ca = Some(server.ca_file.clone());
    let keys = Keys::url(url, ca, timeout, freshness()).unwrap();
    JwtAttestor::new(settings(), keys).unwrap()
}

const PATIENT: Duration = Duration::from_secs(20);

fn signed_by(id: &str) -> Evidence {
    let header = format!(r#"{{"alg":"ES256","kid":"{id}"}}"#);
    let claims = claims("").replace(&(NOW + 600).to_string(), &(NOW + 100_000).to_string());
    bearer(sign("ES256", &header, &claims))
}

fn set(ids: &[&str]) -> String {
    let keys: Vec<_> = ids
        .iter()
        .map(|id| jwk("ES256", &format!(r#","kid":"{id}""#)))
        .collect();
    jwks(&keys)
}

/// A server whose answer can be changed.
async fn changing(reply: (u16, String)) -> (Server, Arc<Mutex<(u16, String)>>) {
    let reply = Arc::new(Mutex::new(reply));
    let told = Arc::clone(&reply);
    let server = Server::start(move |_| told.lock().unwrap().clone()).await;
    (server, reply)
}

#[tokio::test]
async fn a_set_is_fetched_once_and_kept() {
    let server = Server::start(|_| (200, set(&["a"]))).await;
    let attestor = attestor(&server, PATIENT);
    for seconds in [0, 1, 299] {
        assert!(
            attestor
                .attest(&signed_by("a"), after(seconds))
                .await
                .is_ok()
        );
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("GET", "/keys")
    );
    assert_eq!(asked[0].authorization, None);
    assert!(attestor.attest(&signed_by("a"), after(300)).await.is_ok());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_rotated_key_is_found_by_one_more_fetch() {
    let (server, reply) = changing((200, set(&["old"]))).await;
    let attestor = attestor(&server, PATIENT);
    assert!(attestor.attest(&signed_by("old"), now()).await.is_ok());
    *reply.lock().unwrap() = (200, set(&["new"]));
    // too soon after the last: a caller who asks again later is served
    let why = unavailable(&attestor, &signed_by("new"), after(9)).await;
    assert_eq!(why, Unavailable::KeysTooSoon(Duration::from_secs(1)));
    assert!(attestor.attest(&signed_by("new"), after(10)).await.is_ok());
    // what is not in the new set is not used any more
    assert!(attestor.attest(&signed_by("old"), after(11)).await.is_err());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn unknown_keys_make_no_storm() {
    let server = Server::start(|_| (200, set(&["a"]))).await;
    let attestor = Arc::new(attestor(&server, PATIENT));
    assert!(attestor.attest(&signed_by("a"), now()).await.is_ok());
    let mut tasks = Vec::new();
    for n in 0..200 {
        let attestor = Arc::clone(&attestor);
        tasks.push(tokio::spawn(async move {
            let evidence = signed_by(&format!("unknown{n}"));
            attestor.attest(&evidence, after(20)).await.unwrap_err()
        }));
    }
    for task in tasks {
        let error = task.await.unwrap();
        let known = matches!(
            &error,
            AttestError::Refused {
                why: Refusal::UnknownKey,
                ..
            } | AttestError::Unavailable {
                why: Unavailable::KeysTooSoon(_),
                ..
            }
        );
        assert!(known, "{error}");
    }
    assert_eq!(server.asked().len(), 2);
}

/// Opens when the test says so, and tells how many wait.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    came: Arc<Semaphore>,
    served: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self {
            open: Arc::new(Semaphore::new(0)),
            came: Arc::new(Semaphore::new(0)),
            served: Arc::default(),
        }
    }

    async fn server(&self, reply: String) -> Server {
        let gate = self.clone();
        Server::with(move |_: Asked| {
            let (gate, reply) = (gate.clone(), reply.clone());
            Box::pin(async move {
                gate.came.add_permits(1);
                gate.open.acquire().await.unwrap().forget();
                gate.served.fetch_add(1, Ordering::SeqCst);
                (200, reply)
            })
        })
        .await
    }
}

#[tokio::test]
async fn all_who_come_during_a_fetch_are_served_by_it() {
    let gate = Gate::new();
    let server = gate.server(set(&["a"])).await;
    let attestor = Arc::new(attestor(&server, PATIENT));
    let ask = || {
        let attestor = Arc::clone(&attestor);
        tokio::spawn(async move { attestor.attest(&signed_by("a"), now()).await })
    };
    let first = ask();
    gate.came.acquire().await.unwrap().forget();
    let others: Vec<_> = (0..50).map(|_| ask()).collect();
    gate.open.add_permits(1);
    for task in others.into_iter().chain([first]) {
        assert!(task.await.unwrap().is_ok());
    }
    assert_eq!(gate.served.load(Ordering::SeqCst), 1);
}

/// A caller who hangs up does not take the interval's one fetch along.
#[tokio::test]
async fn a_fetch_outlives_its_caller() {
    let gate = Gate::new();
    let server = gate.server(set(&["a"])).await;
    let attestor = Arc::new(attestor(&server, PATIENT));
    let caller = {
        let attestor = Arc::clone(&attestor);
        tokio::spawn(async move { attestor.attest(&signed_by("x"), now()).await })
    };
    gate.came.acquire().await.unwrap().forget();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open.add_permits(1);
    // within the interval, so that nothing but the first fetch can have brought the key
    assert!(attestor.attest(&signed_by("a"), after(1)).await.is_ok());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_outage_is_outlived_for_a_while() {
    let (server, reply) = changing((200, set(&["a"]))).await;
    let attestor = attestor(&server, PATIENT);
    assert!(attestor.attest(&signed_by("a"), now()).await.is_ok());
    *reply.lock().unwrap() = (503, String::new());
    for seconds in [300, 301, 310, 3599] {
        assert!(
            attestor
                .attest(&signed_by("a"), after(seconds))
                .await
                .is_ok()
        );
    }
    // once at 300, 310 and 3599 each: the interval holds for failures too
    assert_eq!(server.asked().len(), 4);
    let too_old = unavailable(&attestor, &signed_by("a"), after(3609)).await;
    assert!(matches!(too_old, Unavailable::Remote { .. }), "{too_old}");
    *reply.lock().unwrap() = (200, set(&["a"]));
    assert!(attestor.attest(&signed_by("a"), after(3619)).await.is_ok());
}

#[tokio::test]
async fn what_is_no_key_set_is_not_taken() {
    let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1 << 20));
    for (status, body, expected) in [
        (200, "<html>".to_owned(), "not a JSON object"),
        (
            200,
            r#"{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}"#.to_owned(),
            "has no key",
        ),
        (200, long, "length limit"),
        (302, String::new(), "302"),
        (404, set(&["a"]), "404"),
        (500, set(&["a"]), "500"),
    ] {
        let server = Server::start(move |_| (status, body.clone())).await;
        let why = unavailable(&attestor(&server, PATIENT), &signed_by("a"), now()).await;
        assert!(why.to_string().contains(expected), "{why}");
        assert_eq!(server.asked().len(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let server = Server::with(|_| Box::pin(std::future::pending())).await;
    let attestor = attestor(&server, Duration::from_millis(300));
    let why = unavailable(&attestor, &signed_by("a"), now()).await;
    assert!(why.to_string().contains("no answer within"), "{why}");
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_believed() {
    let server = Server::start(|_| (200, set(&["a"]))).await;
    let other = Server::start(|_| (200, set(&["a"]))).await;
    let url = HttpsUrl::parse(&server.url).unwrap();
    let keys = Keys::url(
        url.clone(),
        Some(other.ca_file.clone()),
        PATIENT,
        freshness(),
    )
    .unwrap();
    let misled = JwtAttestor::new(settings(), keys).unwrap();
    let why = unavailable(&misled, &signed_by("a"), now()).await;
    assert!(why.to_string().contains("certificate"), "{why}");
    // by its address, which is not in its certificate
    let by_address = HttpsUrl::parse(&server.url.replace("localhost", "127.0.0.1")).unwrap();
    let keys = Keys::url(
        by_address,
        Some(server.ca_file.clone()),
        PATIENT,
        freshness(),
    )
    .unwrap();
    let misnamed = JwtAttestor::new(settings(), keys).unwrap();
    let why = unavailable(&misnamed, &signed_by("a"), now()).await;
    assert!(why.to_string().contains("certificate"), "{why}");
    assert!(server.asked().is_empty());
    // the right file in the wrong one's place is taken up
    let beside = other.ca_file.with_file_name("beside");
    std::fs::copy(&server.ca_file, &beside).unwrap();
    std::fs::rename(&beside, &other.ca_file).unwrap();
    assert!(misled.attest(&signed_by("a"), after(10)).await.is_ok());
}

#[tokio::test]
async fn without_a_ca_file_nothing_is_asked() {
    let server = Server::start(|_| (200, set(&["a"]))).await;
    let missing = server.ca_file.with_file_name("missing.pem");
    let url = HttpsUrl::parse(&server.url).unwrap();
    let keys = Keys::url(url, Some(missing), PATIENT, freshness()).unwrap();
    let attestor = JwtAttestor::new(settings(), keys).unwrap();
    let why = unavailable(&attestor, &signed_by("a"), now()).await;
    assert!(
        matches!(&why, Unavailable::File(text) if text.contains("missing.pem")),
        "{why}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let write = |text: &str| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    let attestor = JwtAttestor::new(settings(), Keys::file(path.clone())).unwrap();
    let why = unavailable(&attestor, &signed_by("a"), now()).await;
    assert!(matches!(why, Unavailable::File(_)), "{why}");
    write(&set(&["a"]));
    assert!(attestor.attest(&signed_by("a"), now()).await.is_ok());
    assert_eq!(
        refusal(&attestor, &signed_by("b"), now()).await,
        Refusal::UnknownKey
    );
    write(&set(&["b"]));
    assert!(attestor.attest(&signed_by("b"), now()).await.is_ok());
    write("{}");
    assert!(attestor.attest(&signed_by("b"), now()).await.is_ok());
    assert_eq!(
        refusal(&attestor, &signed_by("a"), now()).await,
        Refusal::UnknownKey
    );
    write(&set(&["a"]));
    assert_eq!(
        refusal(&attestor, &signed_by("b"), after(1)).await,
        Refusal::UnknownKey,
        "a key that was taken out is good for a second at most"
    );
}

#[tokio::test]
async fn a_server_is_known_by_certificates_in_the_configuration_itself() {
    let (server, _) = changing((200, set(&["a"]))).await;
    let url = || HttpsUrl::parse(&format!("{}/keys", server.url)).unwrap();
    let pem = std::fs::read_to_string(&server.ca_file).unwrap();
    let keys = |pem: &str| Keys::url(url(), Roots::Pem(pem.into()), PATIENT, freshness());
    let attestor = JwtAttestor::new(settings(), keys(&pem).unwrap()).unwrap();
    attestor.attest(&signed_by("a"), now()).await.unwrap();
    for bad in ["", "nonsense"] {
        assert!(matches!(keys(bad), Err(HttpsError::Roots(_))));
    }
}
