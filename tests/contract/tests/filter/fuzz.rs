//! No input of a request can trap the shipped module: thousands of random ones, from a fixed seed.

use credence_contract::{
    Action, Connection, Downstream, Request, Root, SharedData, Trap, Vm, status,
};

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
        if random.below(16) == 0 {
            vm.try_tick().unwrap();
        }
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
    vm.script_mut().arm(None);
    vm.tick();
    let decided = |(name, _): &(&String, &i64)| name.starts_with("credence.requests_total");
    let counters = vm.script().counters.iter().filter(decided);
    let counted: i64 = counters.map(|(_, count)| count).sum();
    assert_eq!(counted, 10_000, "a failing host only delays a count");
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

const TCP: &str = r#"{"role": "tcp", "policy": {
    "trustDomains": ["example.org"],
    "rules": [{"name": "allow", "principals": ["spiffe://example.org/a"]}]
}}"#;
const COMPANION: &str = r#"{"role": "tcp", "companion": true}"#;
const OUTBOUND: &str = r#"{"role": "outbound", "policy": {
    "trustDomains": ["example.org"], "rules": [],
    "servers": [{"name": "b", "hosts": ["b.example"], "principals": ["spiffe://example.org/b"]}],
    "defaultServerAction": "ALLOW"
}}"#;

/// One VM with connections and requests that come, go and overlap.
struct Traffic {
    vm: Vm,
    http: Option<Root>,
    network: Root,
    open: Vec<Open>,
    next: u64,
}

#[derive(Clone, Copy)]
struct Open {
    connection: Connection,
    number: u64,
    /// Whether it showed a certificate yet, and whether that was the good one.
    showed_good: Option<bool>,
}

impl Traffic {
    fn new(config: &str, http: Option<&str>) -> Self {
        let roles = ["inbound", "tcp", "companion"];
        let mut vm = Vm::playing(&roles, SharedData::default());
        let network = vm.accept(config);
        let http = http.map(|json| vm.accept(json));
        Self {
            vm,
            http,
            network,
            open: Vec::new(),
            next: 1,
        }
    }

    /// Something happens; who has no good certificate gets no byte through a network role that decides.
    fn step(&mut self, random: &mut Random, [good, stranger]: [&Certificate; 2]) {
        let fail = (random.below(6) == 0)
            .then(|| (random.below(10), status::ALL_FAILURES[random.below(14)]));
        self.vm.script_mut().arm(fail);
        let at = random.below(self.open.len().max(1));
        match (random.below(8), self.open.get_mut(at).copied()) {
            (0 | 1, _) => self.connect(random),
            (2, Some(open)) if open.showed_good.is_none() => {
                let is_good = random.below(2) == 0;
                let peer = match is_good {
                    true => Downstream::default().peer(&good.digest, &good.pem),
                    false => Downstream::default().peer(
                        &format!("{:064x}", random.next()),
                        random.mutate_pem(stranger),
                    ),
                };
                self.vm.present(open.connection, &peer);
                self.open[at].showed_good = Some(is_good);
            }
            (3, Some(open)) => self.sends(open, Vm::peer_sends),
            (4, Some(open)) => self.sends(open, Vm::server_sends),
            (5, Some(open)) => {
                self.open.remove(at);
                self.vm.disconnect(open.connection);
            }
            (6, Some(open)) => {
                if let Some(http) = self.http {
                    let request = request(random, good).on(open.number);
                    self.vm.try_request_of(http, &request).unwrap();
                }
            }
            _ => self.vm.try_tick().unwrap(),
        }
        let vm = &self.vm;
        self.open.retain(|open| vm.is_open(open.connection));
    }

    fn connect(&mut self, random: &mut Random) {
        let mut downstream = Downstream::new(self.next);
        for property in ["connection.id", "source.address"] {
            if random.below(8) == 0 {
                downstream = downstream.property(property, random.bytes(12));
            }
        }
        let (connection, action) = self.vm.try_connect(self.network, &downstream).unwrap();
        assert_eq!(action, Action::Continue);
        self.open.push(Open {
            connection,
            number: self.next,
            showed_good: None,
        });
        self.next += 1;
    }

    fn sends(&mut self, open: Open, send: fn(&mut Vm, Connection) -> Result<Action, Trap>) {
        let action = send(&mut self.vm, open.connection).unwrap();
        if self.http.is_none() && open.showed_good != Some(true) {
            assert_eq!(action, Action::Pause);
        }
    }
}

#[test]
fn no_order_of_events_traps_the_module() {
    let mut random = Random(0x006e_6574_776f_726b);
    let [good, stranger] = ["a", "stranger"]
        .map(|name| Leaf::new([uri(&format!("spiffe://example.org/{name}"))]).issue());
    for (config, http) in [(TCP, None), (COMPANION, Some(CONFIG))] {
        let mut traffic = Traffic::new(config, http);
        traffic.vm.script_mut().closes_at_once = http.is_some();
        for _ in 0..6_000 {
            traffic.step(&mut random, [&good, &stranger]);
        }
        // An hour later every certificate has ended, and the host works again.
        traffic.vm.script_mut().arm(None);
        traffic.vm.script_mut().now += 3_600_000_000_000;
        traffic.vm.ticks(12);
        let still = |open: &&Open| traffic.vm.is_open(open.connection);
        let mut left = traffic.open.iter().filter(still);
        if http.is_none() {
            assert!(left.all(|open| open.showed_good != Some(true)));
        }
    }
}

#[test]
fn no_request_that_goes_out_traps_the_module() {
    let mut random = Random(0x006f_7574_626f_756e);
    let good = Leaf::new([uri("spiffe://example.org/b")]).issue();
    let mut vm = Vm::with_config(OUTBOUND);
    for _ in 0..4_000 {
        if random.below(16) == 0 {
            vm.try_tick().unwrap();
        }
        let fail = (random.below(4) == 0)
            .then(|| (random.below(10), status::ALL_FAILURES[random.below(14)]));
        vm.script_mut().arm(fail);
        let digest = format!("{:064x}", random.below(64));
        let by = random.mutate_pem(&good);
        let request = request(&mut random, &good)
            .header(":authority", random.mutate(b"b.example"))
            .property("xds.route_name", random.bytes(20))
            .answered_by(&digest, by)
            .answered_with("response.code_details", random.mutate(b"via_upstream"));
        vm.try_request(&request).unwrap();
    }
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
}
