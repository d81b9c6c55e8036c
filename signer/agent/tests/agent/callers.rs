//! Several identities on one socket: each caller has its own, and no other exists for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use credence_agent::sds::{Elsewhere, Validation};
use credence_agent::{
    Access, Bundle, Callers, Entitled, Identity, Looking, Plan, Registered, Socket, View,
};
use credence_attest::peer::{Conditions, Entry, PeerAttestor, PeerCredentials, Registry};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use rustix::process::geteuid;
use spiffe::{SpiffeId, TrustDomain};
use tonic::Code;

use crate::delta::{Delta, subscribe};
use crate::harness::{Envoy, MINUTE, Running, SECOND, Setup, client, first, names, secrets};
use crate::sockets::{as_uid, open_up};
use crate::workload::{Application, next};

pub(crate) fn id(name: &str) -> SpiffeId {
    SpiffeId::new(format!("spiffe://example.org/{name}")).unwrap()
}

/// A socket for everyone on which `callers` says who may have what.
pub(crate) fn shared(setup: &Setup, identities: &[&str], callers: Arc<dyn Callers>) -> Plan {
    let identity = |name: &&str| Identity {
        id: id(name),
        dns_names: Vec::new(),
    };
    Plan {
        identities: identities.iter().map(identity).collect(),
        sockets: vec![Socket {
            path: setup.path("s"),
            access: Access::Everyone,
            callers,
        }],
        validation: Validation::default(),
        elsewhere: None::<Arc<dyn Elsewhere>>,
        limits: setup.limits,
    }
}

/// By uid, and executable where one is given.
pub(crate) fn registered(entries: &[(u32, Option<PathBuf>, &str)]) -> Arc<dyn Callers> {
    let entry = |(uid, executable, name): &(u32, Option<PathBuf>, &str)| Entry {
        conditions: Conditions {
            executable: executable.clone(),
            ..Conditions::of_uid(*uid)
        },
        identity: id(name),
    };
    let registry = Registry::new(entries.iter().map(entry).collect()).unwrap();
    let views: Vec<_> = entries
        .iter()
        .map(|(_, _, name)| View::of(id(name)))
        .collect();
    let attestor = PeerAttestor::new("peer".to_owned(), registry);
    Arc::new(Registered::new(attestor, views))
}

/// All that one uid gets to see: over SDS under any name that there is, and over the Workload API.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    sds: BTreeSet<String>,
    workload: BTreeSet<String>,
    everything: BTreeSet<String>,
}

const ASKED: [&str; 6] = [
    "default",
    "ROOTCA",
    "spiffe://example.org/one",
    "spiffe://example.org/two",
    "spiffe://example.org/three",
    "spiffe://elsewhere.org",
];

async fn look(path: &Path) -> Seen {
    let mut client = client(path).await;
    let mut fetch = async |names_asked: &[&str]| {
        let fetched = client.fetch_secrets(first(names_asked)).await.unwrap();
        names(fetched.get_ref()).into_iter().collect()
    };
    let (sds, everything) = (fetch(&ASKED).await, fetch(&[]).await);
    let mut svids = Application::connect(path).await.svids().await.unwrap();
    let svids = next(&mut svids).await.unwrap().svids.into_iter();
    Seen {
        sds,
        everything,
        workload: svids.map(|svid| svid.spiffe_id).collect(),
    }
}

/// Looks as another uid, on a thread of its own.
async fn look_as(uid: u32, path: PathBuf) -> Seen {
    as_uid(uid, move || block_on(look(&path))).await
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn only(name: &str) -> Seen {
    let own = id(name).to_string();
    Seen {
        sds: ["default", "ROOTCA", &own].map(str::to_owned).into(),
        everything: ["default", "ROOTCA"].map(str::to_owned).into(),
        workload: [own].into(),
    }
}

#[tokio::test(start_paused = true)]
async fn two_uids_on_one_socket_never_see_each_others_identity() {
    assert!(
        geteuid().is_root(),
        "this test has to become other users; run it as root"
    );
    let setup = Setup::new(60 * MINUTE);
    open_up(&setup);
    let callers = registered(&[(61_001, None, "one"), (61_002, None, "two")]);
    let _agent = setup.start_plan(shared(&setup, &["one", "two", "three"], callers));
    tokio::time::sleep(SECOND).await;
    assert_eq!(look_as(61_001, setup.path("s")).await, only("one"));
    assert_eq!(look_as(61_002, setup.path("s")).await, only("two"));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_identity_hears_so_and_nothing_else() {
    let setup = Setup::new(60 * MINUTE);
    let callers = registered(&[(geteuid().as_raw() + 1, None, "one")]);
    let _agent = setup.start_plan(shared(&setup, &["one"], callers));
    tokio::time::sleep(SECOND).await;
    let mut sds = client(&setup.path("s")).await;
    let faults = [
        sds.fetch_secrets(first(&["default"])).await.err(),
        Envoy::open(&mut sds).await.err(),
        Application::connect(&setup.path("s"))
            .await
            .svids()
            .await
            .err(),
    ];
    for fault in faults {
        let fault = fault.expect("a stranger was served");
        assert_eq!(fault.code(), Code::PermissionDenied);
        assert!(!fault.message().contains("one"), "{fault}");
    }
}

/// Callers who all have the same, which a test can change.
struct Changing(Mutex<Option<Arc<View>>>);

impl Changing {
    fn new(view: View) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Arc::new(view)))))
    }

    fn set(&self, view: Option<View>) {
        *self.0.lock().unwrap() = view.map(Arc::new);
    }
}

impl Callers for Changing {
    fn view<'a>(&'a self, _: &'a PeerCredentials) -> Looking<'a> {
        Box::pin(std::future::ready(self.0.lock().unwrap().clone()))
    }
}

fn of_two() -> View {
    let entitled = |name, hint: &str| Entitled {
        id: id(name),
        hint: hint.to_owned(),
    };
    let federated = BTreeSet::from([TrustDomain::new("elsewhere.org").unwrap()]);
    View::new(
        entitled("frontend", "a"),
        vec![entitled("two", "b")],
        federated,
    )
    .unwrap()
}

fn federate(agent: &Running) {
    let bundle = Bundle {
        roots: vec![b"a root".to_vec()],
        ..Bundle::default()
    };
    let elsewhere = TrustDomain::new("elsewhere.org").unwrap();
    assert!(agent.shelf.put_bundle(&elsewhere, bundle));
}

#[tokio::test(start_paused = true)]
async fn a_view_of_several_has_each_under_its_name() {
    let setup = Setup::new(60 * MINUTE);
    let agent = setup.start_plan(shared(
        &setup,
        &["frontend", "two"],
        Changing::new(of_two()),
    ));
    federate(&agent);
    tokio::time::sleep(SECOND).await;
    let seen = look(&setup.path("s")).await;
    let sds = [
        "ROOTCA",
        "default",
        "spiffe://elsewhere.org",
        "spiffe://example.org/two",
    ];
    assert_eq!(seen.sds, sds.map(str::to_owned).into());
    assert_eq!(seen.everything, seen.sds);
    let mut svids = Application::connect(&setup.path("s"))
        .await
        .svids()
        .await
        .unwrap();
    let response = next(&mut svids).await.unwrap();
    let told = response
        .svids
        .iter()
        .map(|svid| (svid.spiffe_id.as_str(), svid.hint.as_str()));
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("spiffe://example.org/frontend", "a"),
            ("spiffe://example.org/two", "b")
        ]
    );
    assert_eq!(
        response.federated_bundles["spiffe://elsewhere.org"],
        &b"a root"[..]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_may_have_no_longer_is_removed_at_the_next_push_and_then_its_streams_end() {
    let setup = Setup::new(20 * SECOND);
    let callers = Changing::new(of_two());
    let plan = shared(
        &setup,
        &["frontend", "two"],
        Arc::clone(&callers) as Arc<dyn Callers>,
    );
    let agent = setup.start_plan(plan);
    federate(&agent);
    tokio::time::sleep(SECOND).await;
    let asked = [
        "default",
        "spiffe://example.org/two",
        "spiffe://elsewhere.org",
    ];
    let mut envoy = Delta::open(&setup, subscribe(&asked)).await;
    assert_eq!(envoy.accept().await.0.len(), 3);
    let mut svids = Application::connect(&setup.path("s"))
        .await
        .svids()
        .await
        .unwrap();
    assert_eq!(next(&mut svids).await.unwrap().svids.len(), 2);
    callers.set(Some(View::of(id("frontend"))));
    let mut removed = Vec::new();
    while removed.is_empty() {
        removed = envoy.accept().await.1;
    }
    assert_eq!(
        removed,
        ["spiffe://elsewhere.org", "spiffe://example.org/two"]
    );
    while next(&mut svids).await.unwrap().svids.len() > 1 {}
    callers.set(None);
    for fault in [
        next(&mut svids).await.unwrap_err(),
        envoy.next().await.unwrap_err(),
    ] {
        assert_eq!(fault.code(), Code::PermissionDenied);
    }
    assert_eq!(
        (
            agent.standing().sds_streams,
            agent.standing().workload_streams
        ),
        (0, 0)
    );
}

fn with_metadata(names: &[&str], key: &str, value: &str) -> DiscoveryRequest {
    let value = Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    };
    let mut request = first(names);
    let metadata = Struct {
        fields: [(key.to_owned(), value)].into(),
    };
    if let Some(node) = &mut request.node {
        node.metadata = Some(metadata);
    }
    request
}

#[tokio::test(start_paused = true)]
async fn a_node_says_by_its_metadata_how_it_validates() {
    let setup = Setup::new(60 * MINUTE);
    let agent = setup.start_plan(shared(
        &setup,
        &["frontend", "two"],
        Changing::new(of_two()),
    ));
    federate(&agent);
    tokio::time::sleep(SECOND).await;
    let mut client = client(&setup.path("s")).await;
    let mut validators = async |request: DiscoveryRequest| -> Vec<Option<String>> {
        let fetched = client.fetch_secrets(request).await.unwrap();
        secrets(fetched.get_ref())
            .into_iter()
            .map(|secret| validator(secret.r#type))
            .collect()
    };
    let spiffe = Some("envoy.tls.cert_validator.spiffe".to_owned());
    let plain = validators(first(&["ROOTCA", "ALL"])).await;
    assert_eq!(plain, [None, spiffe.clone()]);
    let both = with_metadata(
        &["ROOTCA", "spiffe://elsewhere.org"],
        "credence_validation",
        "spiffe",
    );
    assert_eq!(validators(both).await, [spiffe.clone(), spiffe]);
    let wrong = with_metadata(&["ROOTCA"], "credence_validation", "yes");
    let mut envoy = Envoy::connect(&setup.path("s")).await;
    envoy.send(wrong).await;
    assert_eq!(envoy.fault().await.code(), Code::InvalidArgument);
}

fn validator(kind: Option<Type>) -> Option<String> {
    let Some(Type::ValidationContext(CertificateValidationContext {
        custom_validator_config,
        trusted_ca,
        ..
    })) = kind
    else {
        panic!("not a validation context")
    };
    assert_ne!(custom_validator_config.is_some(), trusted_ca.is_some());
    custom_validator_config.map(|config| config.name)
}

#[tokio::test(start_paused = true)]
async fn one_uid_cannot_take_all_places() {
    assert!(
        geteuid().is_root(),
        "this test has to become another user; run it as root"
    );
    let mut setup = Setup::new(60 * MINUTE);
    (setup.limits.connections, setup.limits.connections_per_uid) = (3, 2);
    open_up(&setup);
    let callers = registered(&[(0, None, "one"), (61_002, None, "two")]);
    let _agent = setup.start_plan(shared(&setup, &["one", "two"], callers));
    tokio::time::sleep(SECOND).await;
    let (_one, _two) = (
        client(&setup.path("s")).await,
        client(&setup.path("s")).await,
    );
    let mut third = tokio::net::UnixStream::connect(setup.path("s"))
        .await
        .unwrap();
    let mut nothing = [0];
    use tokio::io::AsyncReadExt as _;
    assert!(
        !matches!(third.read(&mut nothing).await, Ok(1..)),
        "a third was served"
    );
    let path = setup.path("s");
    let other = as_uid(61_002, move || {
        block_on(async move {
            let fetched = client(&path).await.fetch_secrets(first(&["default"])).await;
            names(fetched.unwrap().get_ref())
        })
    });
    assert_eq!(other.await, ["default"]);
}
