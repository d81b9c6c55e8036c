//! Certificates and requests as PEM (RFC 7468).

use credence_ca::csr::MAX_CSR;
use pem_rfc7468::{Decoder, LineEnding};
use thiserror::Error;

/// The longest PEM that is looked at, in octets: [`MAX_CSR`] in base 64, with line ends and some text around.
pub const LONGEST: usize = MAX_CSR * 2;

/// Why PEM cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PemError {
    /// Longer than [`LONGEST`].
    #[error("{0} octets of PEM; at most {LONGEST} are looked at")]
    TooLong(usize),
    /// Not one block of PEM with nothing but white space after it.
    #[error("it is not PEM: {0}")]
    NotPem(pem_rfc7468::Error),
    /// A label that is not expected here.
    #[error("the PEM's label is '{}', which is not expected here", .0.escape_debug())]
    Label(String),
    /// Too long to be a certificate.
    #[error("a certificate cannot be written as PEM: {0}")]
    Unwritable(pem_rfc7468::Error),
}

/// The octets in one PEM block with one of these labels. Its lines may be of any one length: not every client wraps at 64.
///
/// # Errors
/// If it is too long, is not PEM, has another label, or anything but white space follows.
pub fn request(text: &[u8], labels: &[&str]) -> Result<Vec<u8>, PemError> {
    if text.len() > LONGEST {
        return Err(PemError::TooLong(text.len()));
    }
    let mut decoder = Decoder::new_detect_wrap(text.trim_ascii()).map_err(PemError::NotPem)?;
    let label = decoder.type_label();
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).map_err(PemError::NotPem)?;
    if labels.contains(&label) {
        Ok(der)
    } else {
        Err(PemError::Label(label.chars().take(64).collect()))
    }
}

/// One certificate, with a newline at its end.
///
/// # Errors
/// If it is too long to be one.
pub fn certificate(der: &[u8]) -> Result<String, PemError> {
    pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).map_err(PemError::Unwritable)
}

/// Several, one after the other.
///
/// # Errors
/// As [`certificate`].
pub fn certificates(ders: &[Vec<u8>]) -> Result<String, PemError> {
    ders.iter().map(|der| certificate(der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &[&str] = &["CERTIFICATE REQUEST"];

    fn pem(label: &str, der: &[u8]) -> String {
        pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
    }

    #[test]
    fn reads_back_one_block_with_white_space_around() {
        for der in [&b"x"[..], &[7; 47], &[7; 48], &[7; 49], &[7; 5_000]] {
            let text = format!("\n{}\r\n\n", pem("CERTIFICATE REQUEST", der));
            assert_eq!(request(text.as_bytes(), LABELS).unwrap(), der);
            let crlf = pem("CERTIFICATE REQUEST", der).replace('\n', "\r\n");
            assert_eq!(request(crlf.as_bytes(), LABELS).unwrap(), der);
        }
    }

    #[test]
    fn lines_may_be_of_another_length() {
        let (first, second) = ("A".repeat(76), "B".repeat(40));
        let text = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{first}\n{second}\n-----END CERTIFICATE REQUEST-----\n"
        );
        assert_eq!(request(text.as_bytes(), LABELS).unwrap().len(), 87);
    }

    #[test]
    fn refuses_everything_else() {
        let good = pem("CERTIFICATE REQUEST", b"abc");
        let second = format!("{good}{good}");
        let headless = good.strip_prefix('-').unwrap();
        let cut = good.get(..good.len() - 9).unwrap();
        for bad in ["", "abc", &second, headless, cut] {
            assert!(
                matches!(request(bad.as_bytes(), LABELS), Err(PemError::NotPem(_))),
                "{bad}"
            );
        }
        let long = pem("CERTIFICATE REQUEST", &vec![0; LONGEST]);
        assert_eq!(
            request(long.as_bytes(), LABELS),
            Err(PemError::TooLong(long.len()))
        );
        let other = pem("PRIVATE KEY", b"abc");
        assert_eq!(
            request(other.as_bytes(), LABELS),
            Err(PemError::Label("PRIVATE KEY".into()))
        );
    }
}
