//! Certificates in PEM files that other people's tools wrote (RFC 7468 §5), with text between them or not.
//!
//! Text outside of the blocks is passed over, as RFC 7468 §2 asks. What looks like a boundary and is none is an error: a
//! certificate must not go missing because of a slip in the line before it.

use pem_rfc7468::Decoder;
use thiserror::Error;

/// The most blocks in a file.
pub const MAX_BLOCKS: usize = 64;

const LABEL: &str = "CERTIFICATE";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Why a file's certificates cannot be read. Never says anything of what is in a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PemError {
    /// Not text.
    #[error("it is not text; certificates have to be PEM")]
    NotText,
    /// A boundary that is none, or that has no counterpart.
    #[error(
        "line {0} looks like the begin or end of a PEM block, but is not a good one in its place"
    )]
    Boundary(usize),
    /// The file ends in a block.
    #[error("the PEM block that begins at line {0} has no end: the file is cut off")]
    CutOff(usize),
    /// Something else than a certificate.
    #[error("line {line} begins '{label}'; only certificates ({LABEL}) belong here")]
    Label {
        /// Where.
        line: usize,
        /// What it says.
        label: String,
    },
    /// A block whose contents are not base64.
    #[error("the PEM block that begins at line {0} is not good base64 in lines of one length")]
    Contents(usize),
    /// Too many.
    #[error("it has more than {MAX_BLOCKS} certificates")]
    TooMany,
    /// Several, where there has to be one.
    #[error("it has {0} certificates, where one belongs")]
    NotOne(usize),
    /// None.
    #[error("it has no certificate (a line {BEGIN}{LABEL}{DASHES})")]
    Empty,
}

/// The certificates of a file, DER, in their order; there is at least one.
///
/// # Errors
/// If there is none, or anything but certificates and text.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let found = any_certificates(text)?;
    if found.is_empty() {
        return Err(PemError::Empty);
    }
    Ok(found)
}

/// The certificates of a file that may have none.
///
/// # Errors
/// If there is anything but certificates and text.
pub fn any_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::NotText)?;
    let mut blocks = Blocks::default();
    for (at, line) in text.lines().enumerate() {
        blocks.line(at + 1, line.trim_end())?;
    }
    blocks.finish()
}

/// What has been read so far.
#[derive(Default)]
struct Blocks {
    /// The block that has begun, with its line.
    open: Option<(usize, String)>,
    found: Vec<Vec<u8>>,
}

impl Blocks {
    fn line(&mut self, number: usize, line: &str) -> Result<(), PemError> {
        if line.starts_with(BEGIN) {
            return self.begin(number, line);
        }
        let Some((_, block)) = &mut self.open else {
            return outside(number, line);
        };
        block.push_str(line);
        block.push('\n');
        if line.starts_with(END) {
            return self.end(number, line);
        }
        inside(number, line)
    }

    fn begin(&mut self, number: usize, line: &str) -> Result<(), PemError> {
        let label = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(DASHES));
        match (label, &self.open) {
            (Some(LABEL), None) => {
                self.open = Some((number, format!("{line}\n")));
                Ok(())
            }
            (Some(label), None) => Err(PemError::Label {
                line: number,
                label: label.escape_debug().take(64).collect(),
            }),
            (_, Some(_)) | (None, _) => Err(PemError::Boundary(number)),
        }
    }

    fn end(&mut self, number: usize, line: &str) -> Result<(), PemError> {
        if line != format!("{END}{LABEL}{DASHES}") {
            return Err(PemError::Boundary(number));
        }
        let (begin, block) = self.open.take().ok_or(PemError::Boundary(number))?;
        if self.found.len() == MAX_BLOCKS {
            return Err(PemError::TooMany);
        }
        self.found
            .push(decode(&block).ok_or(PemError::Contents(begin))?);
        Ok(())
    }

    fn finish(self) -> Result<Vec<Vec<u8>>, PemError> {
        match self.open {
            Some((begin, _)) => Err(PemError::CutOff(begin)),
            None => Ok(self.found),
        }
    }
}

fn outside(number: usize, line: &str) -> Result<(), PemError> {
    let looks_like_one = line.contains("--") && (line.contains("BEGIN") || line.contains("END "));
    if looks_like_one {
        Err(PemError::Boundary(number))
    } else {
        Ok(())
    }
}

fn inside(number: usize, line: &str) -> Result<(), PemError> {
    if line.contains("--") {
        Err(PemError::Boundary(number))
    } else {
        Ok(())
    }
}

fn decode(block: &str) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new_detect_wrap(block.as_bytes()).ok()?;
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).ok()?;
    (!der.is_empty()).then_some(der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pem_rfc7468::{LineEnding, encode_string};

    fn block(der: &[u8]) -> String {
        encode_string(LABEL, LineEnding::LF, der).unwrap()
    }

    #[test]
    fn blocks_are_read_with_text_around_and_any_line_ends() {
        let (one, two) = (vec![7; 100], vec![8; 48]);
        let text = format!("subject=CN = a\n{}\n# next\n{}\n", block(&one), block(&two));
        let expected = [one, two];
        assert_eq!(certificates(text.as_bytes()).unwrap(), expected);
        let dos = text.replace('\n', "\r\n");
        assert_eq!(certificates(dos.as_bytes()).unwrap(), expected);
        let unended = text.trim_end();
        assert_eq!(certificates(unended.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_not_a_certificate_is_named() {
        let good = block(&[7; 100]);
        let key = good.replace(LABEL, "PRIVATE KEY");
        for (text, why) in [
            (String::new(), PemError::Empty),
            ("no certificate\n".into(), PemError::Empty),
            (
                format!("{good}{key}"),
                PemError::Label {
                    line: 6,
                    label: "PRIVATE KEY".into(),
                },
            ),
            (
                good.replacen("-----BEGIN", "----BEGIN", 1),
                PemError::Boundary(1),
            ),
            (format!("\u{feff}{good}"), PemError::Boundary(1)),
            (format!(" {good}"), PemError::Boundary(1)),
            (
                good.replace("CERTIFICATE-----\nB", "CERTIFICATE----\nB"),
                PemError::Boundary(1),
            ),
            (
                good.replace("END CERTIFICATE", "END X"),
                PemError::Boundary(5),
            ),
            (good.split_at(80).0.into(), PemError::CutOff(1)),
            (
                format!("{}{good}", good.split_at(93).0),
                PemError::Boundary(3),
            ),
            (good.replace('w', "!"), PemError::Contents(1)),
            (good.repeat(MAX_BLOCKS + 1), PemError::TooMany),
        ] {
            assert_eq!(certificates(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(certificates(&[0xff, 0xfe]), Err(PemError::NotText));
        assert_eq!(any_certificates(b"\n"), Ok(vec![]));
    }

    #[test]
    fn a_message_has_nothing_of_a_key() {
        let secret = "c2VzYW1lc2VzYW1l";
        let text = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
        let why = certificates(text.as_bytes()).unwrap_err().to_string();
        assert!(!why.contains(secret), "{why}");
    }
}
