//! No input of a request can trap the shipped module: thousands of random ones, from a fixed seed.

use credence_contract::{Request, Vm, status};

use crate::certificates::{Certificate, Leaf, uri};

const CONFIG: &str = r#"{"policy": {
    "trustDomains": ["example.org"],
    "rules": [
        {"name": "deny", "action": "DENY", "principals": ["spiffe://example.org/*"], "paths": ["/admin/*"]},
        {"name": "allow", "principals": ["spiffe://example.org/a"]}
    ]
}}"#;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let length = self.below(max + 1);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// `good`, now and then with some bytes changed, cut or added.
    fn mutate(&mut self, good: &[u8]) -> Vec<u8> {
        let mut value = good.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(value.len().max(1));
            match self.below(4) {
                0 => value.truncate(at),
                1 => value.extend(self.bytes(16)),
                2 => value.clear(),
                _ => {
                    if let Some(byte) = value.get_mut(at) {
                        *byte = self.next().to_le_bytes()[0];
                    }
                }
            }
        }
        value
    }

    /// Changes the DER rather than its armour.
    fn mutate_pem(&mut self, good: &Certificate) -> Vec<u8> {
        if self.below(4) == 0 {
            return self.mutate(good.pem.as_bytes());
        }
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut pem = good.pem.clone().into_bytes();
        for _ in 0..=self.below(3) {
            let at = 28 + self.below(pem.len() - 28 - 40);
            if pem[at] != b'\n' {
                pem[at] = alphabet[self.below(alphabet.len())];
            }
        }
        pem
    }
}

fn request(random: &mut Random, good: &Certificate) -> Request {
    let digest = if random.below(8) == 0 {
        random.mutate(good.digest.as_bytes())
    } else {
        format!("{:064x}", random.next()).into_bytes()
    };
    let mut request = Request::default()
        .property("connection.sha256_peer_certificate_digest", digest)
        .property("connection.peer_certificate", random.mutate_pem(good))
        .property("connection.mtls", random.bytes(2));
    for _ in 0..random.below(3) {
        request = request.header(":path", random.mutate(b"/a/%20b/admin?x=y"));
    }
    for _ in 0..random.below(4) {
        let name = String::from_utf8_lossy(&random.bytes(20)).into_owned();
        request = request.header(&name, random.bytes(200));
    }
    request
}

#[test]
fn no_request_traps_the_module() {
    let mut random = Random(0x0063_7265_6465_6e63);
    let good = Leaf::new([uri("spiffe://example.org/a")]).issue();
    let mut vm = Vm::with_config(CONFIG);
    let mut admitted = 0;
    for _ in 0..10_000 {
        vm.script_mut().now = random.next() >> random.below(8);
        let fail = (random.below(4) == 0)
            .then(|| (random.below(8), status::ALL_FAILURES[random.below(14)]));
        vm.script_mut().arm(fail);
        let outcome = vm.request(&request(&mut random, &good));
        admitted += u32::from(outcome.is_admitted());
    }
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
    let counted: i64 = vm.script().counters.values().sum();
    assert!(
        (9_990..=10_000).contains(&counted),
        "{counted}: all but what a failing host kept"
    );
    assert!(admitted < 10_000);
}

#[test]
fn no_configuration_traps_the_module() {
    let mut random = Random(0x0063_6f6e_6669_6721);
    let mut vm = Vm::start();
    for _ in 0..3_000 {
        let json = random.mutate(CONFIG.as_bytes());
        vm.configure(&json);
    }
    assert!(vm.configure(CONFIG));
}
