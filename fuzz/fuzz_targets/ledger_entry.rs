//! Entries of the ledger: what is read is written again as the same octets, and what is written is
//! read as the same entry; what is kept beside an entry follows from it alone.
#![no_main]

use credence_ca::{serial::Serial, validity::Time};
use credence_ledger::{
    entry::{Admin, Asker, By, Entry, Event, Issued, Refused, Revoked, Subject, TokenMade},
    octets::Digest,
    projection::Projection,
};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use std::collections::BTreeMap;

#[derive(Debug, Arbitrary)]
enum Input {
    /// Whatever the fuzzer likes.
    Octets(Vec<u8>),
    /// A good entry with some octets changed, so that the fuzzer starts inside the format.
    Changed(Fields, u64, Vec<(u16, u8)>),
}

#[derive(Debug, Arbitrary)]
struct Fields {
    kind: u8,
    text: String,
    more: Option<String>,
    map: BTreeMap<String, String>,
    list: Vec<String>,
    octets: Vec<u8>,
    digest: [u8; 32],
    serial: [u8; 16],
    number: u32,
    time: u64,
}

fuzz_target!(|input: Input| {
    match input {
        Input::Octets(octets) => read(&octets),
        Input::Changed(fields, time, changes) => {
            let entry = Entry::new(Time::from_unix(time), fields.event());
            let mut octets = entry.encode();
            assert_eq!(octets, entry.encode(), "one form");
            if octets.len() <= credence_ledger::entry::LONGEST {
                let again = Entry::decode(&octets).expect("what is written is read");
                assert_eq!(again, entry);
                assert_eq!(Projection::of(&again), Projection::of(&entry));
            }
            for (place, value) in changes {
                let place = usize::from(place) % octets.len();
                octets[place] ^= value;
            }
            read(&octets);
        }
    }
});

fn read(octets: &[u8]) {
    if let Ok(entry) = Entry::decode(octets) {
        assert_eq!(entry.encode(), octets, "nothing is lost");
        assert!(Projection::of(&entry).keys.len() <= 2);
    }
}

impl Fields {
    fn event(self) -> Event {
        let time = Time::from_unix(self.time);
        let serial = Serial::from_random(self.serial);
        let asker = Asker {
            frontend: self.text.clone(),
            claims: self.map.clone(),
            peer: self.more.clone(),
            ..Asker::default()
        };
        match self.kind % 5 {
            0 => Issued {
                asker,
                csr: self.octets.clone().into(),
                identity: self.text,
                profile: String::new(),
                permitted_dns_names: self.list,
                subject: None,
                not_before: time,
                not_after: time,
                serial,
                issuer: self.more.map(|_| Digest(self.digest)),
                module: Digest(self.digest),
                tbs: self.octets.into(),
                signature: Vec::new().into(),
                lineage_start: time,
                bundle: None,
            }
            .into(),
            1 => Refused {
                asker,
                identity: self.more,
                reason: self.text,
                detail: String::new(),
                csr: Some(self.octets.into()),
                profile: None,
            }
            .into(),
            2 => Revoked {
                subject: match self.more {
                    Some(identity) => Subject::Identity(identity),
                    None => Subject::Serial(serial),
                },
                reason: self.text,
                by: By::Uid(self.number),
                ends: self.list.is_empty().then_some(time),
            }
            .into(),
            3 => TokenMade {
                token: Digest(self.digest),
                identity: self.text,
                expires: time,
                by: By::Itself,
            }
            .into(),
            _ => Admin {
                uid: self.number,
                command: self.text,
                arguments: self.map,
                outcome: String::new(),
            }
            .into(),
        }
    }
}
