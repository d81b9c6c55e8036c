//! What JWTs are signed with.

use credence_attest::jwt::Algorithm as Verified;

/// An algorithm of JWS (RFC 7518 §3.1, RFC 8037), as Dapr's sentry names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// One that our attestors verify, too.
    Verified(Verified),
    /// ECDSA with P-521 and SHA-512
    Es512,
}

/// What kind of key an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 to 4096 bits.
    Rsa,
    /// P-256
    P256,
    /// P-384
    P384,
    /// P-521
    P521,
    /// Ed25519
    Ed25519,
}

impl Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    pub const RS256: Self = Self::Verified(Verified::Rs256);
    /// RSASSA-PSS with SHA-256
    pub const PS256: Self = Self::Verified(Verified::Ps256);
    /// ECDSA with P-256 and SHA-256
    pub const ES256: Self = Self::Verified(Verified::Es256);
    /// ECDSA with P-384 and SHA-384
    pub const ES384: Self = Self::Verified(Verified::Es384);
    /// Ed25519
    pub const EDDSA: Self = Self::Verified(Verified::EdDsa);

    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        let verified = Verified::ALL.into_iter().map(Self::Verified);
        verified.chain([Self::Es512])
    }

    /// The header's `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified(one) => one.as_str(),
            Self::Es512 => "ES512",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|one| one.name() == name)
    }

    /// The kind of key that it needs.
    #[must_use]
    pub fn key(self) -> KeyKind {
        use Verified::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Verified(Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512) => KeyKind::Rsa,
            Self::Verified(Es256) => KeyKind::P256,
            Self::Verified(Es384) => KeyKind::P384,
            Self::Verified(EdDsa) => KeyKind::Ed25519,
            Self::Es512 => KeyKind::P521,
        }
    }
}

impl KeyKind {
    /// As messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA (2048 to 4096 bits)",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Ed25519 => "Ed25519",
        }
    }
}
