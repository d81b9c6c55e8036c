//! Profiles: what a kind of certificate is for, by value.

use crate::{
    der::{self, tag},
    oid,
};
use std::{fmt, time::Duration};

/// Which kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A self-signed trust anchor.
    Root,
    /// An issuing CA that signs leaves only.
    Issuer,
    /// A leaf: X509-SVID §4 and §5.
    X509Svid,
    /// A leaf as Dapr's sentry issues it.
    DaprWorkload,
    /// A leaf as Istio's CA issues it.
    IstioWorkload,
    /// The serving certificate of the CA itself.
    Serving,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 6] = [
        Self::Root,
        Self::Issuer,
        Self::X509Svid,
        Self::DaprWorkload,
        Self::IstioWorkload,
        Self::Serving,
    ];

    /// Its name, as the contract, configuration and logs have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuer => "issuer",
            Self::X509Svid => "x509-svid",
            Self::DaprWorkload => "dapr-workload",
            Self::IstioWorkload => "istio-workload",
            Self::Serving => "serving",
        }
    }

    /// Whether its holder signs certificates.
    #[must_use]
    pub fn is_ca(self) -> bool {
        match self {
            Self::Root | Self::Issuer => true,
            Self::X509Svid | Self::DaprWorkload | Self::IstioWorkload | Self::Serving => false,
        }
    }

    /// The longest life, from notBefore to notAfter, that the guard lets pass.
    #[must_use]
    pub fn longest_life(self) -> Duration {
        match self {
            Self::Root => DAY * 3660,
            Self::Issuer => DAY * 400,
            Self::X509Svid | Self::DaprWorkload | Self::IstioWorkload | Self::Serving => DAY * 7,
        }
    }

    /// basicConstraints (RFC 5280 §4.2.1.9). A root sets no pathLen; an issuer may have no CA
    /// below it; a leaf is no CA, which DER writes by leaving cA out.
    #[must_use]
    pub fn basic_constraints(self) -> Vec<u8> {
        let value: &[u8] = match self {
            Self::Root => &[tag::BOOLEAN, 1, 0xff],
            Self::Issuer => &[tag::BOOLEAN, 1, 0xff, tag::INTEGER, 1, 0],
            Self::X509Svid | Self::DaprWorkload | Self::IstioWorkload | Self::Serving => &[],
        };
        der::encode(tag::SEQUENCE, value)
    }

    /// keyUsage (RFC 5280 §4.2.1.3, X509-SVID §4.3): bits count from the left, unused ones are
    /// left out.
    #[must_use]
    pub fn key_usage(self) -> Vec<u8> {
        let bits: &[u8] = match self {
            // keyCertSign (5), cRLSign (6)
            Self::Root | Self::Issuer => &[1, 0b0000_0110],
            // digitalSignature (0)
            Self::X509Svid | Self::DaprWorkload | Self::Serving => &[7, 0b1000_0000],
            // digitalSignature (0), keyEncipherment (2)
            Self::IstioWorkload => &[5, 0b1010_0000],
        };
        der::encode(tag::BIT_STRING, bits)
    }

    /// extKeyUsage (RFC 5280 §4.2.1.12, X509-SVID §4.4): a workload serves and calls, the CA's
    /// own endpoint serves only, a CA has none.
    #[must_use]
    pub fn extended_key_usage(self) -> Option<Vec<u8>> {
        let purposes: &[&[u8]] = match self {
            Self::Root | Self::Issuer => return None,
            Self::X509Svid | Self::DaprWorkload | Self::IstioWorkload => {
                &[oid::value::SERVER_AUTH, oid::value::CLIENT_AUTH]
            }
            Self::Serving => &[oid::value::SERVER_AUTH],
        };
        let purposes: Vec<_> = purposes
            .iter()
            .map(|purpose| der::encode(tag::OID, purpose))
            .collect();
        Some(der::encode(tag::SEQUENCE, &purposes.concat()))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out from the RFCs, so that a slip in the code above does not repeat itself here.
    #[test]
    fn usages_are_these_octets() {
        let both = [
            0x30, 20, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2,
        ];
        let server = [0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
        let none: &[u8] = &[];
        for (profile, constraints, usage, extended) in [
            (
                Profile::Root,
                &[0x30, 3, 1, 1, 0xff][..],
                [3, 2, 1, 0x06],
                none,
            ),
            (
                Profile::Issuer,
                &[0x30, 6, 1, 1, 0xff, 2, 1, 0],
                [3, 2, 1, 0x06],
                none,
            ),
            (Profile::X509Svid, &[0x30, 0], [3, 2, 7, 0x80], &both),
            (Profile::DaprWorkload, &[0x30, 0], [3, 2, 7, 0x80], &both),
            (Profile::IstioWorkload, &[0x30, 0], [3, 2, 5, 0xa0], &both),
            (Profile::Serving, &[0x30, 0], [3, 2, 7, 0x80], &server),
        ] {
            assert_eq!(profile.basic_constraints(), constraints, "{profile}");
            assert_eq!(profile.key_usage(), usage, "{profile}");
            let found = profile.extended_key_usage();
            assert_eq!(found.unwrap_or_default(), extended, "{profile}");
        }
    }

    #[test]
    fn only_cas_outlive_a_week() {
        for profile in Profile::ALL {
            assert_eq!(
                profile.longest_life() > DAY * 7,
                profile.is_ca(),
                "{profile}"
            );
        }
    }
}
