//! What can go wrong with a module, by name.

use super::{Bound, bindings::wit};
use std::time::Duration;
use thiserror::Error;

/// Why a module is not taken.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The bytes are not a WebAssembly component.
    #[error("the signing module is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It asks for something that the sandbox does not have.
    #[error(
        "the signing module imports {0}, which the sandbox does not offer; it may import nothing but the sealed WASI interfaces of its standard library"
    )]
    Import(String),
    /// It does not export the contract, or exports it with other types.
    #[error(
        "the signing module does not export credence:signer/certificates as the contract has it: {0}"
    )]
    Contract(String),
    /// It wants more than its limits from the start.
    #[error("the signing module does not fit into its limits ([sandbox]): {0}")]
    Bound(String),
    /// The engine itself could not be set up.
    #[error("the WebAssembly engine could not be set up: {0}")]
    Engine(String),
}

/// Why a module gave no proposal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SandboxError {
    /// It said no, in the contract's terms.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It did not answer in time.
    #[error("the signing module did not answer within {0:?} and was stopped")]
    Deadline(Duration),
    /// It wanted more memory, table or stack than it may have.
    #[error("the signing module wanted more than its {0} and was stopped")]
    Bound(Bound),
    /// As many instances ran already as may run at once. The module has no part in this.
    #[error("all {0} instances of the signing module that may run at once are at work; try again")]
    Busy(u32),
    /// It trapped.
    #[error("the signing module trapped: {0}")]
    Trapped(String),
    /// It answered with more than any certificate has.
    #[error("the signing module answered with {0} octets; at most {1} are accepted")]
    Oversized(usize, usize),
}

impl SandboxError {
    /// The bound that was hit, if one was.
    #[must_use]
    pub fn bound(&self) -> Option<Bound> {
        match self {
            Self::Bound(bound) => Some(*bound),
            Self::Deadline(_) => Some(Bound::Deadline),
            Self::Oversized(..) => Some(Bound::Proposal),
            Self::Busy(_) => Some(Bound::Instances),
            Self::Rejected(_) | Self::Trapped(_) => None,
        }
    }

    /// Whether the module did what it may not; to refuse a request is its right.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Busy(_) => false,
            Self::Deadline(_) | Self::Bound(_) | Self::Trapped(_) | Self::Oversized(..) => true,
        }
    }
}

/// The contract's rejections: kind and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the signing module refused the request ({kind}): {found}")]
pub struct Rejection {
    /// The case's name in the contract.
    pub kind: &'static str,
    /// What the module found; printable, and cut at 256 characters, since a module may say anything.
    pub found: String,
}

impl From<wit::Rejection> for Rejection {
    fn from(rejection: wit::Rejection) -> Self {
        use wit::Rejection as R;
        let (kind, found) = match rejection {
            R::MalformedCsr(found) => ("malformed-csr", found),
            R::CaRequested(found) => ("ca-requested", found),
            R::OtherIdentity(found) => ("other-identity", found),
            R::NameNotAllowed(found) => ("name-not-allowed", found),
            R::ExtensionNotAllowed(found) => ("extension-not-allowed", found),
            R::UnsupportedKey(found) => ("unsupported-key", found),
            R::UnsupportedIssuer(found) => ("unsupported-issuer", found),
            R::InvalidRequest(found) => ("invalid-request", found),
        };
        Self {
            kind,
            found: printable(&found),
        }
    }
}

/// Safe to log, whatever it was.
fn printable(text: &str) -> String {
    text.chars()
        .take(256)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_says_is_cut_and_made_printable() {
        let rejection: Rejection =
            wit::Rejection::MalformedCsr(format!("a\n\u{1b}[31m{}", "x".repeat(999))).into();
        assert_eq!(rejection.found.chars().count(), 256);
        assert!(rejection.found.starts_with("a\u{fffd}\u{fffd}[31m"));
    }
}
