//! Object identifiers and algorithm identifiers, as DER.

/// Contents octets of object identifiers.
pub mod value {
    /// organizationName, RFC 5280 appendix A.1
    pub const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
    /// commonName, RFC 5280 appendix A.1
    pub const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    /// subjectKeyIdentifier, RFC 5280 §4.2.1.2
    pub const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
    /// keyUsage, RFC 5280 §4.2.1.3
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    /// nameConstraints, RFC 5280 §4.2.1.10
    pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
    /// certificatePolicies, RFC 5280 §4.2.1.4
    pub const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 0x20];
    /// subjectAltName, RFC 5280 §4.2.1.6
    pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    /// basicConstraints, RFC 5280 §4.2.1.9
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    /// authorityKeyIdentifier, RFC 5280 §4.2.1.1
    pub const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
    /// cRLNumber, RFC 5280 §5.2.3
    pub const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
    /// reasonCode, RFC 5280 §5.3.1
    pub const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];
    /// extKeyUsage, RFC 5280 §4.2.1.12
    pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    /// extensionRequest, RFC 2985 §5.4.2
    pub const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
    /// id-kp-serverAuth, RFC 5280 §4.2.1.12
    pub const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    /// id-kp-clientAuth, RFC 5280 §4.2.1.12
    pub const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
}

/// AlgorithmIdentifiers (RFC 5280 §4.1.1.2), whole.
pub mod algorithm {
    /// id-ecPublicKey with secp256r1, RFC 5480 §2.1.1
    pub const P256_KEY: &[u8] = &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    /// id-ecPublicKey with secp384r1, RFC 5480 §2.1.1
    pub const P384_KEY: &[u8] = &[
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
        0x04, 0x00, 0x22,
    ];
    /// rsaEncryption with NULL, RFC 3279 §2.3.1
    pub const RSA_KEY: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    /// id-Ed25519, RFC 8410 §3: key and signature alike
    pub const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    /// ecdsa-with-SHA256, RFC 5758 §3.2
    pub const ECDSA_SHA256: &[u8] = &[
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
    ];
    /// ecdsa-with-SHA384, RFC 5758 §3.2
    pub const ECDSA_SHA384: &[u8] = &[
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
    ];
    /// ecdsa-with-SHA512, RFC 5758 §3.2
    pub const ECDSA_SHA512: &[u8] = &[
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04,
    ];
    /// sha256WithRSAEncryption with NULL, RFC 4055 §5
    pub const RSA_SHA256: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
    ];
    /// sha384WithRSAEncryption with NULL, RFC 4055 §5
    pub const RSA_SHA384: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00,
    ];
    /// sha512WithRSAEncryption with NULL, RFC 4055 §5
    pub const RSA_SHA512: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00,
    ];
}

/// The dotted form of an object identifier's contents octets, for messages.
#[must_use]
pub fn dotted(value: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for octet in value {
        arc = arc.wrapping_shl(7) | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            push_arc(&mut arcs, arc);
            arc = 0;
        }
    }
    arcs.iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join(".")
}

/// The first subidentifier holds two arcs (X.690 §8.19.4).
fn push_arc(arcs: &mut Vec<u64>, subidentifier: u64) {
    if arcs.is_empty() {
        let first = (subidentifier / 40).min(2);
        arcs.push(first);
        arcs.push(subidentifier - first * 40);
    } else {
        arcs.push(subidentifier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dotted() {
        assert_eq!(dotted(value::KEY_USAGE), "2.5.29.15");
        assert_eq!(dotted(value::SERVER_AUTH), "1.3.6.1.5.5.7.3.1");
        assert_eq!(
            dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]),
            "1.2.840.113549.1.1.1"
        );
        assert_eq!(dotted(&[]), "");
    }
}
