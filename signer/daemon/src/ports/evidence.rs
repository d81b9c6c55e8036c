//! What a caller presents.

use credence_attest::peer::PeerCredentials;
use std::{fmt, net::SocketAddr, sync::Arc};
use zeroize::Zeroizing;

/// The longest token, in octets.
pub const LONGEST_TOKEN: usize = 16 << 10;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frontend {
    /// `istio.v1.auth.IstioCertificateService`
    Istio,
    /// `dapr.proto.sentry.v1.CA`
    Dapr,
    /// The trust bundle, over SDS.
    Bundle,
}

impl Frontend {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Istio, Self::Dapr, Self::Bundle];

    /// As logs and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Istio => "istio",
            Self::Dapr => "dapr",
            Self::Bundle => "bundle",
        }
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All that a request brought along. Nothing of it is believed before an attestor has looked at it, but what TLS verified.
#[derive(Debug)]
pub struct Evidence {
    /// Where it came in.
    pub frontend: Frontend,
    /// A bearer's token, or one inside the message.
    pub token: Option<Token>,
    /// Who the caller says it is (Dapr).
    pub claimed: Option<Claimed>,
    /// The client certificate's chain, DER, leaf first: TLS verified that it leads to the bundle, was valid when the connection
    /// began, and that the client has its key. Empty if there is none.
    pub certificates: Arc<[Vec<u8>]>,
    /// The header `clusterid` (Istio).
    pub cluster: Option<String>,
    /// For whom a node agent asks: the field `ImpersonatedIdentity` (Istio).
    pub impersonated: Option<String>,
    /// The process at the other end, where the connection is of a Unix socket: what the kernel said when it was accepted.
    pub process: Option<PeerCredentials>,
    /// The other end of the connection, for logs. It proves nothing.
    pub peer: Option<Remote>,
}

/// The other end of a connection, as logs and the record have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// On the network.
    Address(SocketAddr),
    /// On this host.
    Process {
        /// Its user.
        uid: u32,
        /// Its number.
        pid: i32,
    },
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Process { uid, pid } => write!(f, "uid={uid} pid={pid}"),
        }
    }
}

/// Who a Dapr caller says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The app's ID: 1 to 64 octets, no dots.
    pub app_id: String,
    /// Its namespace, not empty.
    pub namespace: String,
    /// Its trust domain, not empty: `public` where the request has none.
    pub trust_domain: String,
    /// By whom the token is to be looked at.
    pub validator: Validator,
}

/// Dapr's ways to look at a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Validator {
    /// Not at all: the caller is believed.
    Insecure,
    /// By a Kubernetes API server.
    Kubernetes,
    /// With the keys of a key set.
    Jwks,
}

/// A token as it was presented. Wiped when dropped, never shown.
pub struct Token(Zeroizing<String>);

/// Not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token is not one: 1 to {LONGEST_TOKEN} visible characters, after 'Bearer ' in a header"
)]
pub struct NotAToken;

impl Token {
    /// Takes what was presented: 1 to [`LONGEST_TOKEN`] visible ASCII characters. White space at the ends, which files have, is
    /// not part of it.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(text: String) -> Result<Self, NotAToken> {
        let text = Zeroizing::new(text);
        let token = text.trim_ascii();
        let good = (1..=LONGEST_TOKEN).contains(&token.len())
            && token.bytes().all(|octet| octet.is_ascii_graphic());
        if good {
            Ok(Self(Zeroizing::new(token.to_owned())))
        } else {
            Err(NotAToken)
        }
    }

    /// From the value of an `authorization` header: `Bearer TOKEN`, the scheme in any case (RFC 9110 §11.1).
    ///
    /// # Errors
    /// If it has another scheme, or the token is not one.
    pub fn from_authorization(value: &str) -> Result<Self, NotAToken> {
        let (scheme, token) = value.split_once(' ').ok_or(NotAToken)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Self::new(token.to_owned())
        } else {
            Err(NotAToken)
        }
    }

    /// The token itself, for who verifies it. Not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_visible_word_within_bounds_and_never_shown() {
        let token = Token::new("a.b\n".into()).unwrap();
        assert_eq!(token.expose(), "a.b");
        assert!(!format!("{token:?}").contains("a.b"));
        assert!(Token::new("x".repeat(LONGEST_TOKEN)).is_ok());
        let long = "x".repeat(LONGEST_TOKEN + 1);
        for bad in ["", " ", "a b", "a\0", "é", &long] {
            assert_eq!(Token::new(bad.into()).unwrap_err(), NotAToken);
        }
    }

    #[test]
    fn a_header_s_token_is_a_bearer_s() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(Token::from_authorization(good).unwrap().expose(), "abc");
        }
        for bad in ["abc", "Basic abc", "Bearer", "Bearer ", "Bearer a b"] {
            assert_eq!(Token::from_authorization(bad).unwrap_err(), NotAToken);
        }
    }
}
