//! What the server and the client of this example share.

use anyhow::{Context as _, Result, ensure};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The service, as `mirror.proto` has it.
#[allow(missing_docs, reason = "generated")]
pub mod mirror {
    tonic::include_proto!("mirror");
}

/// What a certificate says of whoever showed it. TLS has verified it; nothing is verified here.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its SPIFFE ID.
    pub id: String,
    /// Its certificate's serial number, in hex.
    pub serial: String,
    /// Whether its certificate is still valid.
    pub is_valid: bool,
}

impl Peer {
    /// Reads a certificate.
    ///
    /// # Errors
    /// If it is none, or has not exactly one URI (X509-SVID §2).
    pub fn read(certificate: &[u8]) -> Result<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate)?;
        let names = certificate.subject_alternative_name()?;
        let names = names.context("a certificate without names")?;
        let mut ids = names.value.general_names.iter().filter_map(uri);
        let id = ids.next().context("a certificate without a URI")?;
        ensure!(ids.next().is_none(), "a certificate with two URIs");
        Ok(Self {
            id: id.to_owned(),
            serial: certificate.raw_serial_as_string(),
            is_valid: certificate.validity().is_valid(),
        })
    }
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}
