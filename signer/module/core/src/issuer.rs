//! The issuer's certificate: its name, octet by octet, and its key identifier.
//!
//! Only those two are looked for: the host has read the certificate as strictly as it is to be read, and the
//! guard derives both anew. A parser that reads all of it costs as much as the rest of a proposal.

use crate::{
    Rejection,
    der::{SEQUENCE, element, only, tagged},
};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
/// version, `[0]`
const VERSION: u8 = 0xa0;
/// extensions, `[3]`
const EXTENSIONS: u8 = 0xa3;
/// The OBJECT IDENTIFIER 2.5.29.14, whole
const SUBJECT_KEY_ID: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x0e];

/// What a certificate repeats of its issuer's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Issuer<'a> {
    /// The subject, a DER Name, as it stands there: written anew it might differ in a string
    /// type, and the chain would break.
    pub(crate) name: &'a [u8],
    pub(crate) key_id: &'a [u8],
}

/// Reads the issuer's certificate, to its last octet.
pub(crate) fn read(der: &[u8]) -> Result<Issuer<'_>, Rejection> {
    let unsupported = |what: &str| Rejection::UnsupportedIssuer(what.to_owned());
    let (name, extensions) = name_and_extensions(der)
        .ok_or_else(|| unsupported("it is not the DER of a certificate of version 3"))?;
    let key_id =
        key_id(extensions).ok_or_else(|| unsupported("it has no subject key identifier"))?;
    Ok(Issuer { name, key_id })
}

/// RFC 5280 §4.1: the subject, whole, and what is in the extensions.
fn name_and_extensions(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tbs, rest) = tagged(only(der, SEQUENCE)?, SEQUENCE)?;
    let (_algorithm, rest) = tagged(rest, SEQUENCE)?;
    only(rest, BIT_STRING)?;
    let (_version, rest) = tagged(tbs, VERSION)?;
    let (_serial, rest) = tagged(rest, INTEGER)?;
    let (_algorithm, rest) = tagged(rest, SEQUENCE)?;
    let (_issuer, rest) = tagged(rest, SEQUENCE)?;
    let (_validity, rest) = tagged(rest, SEQUENCE)?;
    let (name, _) = element(rest)?;
    let (_name, rest) = tagged(rest, SEQUENCE)?;
    let (_key, rest) = tagged(rest, SEQUENCE)?;
    Some((name, only(only(rest, EXTENSIONS)?, SEQUENCE)?))
}

/// RFC 5280 §4.2.1.2
fn key_id(mut extensions: &[u8]) -> Option<&[u8]> {
    while let Some((extension, rest)) = tagged(extensions, SEQUENCE) {
        if let Some(value) = extension.strip_prefix(SUBJECT_KEY_ID) {
            // not critical, as the default is: nothing stands between
            return only(only(value, OCTET_STRING)?, OCTET_STRING);
        }
        extensions = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_ca::certificate::CaCertificate;

    /// A root made by OpenSSL: `O=example.org, CN=Credence issuer abcd`, P-256, five extensions.
    const CERTIFICATE: &str = "\
        308201f330820198a0030201020214691cb77575716464a7d953f1879d60d3c2bdd6eb300a06082a8648ce3d040302303531\
        143012060355040a0c0b6578616d706c652e6f7267311d301b06035504030c1443726564656e636520697373756572206162\
        6364301e170d3236313132313134353934355a170d3236313232313134353934355a303531143012060355040a0c0b657861\
        6d706c652e6f7267311d301b06035504030c1443726564656e63652069737375657220616263643059301306072a8648ce3d\
        020106082a8648ce3d03010703420004392eb5d08eec935456d5b6750525906638bc83c3ea990976d912275cf8c27c244265\
        6d92ae4b5ace51a9e2a72a2c277705b362f454edd38bb4f827256268ac0da38185308182301d0603551d0e04160414170edb\
        a434904247faaedbe7e7f2ef7ea3c79fb4301f0603551d23041830168014170edba434904247faaedbe7e7f2ef7ea3c79fb4\
        300f0603551d130101ff040530030101ff301f0603551d110418301686147370696666653a2f2f6578616d706c652e6f7267\
        300e0603551d0f0101ff040403020106300a06082a8648ce3d04030203490030460221009a2bf7f8cece2b311442558a394a\
        4999fe0937a05a4eef0cb1202ffbae64c6b902210088e5f55527d5b9b2e48f596476a3b2fdf9250d3a247f2d02f4f7eed7c7\
        450dad\
        ";

    fn certificate() -> Vec<u8> {
        let digits = CERTIFICATE.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    /// By the host's reader, which reads all of it.
    fn by_the_host(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let certificate = CaCertificate::from_der(der).ok()?;
        Some((certificate.name().to_vec(), certificate.key_id().to_vec()))
    }

    fn by_us(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let issuer = read(der).ok()?;
        Some((issuer.name.to_vec(), issuer.key_id.to_vec()))
    }

    #[test]
    fn finds_what_the_host_finds() {
        let found = by_us(&certificate()).unwrap();
        assert_eq!(found.1.len(), 20);
        assert_eq!(Some(found), by_the_host(&certificate()));
    }

    /// Every octet changed to every other value: what the host takes as an issuer is read the same here.
    #[test]
    fn never_disagrees_with_the_host() {
        let mut certificate = certificate();
        let mut taken = 0;
        for at in 0..certificate.len() {
            let good = certificate[at];
            for bad in 0..=255 {
                certificate[at] = bad;
                if let Some(found) = by_the_host(&certificate) {
                    assert_eq!(by_us(&certificate), Some(found), "octet {at} is {bad:#04x}");
                    taken += 1;
                }
            }
            certificate[at] = good;
        }
        assert!(taken > 10_000, "{taken}");
    }

    #[test]
    fn a_certificate_cut_short_or_continued_is_refused() {
        let mut certificate = certificate();
        for length in 0..certificate.len() {
            assert!(read(&certificate[..length]).is_err(), "{length}");
        }
        certificate.push(0);
        assert!(read(&certificate).is_err());
    }

    #[test]
    fn without_a_key_identifier_it_is_said_so() {
        let mut certificate = certificate();
        let at = certificate.windows(5).position(|w| w == SUBJECT_KEY_ID);
        certificate[at.unwrap() + 4] = 0x7f;
        let error = read(&certificate).unwrap_err().to_string();
        assert!(error.contains("no subject key identifier"), "{error}");
    }
}
