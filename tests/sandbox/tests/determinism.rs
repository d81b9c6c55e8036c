//! The same request gives the same octets: natively and in wasm, in every instance, whatever the
//! seed of the hash maps, whether the code was made for this machine's CPU or for the oldest one
//! of its kind, and however hard the compiler tried.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_host::BUILTIN_MODULE;
use credence_sandbox_tests::{authority, csr_by, honest, modest};
use credence_signer_core as module;
use rcgen::{KeyPair, SanType};
use wasmtime::{
    Config, Engine, OptLevel, Store,
    component::{Component, Linker},
};

/// The contract's bindings, made from signer/wit alone: another host than ours.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]
mod bindings {
    wasmtime::component::bindgen!({ path: "../../signer/wit", world: "signer" });
}

use bindings::{Signer, exports::credence::signer::certificates as wit};

const PROFILES: [(module::Profile, wit::Profile); 6] = [
    (module::Profile::Root, wit::Profile::Root),
    (module::Profile::Issuer, wit::Profile::Issuer),
    (module::Profile::X509Svid, wit::Profile::X509Svid),
    (module::Profile::DaprWorkload, wit::Profile::DaprWorkload),
    (module::Profile::IstioWorkload, wit::Profile::IstioWorkload),
    (module::Profile::Serving, wit::Profile::Serving),
];

const NAMES: [&str; 2] = ["a.example.org", "b.example.org"];

/// A request as the plain library and as the contract has it.
fn requests() -> Vec<(module::Request, wit::Request)> {
    let issuer = authority(honest()).issuer().der().to_vec();
    let mut list = Vec::new();
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let mut params = modest();
        params.subject_alt_names = vec![SanType::DnsName(NAMES[1].try_into().unwrap())];
        let csr = csr_by(&params, &KeyPair::generate_for(kind).unwrap());
        for (plain, contract) in PROFILES {
            let csr = if plain.is_ca() {
                csr_by(&modest(), &KeyPair::generate_for(kind).unwrap())
            } else {
                csr.clone()
            };
            let issuer = (plain != module::Profile::Root).then(|| issuer.clone());
            list.push(request(plain, contract, csr, issuer));
        }
    }
    list
}

fn request(
    plain: module::Profile,
    contract: wit::Profile,
    csr: Vec<u8>,
    issuer: Option<Vec<u8>>,
) -> (module::Request, wit::Request) {
    let subject = plain.is_ca().then_some(("example.org", "Credence test"));
    let first = module::Request {
        csr,
        identity: "spiffe://example.org/alice".into(),
        profile: plain,
        permitted_dns_names: NAMES.map(str::to_owned).to_vec(),
        subject: subject.map(|(o, cn)| module::DistinguishedName {
            organization: o.into(),
            common_name: cn.into(),
        }),
        validity: module::Validity {
            not_before: 1_800_000_000,
            not_after: 1_800_003_600,
        },
        serial: vec![0x41; 16],
        signature_algorithm: module::SignatureAlgorithm::EcdsaWithSha256,
        issuer,
    };
    let second = wit::Request {
        csr: first.csr.clone(),
        identity: first.identity.clone(),
        profile: contract,
        permitted_dns_names: first.permitted_dns_names.clone(),
        subject: subject.map(|(o, cn)| wit::DistinguishedName {
            organization: o.into(),
            common_name: cn.into(),
        }),
        validity: wit::Validity {
            not_before: first.validity.not_before,
            not_after: first.validity.not_after,
        },
        serial: first.serial.clone(),
        signature_algorithm: wit::SignatureAlgorithm::EcdsaWithSha256,
        issuer: first.issuer.clone(),
    };
    (first, second)
}

/// A host that is not ours: one engine, and an instance with its own seed for each call.
struct OtherHost {
    engine: Engine,
    component: Component,
}

impl OtherHost {
    fn new(config: &Config) -> Self {
        let engine = Engine::new(config).unwrap();
        let component = Component::new(&engine, BUILTIN_MODULE).unwrap();
        Self { engine, component }
    }

    fn propose(&self, request: &wit::Request, seed: (u64, u64)) -> Vec<u8> {
        let mut linker: Linker<()> = Linker::new(&self.engine);
        for (name, _) in self.component.component_type().imports(&self.engine) {
            if name.starts_with("wasi:random/insecure-seed@") {
                linker
                    .instance(name)
                    .unwrap()
                    .func_wrap("insecure-seed", move |_, (): ()| Ok((seed,)))
                    .unwrap();
            }
        }
        linker
            .define_unknown_imports_as_traps(&self.component)
            .unwrap();
        let mut store = Store::new(&self.engine, ());
        let signer = Signer::instantiate(&mut store, &self.component, &linker).unwrap();
        signer
            .credence_signer_certificates()
            .call_issue(&mut store, request)
            .unwrap()
            .unwrap()
    }
}

/// Native code with every feature of this CPU, code for the baseline of its architecture, and
/// code that the compiler did not optimise.
fn hosts() -> Vec<OtherHost> {
    let native = Config::new();
    let mut baseline = Config::new();
    baseline
        .target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .unwrap();
    let mut plain = Config::new();
    plain.cranelift_opt_level(OptLevel::None);
    [native, baseline, plain]
        .iter()
        .map(OtherHost::new)
        .collect()
}

#[test]
fn the_same_request_gives_the_same_octets_everywhere() {
    let hosts = hosts();
    for (plain, contract) in requests() {
        let native = module::propose(&plain).unwrap();
        for (at, host) in hosts.iter().enumerate() {
            for seed in [(0, 0), (1, 2), (u64::MAX, 7)] {
                let found = host.propose(&contract, seed);
                assert_eq!(found, native, "{:?}, host {at}", plain.profile);
            }
        }
    }
}

/// So that the test above compares something: what goes in comes out.
#[test]
fn another_request_gives_other_octets() {
    let host = &hosts()[0];
    let (_, mut request) = requests().swap_remove(2);
    let first = host.propose(&request, (0, 0));
    request.serial[0] += 1;
    assert_ne!(first, host.propose(&request, (0, 0)));
}
