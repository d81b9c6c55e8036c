//! `credence dev` as it is typed: what an identity's socket hands out, with DNS names and with another module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{
    certificate::CaCertificate,
    dns::DnsName,
    issuance::{Issuance, Issuer},
    profile::Profile,
    validity::Validity,
};
use credence_host::{
    possession::ProvenRequest,
    sandbox::{Limits, Proposal, Sandbox},
};
use credence_ledger::{
    checkpoint::CheckpointKey,
    entry::{Event, Issued},
    octets::Digest,
    sqlite::{About, Query, Reader},
    verify::{Checks, Replay},
};
use credence_sandbox_tests::python;
use envoy_types::pb::envoy::{
    config::core::v3::{Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::{
        discovery::v3::DiscoveryRequest,
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use hyper_util::rt::TokioIo;
use prost::Message;
use spiffe::SpiffeId;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};
use tokio::net::UnixStream;
use tokio_stream::StreamExt as _;
use tonic::transport::{Endpoint, Uri};
use x509_parser::prelude::*;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";

/// A running `credence dev` with one identity; it ends with this.
struct Dev {
    folder: tempfile::TempDir,
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Dev {
    /// `more` is what its configuration has besides the identity, whose own lines come last in it.
    fn start(more: &str, module: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("credence.toml");
        let text = format!(
            "trust_domain = \"example.org\"\nstate_dir = \"state\"\n\
             [[identities]]\nid = \"{ORDERS}\"\nsocket = \"s\"\n{more}"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_credence"));
        command.args(["dev", "--config"]).arg(config);
        if let Some(module) = module {
            command.arg("--module").arg(module);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { folder, child, log }
    }

    /// The next line of its log with these words in it; it is an error if it ends before.
    fn log_line(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        for line in (&mut self.log).lines() {
            let line = line.unwrap();
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("it ended without '{words}':\n{}", seen.join("\n"))
    }

    /// The names in the certificate that its socket hands out, in their order.
    fn names(&mut self) -> Vec<String> {
        self.log_line("ready");
        let socket = self.folder.path().join("s");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        names(&runtime.block_on(certificate(socket)))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The secret `default` over SDS, once it is there: the chain, PEM.
async fn certificate(socket: PathBuf) -> Vec<u8> {
    let connector = tower::service_fn(move |_: Uri| {
        let path = socket.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://agent.test");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    let request = DiscoveryRequest {
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".into(),
        resource_names: vec!["default".into()],
        node: Some(Node {
            id: "envoy".into(),
            ..Node::default()
        }),
        ..DiscoveryRequest::default()
    };
    // the stream stays open as long as its requests do
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut client = SecretDiscoveryServiceClient::new(channel);
    let mut responses = client.stream_secrets(requests).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().expect("an answer");
    let secret = Secret::decode(response.resources[0].value.as_slice()).unwrap();
    let Some(Type::TlsCertificate(certificate)) = secret.r#type else {
        panic!("{}: no certificate", secret.name)
    };
    match certificate.certificate_chain.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => bytes,
        Specifier::InlineString(text) => text.into_bytes(),
        other => panic!("{other:?}"),
    }
}

fn names(chain: &[u8]) -> Vec<String> {
    let (_, pem) = parse_x509_pem(chain).unwrap();
    let leaf = pem.parse_x509().unwrap();
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    let told = |name: &GeneralName<'_>| match name {
        GeneralName::URI(text) | GeneralName::DNSName(text) => (*text).to_owned(),
        other => panic!("{other:?}"),
    };
    san.value.general_names.iter().map(told).collect()
}

const TEMPLATE: &str =
    "[[dns_templates]]\npath = \"/ns/{ns}/sa/{sa}\"\nname = \"{sa}.example.org\"\n";

#[test]
fn a_name_that_is_configured_and_granted_is_in_the_certificate() {
    let asked = format!("dns_names = [\"orders.example.org\"]\n{TEMPLATE}");
    let mut dev = Dev::start(&asked, None);
    assert_eq!(dev.names(), [ORDERS, "orders.example.org"]);
}

#[test]
fn a_template_alone_grants_but_gives_nothing() {
    assert_eq!(Dev::start(TEMPLATE, None).names(), [ORDERS]);
}

/// One process, since to compile such a module takes its time: the template decides for which identity the
/// module gets to sign.
#[test]
fn a_module_in_python_signs_where_a_template_grants_its_name_and_nowhere_else() {
    let module = python::module(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let template = TEMPLATE.replace("{ns}/sa/{sa}", "shop/sa/{sa}");
    let payments = ORDERS.replace("shop/sa/orders", "other/sa/payments");
    let second = format!("[[identities]]\nid = \"{payments}\"\nsocket = \"t\"\n{template}");
    let mut dev = Dev::start(&second, Some(&module));
    let loaded = dev.log_line("signing module loaded");
    assert!(loaded.contains("it passed its self-test"), "{loaded}");
    assert!(loaded.contains(module.to_str().unwrap()), "{loaded}");
    assert_eq!(dev.names(), [ORDERS, "orders.example.org"]);
    let refused = dev.log_line("could not sign");
    for part in [&payments, "rule dns-names", "payments.example.org"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

/// A module of the record, run again.
#[derive(Default)]
struct Again(Option<Sandbox>);

impl Replay for Again {
    fn has_module(&self, _: &Digest) -> bool {
        self.0.is_some()
    }

    fn module(&mut self, _: &Digest, octets: &[u8]) -> Result<(), String> {
        self.0 = Some(Sandbox::load(octets, Limits::default()).map_err(|e| e.to_string())?);
        Ok(())
    }

    fn again(&mut self, issued: &Issued, issuer: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let ca = CaCertificate::from_der(issuer.expect("a leaf's issuer")).unwrap();
        let request = ProvenRequest::prove(&issued.csr.0).map_err(|e| e.to_string())?;
        let permitted: Vec<_> = issued
            .permitted_dns_names
            .iter()
            .map(|n| DnsName::parse(n).unwrap())
            .collect();
        let issuance = Issuance {
            profile: Profile::X509Svid,
            identity: &SpiffeId::new(&issued.identity).unwrap(),
            permitted_dns_names: &permitted,
            subject: None,
            subject_key: request.public_key(),
            validity: Validity {
                not_before: issued.not_before,
                not_after: issued.not_after,
            },
            serial: issued.serial.clone(),
            issuer: Issuer::Ca(&ca),
        };
        let sandbox = self.0.as_ref().expect("a module");
        let proposal = Proposal {
            csr: &issued.csr.0,
            issuance: &issuance,
        };
        sandbox.propose(&proposal).map_err(|e| e.to_string())
    }
}

/// What stands behind `key=` in a line of the log.
fn logged<'a>(line: &'a str, key: &str) -> &'a str {
    let from = line
        .find(key)
        .unwrap_or_else(|| panic!("no {key} in {line}"));
    line[from + key.len()..]
        .split_whitespace()
        .next()
        .unwrap()
        .trim_matches('"')
}

/// Killed, not stopped: what has left is on record all the same.
#[test]
fn a_certificate_is_on_record_with_its_module_and_can_be_made_again() {
    let asked = format!("dns_names = [\"orders.example.org\"]\n{TEMPLATE}");
    let mut dev = Dev::start(&asked, None);
    let module = logged(&dev.log_line("signing module loaded"), "sha256=").to_owned();
    let key = CheckpointKey::parse(logged(&dev.log_line("ledger opened"), " key=")).unwrap();
    dev.log_line("ready");
    let socket = dev.folder.path().join("s");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let chain = runtime.block_on(certificate(socket));
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();

    let reader = Reader::open(&dev.folder.path().join("state/ledger.db")).unwrap();
    let (_, pem) = parse_x509_pem(&chain).unwrap();
    let leaf = pem.parse_x509().unwrap();
    let page = reader
        .list(&Query::about(About::Identity(ORDERS.into())))
        .unwrap();
    let Event::Issued(issued) = &page.records[0].entry.event else {
        panic!("{page:?}")
    };
    assert_eq!(issued.tbs.0, leaf.tbs_certificate.as_ref());
    assert_eq!(issued.signature.0, leaf.signature_value.data.as_ref());
    assert_eq!(issued.module.to_string(), module);
    assert_eq!(issued.permitted_dns_names, ["orders.example.org"]);
    let keys = [key];
    let checks = Checks {
        replay: Some(&mut Again::default()),
        ..Checks::chain(&keys)
    };
    let report = reader.verify(checks, &mut |_| {}).unwrap();
    assert_eq!((report.issued, report.replayed), (1, 1), "{report:?}");
}

/// Another key could not be told from a stranger's.
#[test]
fn a_ledger_without_its_key_is_not_gone_on_with() {
    let mut dev = Dev::start("", None);
    dev.log_line("ready");
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    let state = dev.folder.path().join("state");
    fs::remove_file(state.join("ledger.key")).unwrap();
    let again = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(["dev", "--config"])
        .arg(dev.folder.path().join("credence.toml"))
        .output()
        .unwrap();
    assert!(!again.status.success());
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(
        told.contains("ledger.key") && told.contains("put it back"),
        "{told}"
    );
    assert!(!state.join("ledger.key").exists());
}
