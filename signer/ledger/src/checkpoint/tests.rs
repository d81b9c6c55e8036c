use super::*;
use crate::chain::OriginError;
use zeroize::Zeroizing;

fn origin() -> Origin {
    Origin::new("example.org", [7; 16]).unwrap()
}

fn signer(seed: u8) -> MemorySigner {
    MemorySigner::new(&Zeroizing::new([seed; 32]))
}

fn key(seed: u8) -> CheckpointKey {
    CheckpointKey::new(origin(), &signer(seed).public_key()).unwrap()
}

fn note() -> Note {
    let checkpoint = Checkpoint {
        origin: origin(),
        head: Head::genesis(&origin()).then(b"a"),
        time: Time::from_unix(1_800_000_000),
    };
    checkpoint.sign(&signer(1)).unwrap()
}

/// The example of golang.org/x/mod/sumdb/note: key, hash and signature as others make them.
#[test]
fn keys_and_signatures_are_those_of_signed_notes() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let peter = CheckpointKey::parse(text).unwrap();
    assert_eq!(peter.text(), text);
    let (name, id, octets) = signature(
        "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
    )
    .unwrap();
    assert_eq!((name.as_str(), id), ("PeterNeumann", peter.id()));
    let text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    peter
        .key
        .verify_strict(text, &Signature::from_bytes(&octets))
        .unwrap();
}

#[test]
fn what_is_written_is_read() {
    let text = note().text();
    let again = Note::parse(&text).unwrap();
    assert_eq!(again, note());
    assert_eq!(again.text(), text);
    assert_eq!(again.verify(&[key(1)]).unwrap(), note().unverified());
    assert_eq!(
        again.verify(&[key(2), key(1)]).unwrap(),
        note().unverified()
    );
    assert_eq!(CheckpointKey::parse(&key(1).text()).unwrap(), key(1));
}

#[test]
fn every_octet_matters() {
    let good = note().text().into_bytes();
    for at in 0..good.len() {
        for bit in [1, 0x20] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            let read = String::from_utf8(bad)
                .ok()
                .and_then(|text| Note::parse(&text).ok());
            if let Some(read) = read {
                assert!(read.verify(&[key(1)]).is_err(), "octet {at}");
            }
        }
    }
}

#[test]
fn other_keys_and_ledgers_are_refused() {
    assert_eq!(note().verify(&[key(2)]), Err(CheckpointError::NotSigned));
    assert_eq!(note().verify(&[]), Err(CheckpointError::NotSigned));
    let other = Origin::new("example.com", [7; 16]).unwrap();
    let other = CheckpointKey::new(other, &signer(1).public_key()).unwrap();
    assert!(matches!(
        note().verify(&[other]),
        Err(CheckpointError::OtherOrigin { .. })
    ));
}

#[test]
fn odd_texts_are_refused() {
    let good = note().text();
    for (from, to) in [
        ("\n1\n", "\n01\n"),
        ("\n1\n", "\n+1\n"),
        ("time ", "time 0"),
        ("time ", "Time "),
        ("=\ntime", "\ntime"),
        ("\n\n", "\n"),
        ("\n\n", "\nmore\n\n"),
        ("\u{2014} ", "- "),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from:?}");
        assert!(Note::parse(&bad).is_err(), "{bad}");
    }
    assert!(Note::parse(&good.repeat(40)).is_err());
    assert!(Note::parse(good.trim_end()).is_err());
}

#[test]
fn keys_that_are_not_are_refused() {
    let good = key(1).text();
    for (bad, why) in [
        (good.replace('+', "-"), KeyError::Form),
        (
            good.replacen("example.org", "example.com", 1),
            KeyError::Hash,
        ),
        ("a+00000000+AQ==".into(), KeyError::Key),
        ("+00000000+AQ==".into(), KeyError::Name(OriginError)),
    ] {
        assert_eq!(CheckpointKey::parse(&bad).unwrap_err(), why, "{bad}");
    }
    assert_eq!(
        CheckpointKey::new(origin(), &[0; 32]).unwrap_err(),
        KeyError::Key
    );
}
