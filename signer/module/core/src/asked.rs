//! What a certification request asks for, and whether its caller may have it.
//!
//! Everything but the key is taken from the request's authenticated side, so a request need not
//! ask for anything. What it does ask for is granted or refused, never quietly left out.

use crate::{Rejection, Request};
use x509_parser::{
    asn1_rs::{Oid, Tag},
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    extensions::{BasicConstraints, ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension},
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    prelude::FromDer,
    x509::AlgorithmIdentifier,
};

/// What kind of key a request has, by RFC 5480 §2.1.1, RFC 8410 §3 and RFC 3279 §2.3.1.
#[derive(Debug)]
pub(crate) enum KeyAlgorithm {
    P256,
    P384,
    Ed25519,
    Rsa,
    /// Another one, by its object identifier.
    Other(String),
}

impl KeyAlgorithm {
    fn of(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        let parameters = algorithm.parameters.as_ref();
        let curve = parameters.filter(|p| p.tag() == Tag::Oid);
        let curve = curve.and_then(|p| p.as_oid().ok());
        match (&algorithm.algorithm, curve.as_ref()) {
            (key, Some(curve)) if *key == OID_KEY_TYPE_EC_PUBLIC_KEY => match curve {
                curve if *curve == OID_EC_P256 => Self::P256,
                curve if *curve == OID_NIST_EC_P384 => Self::P384,
                _ => Self::Other(key.to_id_string()),
            },
            (key, None) if *key == OID_SIG_ED25519 => Self::Ed25519,
            (key, None) if *key == OID_PKCS1_RSAENCRYPTION => Self::Rsa,
            (other, _) => Self::Other(other.to_id_string()),
        }
    }
}

/// The parts of a request that matter to its content.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) algorithm: KeyAlgorithm,
    /// The octets of subjectPublicKey.
    pub(crate) key: Vec<u8>,
    uris: Vec<String>,
    dns_names: Vec<String>,
    other_names: Vec<String>,
    ca: Option<String>,
    usages: Vec<String>,
    not_granted: Vec<String>,
}

/// Reads a request, to its last octet.
pub(crate) fn read(csr: &[u8]) -> Result<Asked, Rejection> {
    let malformed = |what: &dyn std::fmt::Display| Rejection::MalformedCsr(what.to_string());
    let (rest, csr) = X509CertificationRequest::from_der(csr).map_err(|e| malformed(&e))?;
    if !rest.is_empty() {
        return Err(malformed(&format!("{} bytes follow it", rest.len())));
    }
    let info = &csr.certification_request_info;
    let mut asked = Asked {
        algorithm: KeyAlgorithm::of(&info.subject_pki.algorithm),
        key: info.subject_pki.subject_public_key.data.to_vec(),
        uris: Vec::new(),
        dns_names: Vec::new(),
        other_names: Vec::new(),
        ca: None,
        usages: Vec::new(),
        not_granted: Vec::new(),
    };
    for attribute in info.iter_attributes() {
        match attribute.parsed_attribute() {
            ParsedCriAttribute::ExtensionRequest(requested) => {
                for extension in &requested.extensions {
                    asked.take(&extension.oid, extension.parsed_extension());
                }
            }
            // RFC 2985 §5.4.1: meant for revocation by the subject; says nothing about content
            ParsedCriAttribute::ChallengePassword(_) => {}
            _ => asked
                .not_granted
                .push(format!("attribute {}", attribute.oid.to_id_string())),
        }
    }
    Ok(asked)
}

impl Asked {
    fn take(&mut self, oid: &Oid<'_>, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::SubjectAlternativeName(san) => {
                san.general_names
                    .iter()
                    .for_each(|name| self.take_name(name));
            }
            ParsedExtension::BasicConstraints(constraints) => self.take_constraints(constraints),
            ParsedExtension::KeyUsage(usage) => self.take_usage(usage),
            ParsedExtension::ExtendedKeyUsage(usage) => self.take_extended_usage(usage),
            // derived from the key in any case
            ParsedExtension::SubjectKeyIdentifier(_) => {}
            _ => self
                .not_granted
                .push(format!("extension {}", oid.to_id_string())),
        }
    }

    fn take_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            other => self.other_names.push(format!("{other:?}")),
        }
    }

    fn take_constraints(&mut self, constraints: &BasicConstraints) {
        if constraints.ca {
            self.ca = Some("basicConstraints cA=true".into());
        }
    }

    fn take_usage(&mut self, usage: &KeyUsage) {
        if usage.key_cert_sign() || usage.crl_sign() {
            self.ca = Some(format!("keyUsage {usage}"));
        }
        // keyEncipherment is what RSA habits ask for: harmless, and granted by one profile only
        let ordinary = usage.digital_signature() || usage.key_encipherment();
        let odd = usage.non_repudiation()
            || usage.data_encipherment()
            || usage.encipher_only()
            || usage.decipher_only();
        if odd || !ordinary && self.ca.is_none() {
            self.usages.push(format!("keyUsage {usage}"));
        }
    }

    fn take_extended_usage(&mut self, usage: &ExtendedKeyUsage<'_>) {
        let odd = usage.any
            || usage.code_signing
            || usage.email_protection
            || usage.time_stamping
            || usage.ocsp_signing
            || !usage.other.is_empty();
        if odd {
            self.usages
                .push("an extended key usage other than serverAuth and clientAuth".into());
        }
    }

    /// Whether the caller may have what is asked for.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Rejection> {
        if let (false, Some(what)) = (request.profile.is_ca(), &self.ca) {
            return Err(Rejection::CaRequested(what.clone()));
        }
        if let Some(other) = self.uris.iter().find(|uri| **uri != request.identity) {
            return Err(Rejection::OtherIdentity(format!(
                "{other}, not {}",
                request.identity
            )));
        }
        if let Some(name) = self.first_name_not_granted(request) {
            return Err(Rejection::NameNotAllowed(name));
        }
        match self.usages.first().or(self.not_granted.first()) {
            Some(what) => Err(Rejection::ExtensionNotAllowed(what.clone())),
            None => Ok(()),
        }
    }

    fn first_name_not_granted(&self, request: &Request) -> Option<String> {
        self.dns_names
            .iter()
            .find(|asked| {
                let permitted = &request.permitted_dns_names;
                !permitted.iter().any(|p| p.eq_ignore_ascii_case(asked))
            })
            .map(|name| format!("DNS name {name}"))
            .or_else(|| self.other_names.first().cloned())
    }

    /// Whether the request asks for this DNS name. Case does not matter (RFC 4343).
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.dns_names.iter().any(|n| n.eq_ignore_ascii_case(name))
    }
}
