//! One certificate in a few lines.

use credence_ca::{hex, validity::Time};
use serde::Serialize;
use sha2::{Digest, Sha256};
use spiffe::SpiffeId;
use std::{fmt, time::Duration};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
    public_key::PublicKey,
};

/// What a certificate says.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    subject: String,
    issuer: String,
    serial: String,
    uris: Vec<String>,
    other_names: Vec<String>,
    not_before: String,
    not_after: String,
    /// valid, not yet valid, ended; and by how long
    state: String,
    key: String,
    signature: String,
    ca: bool,
    key_usage: Option<String>,
    extended_key_usage: Vec<String>,
    subject_key_id: Option<String>,
    authority_key_id: Option<String>,
    sha256: String,
    /// What keeps it from being an X.509-SVID or an SVID's issuer; empty if nothing does.
    not_an_svid_because: Vec<String>,
}

impl Summary {
    /// Reads a DER certificate.
    pub(crate) fn of(der: &[u8], now: Time) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} octets follow it", rest.len()));
        }
        let (uris, other_names) = names(&certificate);
        let (subject_key_id, authority_key_id) = key_ids(&certificate);
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.raw_serial()),
            not_an_svid_because: objections(&certificate, &uris),
            uris,
            other_names,
            not_before: start(&certificate).to_string(),
            not_after: end(&certificate).to_string(),
            state: state(start(&certificate), end(&certificate), now),
            key: key(&certificate),
            signature: algorithm_name(&certificate.signature_algorithm.algorithm.to_id_string()),
            ca: certificate.is_ca(),
            key_usage: usage(&certificate),
            extended_key_usage: extended_usage(&certificate),
            subject_key_id,
            authority_key_id,
            sha256: hex(&Sha256::digest(der)),
        })
    }
}

fn start(certificate: &X509Certificate<'_>) -> Time {
    time(certificate.validity().not_before.timestamp())
}

fn end(certificate: &X509Certificate<'_>) -> Time {
    time(certificate.validity().not_after.timestamp())
}

fn time(seconds: i64) -> Time {
    Time::from_unix(u64::try_from(seconds).unwrap_or(0))
}

fn state(start: Time, end: Time, now: Time) -> String {
    if now < start {
        format!("not yet valid, begins in {}", text(start.since(now)))
    } else if now > end {
        format!("ended {} ago", text(now.since(end)))
    } else {
        format!("valid, {} left", text(end.since(now)))
    }
}

/// Two units are enough for a person.
fn text(duration: Duration) -> String {
    let whole = humantime::format_duration(duration).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut uris, mut others) = (Vec::new(), Vec::new());
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() {
            for name in &san.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    other => others.push(other.to_string()),
                }
            }
        }
    }
    (uris, others)
}

fn key_ids(certificate: &X509Certificate<'_>) -> (Option<String>, Option<String>) {
    let (mut subject, mut authority) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(hex(id.0)),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority = id.key_identifier.as_ref().map(|id| hex(id.0));
            }
            _ => {}
        }
    }
    (subject, authority)
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let name = algorithm_name(&key.algorithm.algorithm.to_id_string());
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA, {} bits", rsa.key_size()),
        Ok(PublicKey::EC(_)) => curve(certificate).unwrap_or(name),
        _ => name,
    }
}

fn curve(certificate: &X509Certificate<'_>) -> Option<String> {
    let parameters = certificate.public_key().algorithm.parameters.as_ref()?;
    let curve = parameters.as_oid().ok()?.to_id_string();
    Some(match curve.as_str() {
        "1.2.840.10045.3.1.7" => "P-256".into(),
        "1.3.132.0.34" => "P-384".into(),
        "1.3.132.0.35" => "P-521".into(),
        other => format!("elliptic curve {other}"),
    })
}

fn algorithm_name(oid: &str) -> String {
    match oid {
        "1.2.840.10045.2.1" => "elliptic curve",
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256",
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384",
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.11" => "RSA with SHA-256",
        "1.3.101.112" => "Ed25519",
        other => other,
    }
    .to_owned()
}

fn usage(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate
        .key_usage()
        .ok()
        .flatten()
        .map(|usage| usage.value.to_string())
}

fn extended_usage(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return Vec::new();
    };
    let usage = usage.value;
    let named = [
        (usage.any, "any"),
        (usage.server_auth, "server"),
        (usage.client_auth, "client"),
        (usage.code_signing, "code signing"),
        (usage.email_protection, "email protection"),
        (usage.time_stamping, "time stamping"),
        (usage.ocsp_signing, "OCSP signing"),
    ];
    let names = named
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name.to_owned());
    names
        .chain(usage.other.iter().map(ToString::to_string))
        .collect()
}

/// X509-SVID §2 (one URI SAN), §4.1 (cA), §4.3 (key usage), §4.4 (extended key usage).
fn objections(certificate: &X509Certificate<'_>, uris: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let id = match uris {
        [one] => SpiffeId::new(one)
            .map_err(|e| found.push(format!("its URI {one} is not a SPIFFE ID: {e}")))
            .ok(),
        many => {
            found.push(format!("it has {} URI names; an SVID has one", many.len()));
            None
        }
    };
    let has_path = id.as_ref().is_some_and(|id| !id.path().is_empty());
    if certificate.is_ca() && has_path {
        found.push("it is a CA's, and its SPIFFE ID has a path (X509-SVID §3.2)".into());
    }
    if !certificate.is_ca() && id.is_some() && !has_path {
        found.push("it is a leaf, and its SPIFFE ID has no path (X509-SVID §4.1)".into());
    }
    found.extend(usage_objections(certificate));
    found
}

fn usage_objections(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let ca = certificate.is_ca();
    match certificate.key_usage() {
        Ok(Some(usage)) => {
            let signs = usage.value.key_cert_sign() || usage.value.crl_sign();
            if !usage.critical {
                found.push("its key usage is not critical (X509-SVID §4.3)".into());
            }
            if ca && !usage.value.key_cert_sign() {
                found.push("it is a CA's without keyCertSign (X509-SVID §4.3)".into());
            }
            if !ca && (signs || !usage.value.digital_signature()) {
                found.push("a leaf's key usage has digitalSignature and neither keyCertSign nor cRLSign (X509-SVID §4.3)".into());
            }
        }
        _ => found.push("it has no key usage (X509-SVID §4.3)".into()),
    }
    if let Ok(Some(usage)) = certificate.extended_key_usage() {
        let both = usage.value.server_auth && usage.value.client_auth;
        if !ca && !both {
            found.push("its extended key usage lacks server or client (X509-SVID §4.4)".into());
        }
    }
    found
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| {
            let value = if value.is_empty() { "(empty)" } else { value };
            writeln!(f, "{name:<20} {value}")
        };
        for uri in &self.uris {
            line("SPIFFE ID / URI", uri)?;
        }
        for name in &self.other_names {
            line("Other name", name)?;
        }
        line("Subject", &self.subject)?;
        line("Issuer", &self.issuer)?;
        line("Serial", &self.serial)?;
        line(
            "Valid",
            &format!("{} to {}", self.not_before, self.not_after),
        )?;
        line("State", &self.state)?;
        line("Key", &self.key)?;
        line("Signature", &self.signature)?;
        line("CA", if self.ca { "yes" } else { "no" })?;
        line("Key usage", self.key_usage.as_deref().unwrap_or("none"))?;
        line("Extended key usage", &self.extended_key_usage.join(", "))?;
        line(
            "Subject key id",
            self.subject_key_id.as_deref().unwrap_or("none"),
        )?;
        line(
            "Authority key id",
            self.authority_key_id.as_deref().unwrap_or("none"),
        )?;
        line("SHA-256", &self.sha256)?;
        let verdict = if self.not_an_svid_because.is_empty() {
            "conforms"
        } else {
            "does not conform:"
        };
        line("X509-SVID", verdict)?;
        self.not_an_svid_because
            .iter()
            .try_for_each(|why| writeln!(f, "  - {why}"))
    }
}
