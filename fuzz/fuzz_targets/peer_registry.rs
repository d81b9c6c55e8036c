//! Whatever a registry of processes is: it is refused with a reason, or has no two entries for the same processes, so that it is
//! none any more when it stands there twice. Entries that are written out are read as they were.
#![no_main]

use credence_attest::peer::{Conditions, ContainerId, Entry, PodUid, Registry, Unit};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use spiffe::SpiffeId;

#[derive(Debug, Arbitrary)]
struct Written {
    uid: Option<u32>,
    unit: Option<u16>,
    container: Option<[u8; 32]>,
    pod: Option<[u8; 16]>,
    gid: Option<u32>,
    executable: Option<String>,
    sha256: Option<[u8; 32]>,
    name: u16,
}

impl Written {
    fn entry(&self) -> Entry {
        let (container, pod) = (
            self.container.map(|id| hex(&id)),
            self.pod.map(|uid| hex(&uid)),
        );
        Entry {
            conditions: Conditions {
                uid: self.uid,
                unit: self
                    .unit
                    .map(|number| Unit::new(&unit(number)).expect("a unit")),
                container: container.map(|digits| ContainerId::new(&digits).expect("an ID")),
                pod: pod.map(|digits| PodUid::new(&digits).expect("a UID")),
                gid: self.gid,
                executable: self.executable.as_ref().map(Into::into),
                sha256: self.sha256,
            },
            identity: SpiffeId::new(self.identity()).expect("a SPIFFE ID"),
        }
    }

    fn identity(&self) -> String {
        format!("spiffe://example.org/{}", self.name)
    }

    /// JSON's strings are TOML's, but for DEL and what lies beyond 16 bits, which JSON does not escape.
    fn toml(&self) -> String {
        let mut text = format!("[[entries]]\nidentity = \"{}\"\n", self.identity());
        let mut number = |name, value: Option<u32>| {
            if let Some(value) = value {
                text.push_str(&format!("{name} = {value}\n"));
            }
        };
        number("uid", self.uid);
        number("gid", self.gid);
        let mut word = |name, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!("{name} = '{value}'\n"));
            }
        };
        word("unit", self.unit.map(unit));
        word("container", self.container.map(|id| hex(&id)));
        word("pod", self.pod.map(|uid| hex(&uid)));
        word("sha256", self.sha256.map(|octets| hex(&octets)));
        if let Some(path) = &self.executable {
            let quoted = serde_json::to_string(path).expect("JSON");
            let quoted = quoted.replace('\u{7f}', "\\u007f");
            text.push_str(&format!("executable = {quoted}\n"));
        }
        text
    }
}

fn unit(number: u16) -> String {
    format!("app@a\\x2d{number}.service")
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn check(text: &str) {
    match Registry::parse(text.as_bytes()) {
        Ok(registry) if registry == Registry::default() => {}
        Ok(_) => assert!(Registry::parse(format!("{text}\n{text}").as_bytes()).is_err()),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

fuzz_target!(|input: (&str, Vec<Written>)| {
    let (text, written) = input;
    check(text);
    let whole: String = written.iter().map(Written::toml).collect();
    check(&whole);
    check(&format!("{whole}{text}"));
    let entries = written.iter().map(Written::entry).collect();
    assert_eq!(
        Registry::parse(whole.as_bytes()).ok(),
        Registry::new(entries).ok()
    );
});
