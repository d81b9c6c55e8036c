//! `inspect`: what a certificate says.

use crate::{failure::Failure, folder};
use credence_ca::{hex, key::PublicKey};
use std::{fmt::Write as _, path::Path};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

/// All certificates of a PEM file.
pub(crate) fn inspect(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    for (at, der) in folder::blocks(path, "CERTIFICATE")?.iter().enumerate() {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|e| Failure::file(path, &e))?;
        if at > 0 {
            text.push('\n');
        }
        for (name, value) in lines(&certificate) {
            // a String takes everything
            let _ = writeln!(text, "{name:<11} {}", printable(&value));
        }
    }
    Ok(text)
}

/// A certificate is a stranger's text.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn lines(certificate: &X509Certificate<'_>) -> Vec<(&'static str, String)> {
    let or_none = |text: String| match text.as_str() {
        "" => "(none)".into(),
        _ => text,
    };
    let key = match PublicKey::from_spki(certificate.public_key().raw) {
        Ok(key) => key.kind().to_string(),
        Err(e) => e.to_string(),
    };
    let validity = certificate.validity();
    let mut list = vec![
        ("subject", or_none(certificate.subject().to_string())),
        ("issuer", or_none(certificate.issuer().to_string())),
        ("serial", hex(certificate.raw_serial())),
        ("not before", validity.not_before.to_string()),
        ("not after", validity.not_after.to_string()),
        ("key", key),
    ];
    for extension in certificate.extensions() {
        let critical = if extension.critical {
            " (critical)"
        } else {
            ""
        };
        let (name, value) = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => {
                let names: Vec<_> = san.general_names.iter().map(general_name).collect();
                ("names", names.join(", "))
            }
            ParsedExtension::BasicConstraints(constraints) => (
                "ca",
                match (constraints.ca, constraints.path_len_constraint) {
                    (false, _) => "no".into(),
                    (true, None) => "yes".into(),
                    (true, Some(length)) => format!("yes, with {length} CAs below it"),
                },
            ),
            ParsedExtension::KeyUsage(usage) => ("key usage", usage.to_string()),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let purposes = [(usage.server_auth, "server"), (usage.client_auth, "client")];
                let purposes: Vec<_> = purposes.iter().filter(|p| p.0).map(|p| p.1).collect();
                ("purposes", purposes.join(", "))
            }
            ParsedExtension::SubjectKeyIdentifier(id) => ("key id", hex(id.0)),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                let id = id.key_identifier.as_ref().map(|id| hex(id.0));
                ("issuer key", or_none(id.unwrap_or_default()))
            }
            _ => ("extension", extension.oid.to_id_string()),
        };
        list.push((name, format!("{value}{critical}")));
    }
    list
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::URI(uri) => (*uri).to_owned(),
        GeneralName::DNSName(dns) => format!("dns:{dns}"),
        other => format!("{other:?}"),
    }
}
