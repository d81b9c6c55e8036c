//! Certificates and revocation lists as PEM (RFC 7468), from a CA that is not believed before its answer was looked at.

use pem_rfc7468::{Decoder, LineEnding};

/// What is between the blocks.
const BEGIN: &str = "-----BEGIN ";

/// Why PEM is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    #[error("block {0} of the PEM cannot be read")]
    NotPem(usize),
    #[error("block {0} of the PEM is not a {1}")]
    Label(usize, &'static str),
    #[error("there are more than {0} blocks of PEM")]
    TooMany(usize),
    #[error("there is something else than PEM")]
    Other,
}

/// A certification request as PEM.
pub(crate) fn request(der: &[u8]) -> Result<String, pem_rfc7468::Error> {
    pem_rfc7468::encode_string("CERTIFICATE REQUEST", LineEnding::LF, der)
}

/// The blocks of a text, all of them with this label, at most so many; DER. Without any, none.
pub(crate) fn blocks(
    text: &str,
    label: &'static str,
    most: usize,
) -> Result<Vec<Vec<u8>>, PemError> {
    let mut parts = text.split(BEGIN);
    if parts.next().is_some_and(|before| !before.trim().is_empty()) {
        return Err(PemError::Other);
    }
    let mut ders = Vec::new();
    for (position, part) in (1..).zip(parts) {
        if position > most {
            return Err(PemError::TooMany(most));
        }
        ders.push(block(part, label, position)?);
    }
    Ok(ders)
}

fn block(part: &str, label: &'static str, position: usize) -> Result<Vec<u8>, PemError> {
    let whole = format!("{BEGIN}{}", part.trim_end());
    let bad = |_| PemError::NotPem(position);
    let mut decoder = Decoder::new_detect_wrap(whole.as_bytes()).map_err(bad)?;
    if decoder.type_label() != label {
        return Err(PemError::Label(position, label));
    }
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).map_err(bad)?;
    Ok(der)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
    }

    #[test]
    fn blocks_come_in_their_order_with_or_without_space_between() {
        let text = ["", "\n\n", "\r\n"].map(|gap| pem("CERTIFICATE", b"one") + gap);
        let text = text.concat() + &pem("CERTIFICATE", b"two");
        let ders = blocks(&text, "CERTIFICATE", 4).unwrap();
        assert_eq!(ders.len(), 4);
        assert_eq!(ders[3], b"two");
        assert_eq!(blocks(" \n", "CERTIFICATE", 4), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_refused() {
        let one = pem("CERTIFICATE", b"one");
        let two = one.repeat(2);
        for (text, why) in [
            (format!("junk{one}"), PemError::Other),
            (format!("{one}junk{one}"), PemError::NotPem(1)),
            (pem("X509 CRL", b"one"), PemError::Label(1, "CERTIFICATE")),
            (two, PemError::TooMany(1)),
        ] {
            let most = if why == PemError::TooMany(1) { 1 } else { 4 };
            assert_eq!(blocks(&text, "CERTIFICATE", most), Err(why), "{text}");
        }
    }

    proptest! {
        /// Whatever comes: what is taken, written again, is taken as the same, and there is never more than was asked for.
        #[test]
        fn what_is_taken_is_pem(
            ders in vec(vec(any::<u8>(), 1..80), 0..4),
            edits in vec((any::<prop::sample::Index>(), "[-A-Za-z0-9+/= \n\\x00]{0,12}"), 0..4),
            most in 0_usize..5,
        ) {
            let encode = |der: &Vec<u8>| {
                pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).unwrap()
            };
            let mut text: String = ders.iter().map(encode).collect();
            for (at, put) in edits {
                text.insert_str(at.index(text.len() + 1), &put);
            }
            if let Ok(taken) = blocks(&text, "CERTIFICATE", most) {
                prop_assert!(taken.len() <= most);
                let again: String = taken.iter().map(encode).collect();
                prop_assert_eq!(blocks(&again, "CERTIFICATE", most), Ok(taken));
            }
        }
    }
}
