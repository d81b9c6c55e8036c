//! `credence log` as it is typed, on the state folder of a `credence dev` that ran, or is running.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::validity::Time;
use credence_ledger::{
    checkpoint::MemorySigner,
    entry::{By, Entry, Event, Issued, Revoked, Subject},
    port::Clock,
    sqlite::{Authority, Ledger, Options, Query, Reader},
};
use credence_sandbox_tests::python;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};
use zeroize::Zeroizing;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CART: &str = "spiffe://example.org/ns/shop/sa/cart";
/// The CA's two certificates, its module, and one certificate for each identity.
const ENTRIES: u64 = 5;

/// A state folder, and who runs on it.
struct World {
    folder: tempfile::TempDir,
    running: Option<(Child, BufReader<ChildStderr>)>,
    /// The checkpoint key, as the CA logs it.
    key: String,
}

impl World {
    /// With a certificate for each of two identities, and still running.
    fn running() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "trust_domain = \"example.org\"\nstate_dir = \"state\"\n\
             [[identities]]\nid = \"{ORDERS}\"\nsocket = \"s\"\n\
             [[identities]]\nid = \"{CART}\"\nsocket = \"t\"\n\
             [[dns_templates]]\npath = \"/ns/{{ns}}/sa/{{sa}}\"\nname = \"{{sa}}.example.org\"\n"
        );
        fs::write(folder.path().join("credence.toml"), text).unwrap();
        let mut world = Self {
            folder,
            running: None,
            key: String::new(),
        };
        world.start(None);
        world.until(|world| world.entries() == ENTRIES);
        world
    }

    /// The same, ended in order.
    fn stopped() -> Self {
        let mut world = Self::running();
        world.stop();
        world
    }

    fn start(&mut self, module: Option<&Path>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_credence"));
        command
            .args(["dev", "--config"])
            .arg(self.folder.path().join("credence.toml"))
            .stderr(Stdio::piped());
        if let Some(module) = module {
            command.arg("--module").arg(module);
        }
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("ready") {
            assert_ne!(log.read_line(&mut seen).unwrap(), 0, "{seen}");
        }
        let (_, rest) = seen.split_once(" key=").unwrap();
        let key = rest.split_whitespace().next().unwrap();
        self.key = key.trim_matches('"').to_owned();
        self.running = Some((child, log));
    }

    fn stop(&mut self) {
        let (mut child, _log) = self.running.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// What the workloads ask for comes by itself.
    #[allow(clippy::disallowed_methods, reason = "a test that waits has a limit")]
    fn until(&self, done: impl Fn(&Self) -> bool) {
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        while !done(self) {
            assert!(std::time::Instant::now() < limit, "it did not happen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn db(&self) -> PathBuf {
        self.state().join("ledger.db")
    }

    fn entries(&self) -> u64 {
        let reader = Reader::open(&self.db()).unwrap();
        reader.head().unwrap().size
    }

    fn issued(&self, identity: &str) -> (u64, Issued) {
        let page = Reader::open(&self.db()).unwrap().list(&Query::default());
        let found = page
            .unwrap()
            .records
            .into_iter()
            .find_map(|record| match record.entry.event {
                Event::Issued(issued) if issued.identity == identity => Some((record.seq, *issued)),
                _ => None,
            });
        found.unwrap()
    }

    /// `credence log WHAT --state STATE MORE`
    fn log(&self, what: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_credence"))
            .args(["log", what, "--state"])
            .arg(self.state())
            .args(more)
            .output()
            .unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// `credence log WHAT --ledger FILE MORE`
fn log_file(what: &str, file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(["log", what, "--ledger"])
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Standard output of what has to succeed.
fn good(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of what has to end with this code.
fn bad(output: &Output, code: i32) -> String {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    told
}

fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a CA's administration would write.
fn append(world: &World, event: impl Into<Event>) {
    let text = fs::read_to_string(world.state().join("ledger.key")).unwrap();
    let mut seed = Zeroizing::new([0; 32]);
    for (octet, at) in seed.iter_mut().zip((0..64).step_by(2)) {
        *octet = u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    }
    let authority = Authority {
        trust_domain: "example.org",
        random: [0; 16],
        signer: Box::new(MemorySigner::new(&seed)),
        former_keys: &[],
        clock: Box::new(Stopped),
    };
    let ledger = Ledger::open(&world.db(), &Options::default(), authority).unwrap();
    let entry = Entry::new(Stopped.wall(), event);
    ledger.append_blocking(vec![entry.into()]).unwrap();
}

/// 2026-01-01T00:00:00Z
struct Stopped;

impl Clock for Stopped {
    fn wall(&self) -> Time {
        Time::from_unix(1_767_225_600)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn what_is_revoked_is_shown_as_revoked() {
    let world = World::stopped();
    let (_, orders) = world.issued(ORDERS);
    let (_, cart) = world.issued(CART);
    for (subject, reason) in [
        (
            Subject::Serial(orders.serial.clone()),
            "key \u{1b}[2Jstolen",
        ),
        (Subject::Identity(CART.into()), "gone"),
    ] {
        let revoked = Revoked {
            subject,
            reason: reason.into(),
            by: By::Uid(7),
            ends: None,
        };
        append(&world, revoked);
    }
    let list = good(&world.log("list", &[]));
    for (identity, state) in [(ORDERS, " revoked "), (CART, " revoked ")] {
        let line = list
            .lines()
            .find(|line| line.ends_with(identity) && line.contains("issued"));
        assert!(line.unwrap().contains(state), "{list}");
    }
    let serial = orders.serial.to_string();
    let about = good(&world.log("list", &["--serial", &serial]));
    assert_eq!(about.lines().count(), 3, "{about}");
    let shown = good(&world.log("show", &[&serial]));
    let escaped = "2026-01-01T00:00:00Z by uid 7, this certificate: key \\u{1b}[2Jstolen (entry 6)";
    assert!(shown.contains(escaped), "{shown}");
    let shown = good(&world.log("show", &[&cart.serial.to_string(), "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["state"], "revoked");
    assert_eq!(shown["revoked"]["subject"]["identity"], CART);
    assert!(!list.contains('\u{1b}'), "{list}");
    good(&world.log("verify", &[]));
}

/// All that reads goes on beside a CA that writes.
#[test]
fn entries_are_listed_while_the_ca_runs() {
    let world = World::running();
    let all = good(&world.log("list", &[]));
    assert_eq!(all.lines().count(), 6, "{all}");
    let (seq, issued) = world.issued(ORDERS);
    let line = all.lines().find(|line| line.contains(ORDERS)).unwrap();
    for part in [
        &*seq.to_string(),
        "issued",
        "live",
        &issued.serial.to_string(),
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let one = good(&world.log("list", &["--identity", ORDERS]));
    assert!(one.contains(ORDERS) && !one.contains(CART), "{one}");
    let one = good(&world.log("list", &["--serial", &issued.serial.to_string()]));
    assert!(one.contains(ORDERS) && !one.contains(CART), "{one}");
    let none = good(&world.log("list", &["--identity", "spiffe://example.org/x"]));
    assert_eq!(none.lines().count(), 1, "{none}");
    let cas = lines_of_json(&good(&world.log("list", &["--kind", "ca-added", "--json"])));
    let roles: Vec<_> = cas.iter().map(|ca| &ca["event"]["role"]).collect();
    assert_eq!(roles, ["issuer", "root"]);
}

#[test]
fn lists_are_narrowed_by_time_and_end() {
    let world = World::stopped();
    let count = |more: &[&str]| {
        let mut all = vec!["--json"];
        all.extend(more);
        lines_of_json(&good(&world.log("list", &all))).len()
    };
    assert_eq!(count(&["--since", "1h"]), 5);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(
        count(&["--since", "2020-01-01", "--until", "2020-01-02T00:00:00Z"]),
        0
    );
    // leaves live for an hour, the CA for longer
    assert_eq!(count(&["--expiring-before", "2h"]), 2);
    assert_eq!(count(&["--expiring-before", "10s"]), 0);
    let past = bad(&world.log("list", &["--expiring-before", "2020-01-01"]), 2);
    assert!(past.contains("not in the future"), "{past}");
    let wrong = bad(&world.log("list", &["--kind", "leaf"]), 2);
    assert!(wrong.contains("ca-added"), "{wrong}");
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let world = World::stopped();
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut more = vec!["--json", "--limit", "2", "--oldest"];
        if let Some(cursor) = &cursor {
            more.extend(["--after", cursor]);
        }
        let output = world.log("list", &more);
        let page = lines_of_json(&good(&output));
        assert!(page.len() <= 2);
        seen.extend(page.iter().map(|line| line["seq"].as_u64().unwrap()));
        let told = text(&output.stderr);
        let Some((_, next)) = told.split_once("--after ") else {
            break;
        };
        cursor = Some(next.trim().to_owned());
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[test]
fn a_certificate_is_shown_with_all_that_it_was_made_of() {
    let world = World::stopped();
    let (seq, issued) = world.issued(CART);
    let serial = issued.serial.to_string();
    let shown = good(&world.log("show", &[&serial]));
    let key = "P-256";
    let csr = credence_ledger::octets::Digest::of(&issued.csr.0).to_string();
    let module = issued.module.to_string();
    for part in [
        CART,
        &serial,
        "live",
        "none, seen by configuration",
        key,
        &csr,
        &module,
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(
        shown.contains("the built-in signing module (entry 3)"),
        "{shown}"
    );
    let (_, chain) = shown.split_once("\nIssued by ").unwrap();
    let (issuer, root) = chain.split_once("\nand that by ").unwrap();
    assert!(issuer.contains(" issuer, until "), "{shown}");
    assert!(root.contains(" root, until "), "{shown}");

    let json: Value =
        serde_json::from_str(&good(&world.log("show", &[&serial, "--json"]))).unwrap();
    assert_eq!(json["identity"], CART);
    assert_eq!(json["request"]["sha256"], csr);
    assert_eq!(json["chain"][1]["role"], "root");
    let by_number = good(&world.log("show", &["--entry", &seq.to_string(), "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&by_number).unwrap(), json);

    let pem = good(&world.log("show", &[&serial, "--pem"]));
    assert_eq!(json["pem"], *pem);
    let file = world.path("c.pem");
    fs::write(&file, pem).unwrap();
    let inspected = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(["cert", "inspect", &file])
        .output()
        .unwrap();
    let inspected = good(&inspected);
    assert!(
        inspected.contains("conforms") && inspected.contains(CART),
        "{inspected}"
    );
}

#[test]
fn what_is_no_certificate_is_shown_too_and_what_is_not_there_is_said() {
    let world = World::stopped();
    let root = good(&world.log("show", &["--entry", "1"]));
    assert!(root.contains("ca-added") && root.contains("root"), "{root}");
    for more in [
        &["5ab7"][..],
        &["--entry", "77"],
        &["--entry", "1", "--pem"],
    ] {
        let told = bad(&world.log("show", more), 1);
        assert!(told.contains("has nothing about"), "{told}");
    }
    bad(&world.log("show", &[]), 2);
    let told = bad(
        &log_file("show", &world.folder.path().join("no.db"), &["5ab7"]),
        4,
    );
    assert!(told.contains("no.db cannot be opened"), "{told}");
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn a_ledger_verifies_while_it_is_written_and_says_what_was_not_checked() {
    let world = World::running();
    let told = good(&world.log("verify", &[]));
    for part in [
        "nothing is wrong",
        "2 certificates as decided, and signed by the issuer's key",
        "2 certificates made again with the same octets, by 1 signing module",
        "it lies beside the ledger",
        "give --checkpoint",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let quick = good(&world.log("verify", &["--no-replay", "--key", &world.key]));
    assert!(
        !quick.contains("made again") && !quick.contains("lies beside"),
        "{quick}"
    );
    assert!(
        quick.contains("not checked:\n") && quick.contains("--no-replay"),
        "{quick}"
    );
    let json: Value = serde_json::from_str(&good(&world.log("verify", &["--json"]))).unwrap();
    assert_eq!((&json["issued"], &json["replayed"]), (&2.into(), &2.into()));
    assert_eq!(json["key_from"], "beside-the-ledger");
}

#[test]
fn a_checkpoint_kept_elsewhere_shows_that_the_end_was_cut_off() {
    let mut world = World::stopped();
    let old = world.path("old.db");
    fs::copy(world.db(), &old).unwrap();
    world.start(None);
    world.until(|world| world.entries() >= ENTRIES + 2);
    world.stop();
    let json: Value = serde_json::from_str(&good(&world.log("verify", &["--json"]))).unwrap();
    let note = world.path("checkpoint");
    fs::write(&note, json["last_checkpoint"].as_str().unwrap()).unwrap();
    let now = good(&world.log("verify", &["--checkpoint", &note]));
    assert!(now.contains("1 checkpoint kept elsewhere"), "{now}");
    let old = Path::new(&old);
    good(&log_file("verify", old, &["--key", &world.key]));
    let cut = bad(
        &log_file("verify", old, &["--key", &world.key, "--checkpoint", &note]),
        9,
    );
    assert!(cut.contains("entry 6: it is missing"), "{cut}");
}

#[test]
fn another_key_is_not_taken() {
    let (world, other) = (World::stopped(), World::stopped());
    let told = bad(&world.log("verify", &["--key", &other.key]), 9);
    assert!(told.contains("the key is that of example.org/"), "{told}");
    let alone = world.path("alone.db");
    fs::copy(world.db(), &alone).unwrap();
    let told = bad(&log_file("verify", Path::new(&alone), &[]), 1);
    assert!(told.contains("--key NAME+HASH+KEY"), "{told}");
    // a key with the right name that signed nothing here
    fs::copy(
        other.state().join("ledger.key"),
        world.state().join("ledger.key"),
    )
    .unwrap();
    let told = bad(&world.log("verify", &[]), 9);
    assert!(
        told.contains("no key that is trusted has signed it"),
        "{told}"
    );
}

/// The second module is not in the program: its octets are in the ledger.
#[test]
fn certificates_are_made_again_by_the_module_that_made_them() {
    let mut world = World::stopped();
    let module = python::module(Path::new(env!("CARGO_TARGET_TMPDIR")));
    world.start(Some(&module));
    world.until(|world| world.entries() == ENTRIES + 3);
    world.stop();
    let told = good(&world.log("verify", &[]));
    let both = "4 certificates made again with the same octets, by 2 signing modules";
    assert!(told.contains(both), "{told}");
    let (_, issued) = world.issued(ORDERS);
    let shown = good(&world.log("show", &[&issued.serial.to_string()]));
    assert!(shown.contains(module.to_str().unwrap()), "{shown}");
    assert!(shown.contains("orders.example.org"), "{shown}");
}

/// One bit of a request, in the middle of the file.
#[test]
fn a_flipped_bit_is_found_and_its_entry_named() {
    let world = World::stopped();
    let (seq, issued) = world.issued(ORDERS);
    let mut octets = fs::read(world.db()).unwrap();
    let csr = &issued.csr.0;
    let at = octets
        .windows(csr.len())
        .position(|part| part == csr)
        .unwrap();
    octets[at + csr.len() / 2] ^= 1;
    fs::write(world.db(), octets).unwrap();
    for more in [&[][..], &["--no-replay"]] {
        let told = bad(&world.log("verify", more), 9);
        assert!(told.contains(&format!("entry {seq}: ")), "{told}");
        assert!(told.contains("were changed"), "{told}");
    }
    let output = world.log("verify", &["--json"]);
    assert_eq!(output.status.code(), Some(9));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["fault"]["seq"], seq);
}

#[test]
fn an_export_has_every_entry() {
    let world = World::running();
    let lines = lines_of_json(&good(&world.log("export", &[])));
    let entries: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "entry")
        .collect();
    assert_eq!(u64::try_from(entries.len()).unwrap(), ENTRIES);
    let file = world.path("export.jsonl");
    good(&world.log("export", &["--to", &file]));
    assert_eq!(lines_of_json(&fs::read_to_string(&file).unwrap()), lines);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = bad(&world.log("export", &["--to", &file]), 1);
    assert!(told.contains("name a new file"), "{told}");
}

#[test]
fn a_ledger_in_use_is_not_archived() {
    let world = World::running();
    let to = world.path("old.db");
    let told = bad(
        &world.log("archive", &["--before", "2099-01-01", "--to", &to]),
        4,
    );
    assert!(told.contains("is written by another daemon"), "{told}");
    assert!(!Path::new(&to).exists());
    assert_eq!(world.entries(), ENTRIES);
}

#[test]
fn old_entries_are_archived_and_both_parts_verify() {
    let mut world = World::stopped();
    let to = world.path("old.db");
    let nothing = bad(&world.log("archive", &["--before", "1h", "--to", &to]), 4);
    assert!(nothing.contains("there is nothing to archive"), "{nothing}");
    let told = good(&world.log("archive", &["--before", "2099-01-01", "--to", &to]));
    assert!(
        told.contains("entries 1 to 5, 2 of them certificates"),
        "{told}"
    );
    let archive = Path::new(&to);
    let verified = good(&log_file("verify", archive, &["--key", &world.key]));
    assert!(verified.contains("2 certificates made again"), "{verified}");
    assert!(verified.contains("an archive of the ledger"), "{verified}");
    // what has not ended stays
    let verified = good(&world.log("verify", &[]));
    assert!(
        verified.contains("4 entries that archives left behind"),
        "{verified}"
    );
    let (_, issued) = world.issued(ORDERS);
    for output in [
        world.log("show", &[&issued.serial.to_string()]),
        log_file("show", archive, &[&issued.serial.to_string()]),
    ] {
        assert!(good(&output).contains(ORDERS));
    }
    let entry = good(&world.log("list", &["--kind", "archived"]));
    assert!(entry.contains("up to 5 in old.db"), "{entry}");
    let archives = bad(
        &log_file("archive", archive, &["--before", "1s", "--to", "x"]),
        1,
    );
    assert!(archives.contains("ledger.key"), "{archives}");
    world.start(None);
    world.stop();
    good(&world.log("verify", &[]));
}

/// Who comes next has to be able to see it, although this command ends in order.
#[test]
fn that_a_ca_died_stays_on_record() {
    let mut world = World::running();
    let (mut child, _log) = world.running.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let to = world.path("old.db");
    // no checkpoint covers its entries, so there is nothing to archive yet
    bad(
        &world.log("archive", &["--before", "2099-01-01", "--to", &to]),
        4,
    );
    let entry = good(&world.log("list", &["--kind", "takeover"]));
    assert!(
        entry.contains("credence log archive after process"),
        "{entry}"
    );
    good(&world.log("archive", &["--before", "2099-01-01", "--to", &to]));
    good(&world.log("verify", &[]));
}

/// In the head of the table's first page, where SQLite itself cannot go on.
#[test]
fn a_file_that_sqlite_cannot_read_is_not_what_was_written() {
    let world = World::stopped();
    let mut octets = fs::read(world.db()).unwrap();
    octets[4096..4104].fill(0xff);
    fs::write(world.db(), octets).unwrap();
    let told = bad(&world.log("verify", &["--key", &world.key]), 9);
    assert!(told.contains("damaged"), "{told}");
    fs::write(
        world.db(),
        b"not a database, and longer than a head of one would be",
    )
    .unwrap();
    let told = bad(&world.log("verify", &["--key", &world.key]), 4);
    assert!(told.contains("is not a ledger"), "{told}");
}
