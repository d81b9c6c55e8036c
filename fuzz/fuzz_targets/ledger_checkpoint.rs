//! Checkpoints: what is read is written again as the same text, with the same meaning; and none
//! that the fuzzer makes is signed by a key that it does not have.
#![no_main]

use credence_ca::validity::Time;
use credence_ledger::{
    chain::{Head, Origin},
    checkpoint::{Checkpoint, CheckpointKey, CheckpointSigner, MemorySigner, Note},
    octets::Digest,
};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};
use std::sync::LazyLock;

#[derive(Debug, Arbitrary)]
enum Input {
    Text(String),
    /// A good note with some octets changed.
    Changed(Vec<(u16, u8)>),
    Key(String),
}

static GOOD: LazyLock<(String, CheckpointKey)> = LazyLock::new(|| {
    let signer = MemorySigner::new(&[7; 32].into());
    let origin = Origin::new("example.org", [1; 16]).expect("an origin");
    let key = CheckpointKey::new(origin.clone(), &signer.public_key()).expect("a key");
    let checkpoint = Checkpoint {
        head: Head {
            size: 5,
            hash: Digest([3; 32]),
        },
        origin,
        time: Time::from_unix(1_800_000_000),
    };
    (checkpoint.sign(&signer).expect("signs").text(), key)
});

fuzz_target!(|input: Input| {
    match input {
        Input::Text(text) => read(&text),
        Input::Changed(changes) => {
            let mut octets = GOOD.0.clone().into_bytes();
            for (place, value) in changes {
                let place = usize::from(place) % octets.len();
                octets[place] ^= value;
            }
            if let Ok(text) = String::from_utf8(octets) {
                read(&text);
            }
        }
        Input::Key(text) => {
            if let Ok(key) = CheckpointKey::parse(&text) {
                assert_eq!(key.text(), text.trim());
            }
        }
    }
});

fn read(text: &str) {
    let Ok(note) = Note::parse(text) else {
        return;
    };
    assert_eq!(note.text(), text, "one text for one note");
    let checkpoint = note.unverified();
    assert!(text.starts_with(&checkpoint.text()));
    if note.verify(std::slice::from_ref(&GOOD.1)).is_ok() {
        assert!(text.starts_with(GOOD.0.split_inclusive("\n\n").next().expect("a part")));
    }
}
