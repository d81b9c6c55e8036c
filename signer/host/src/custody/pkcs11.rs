//! Signing keys in a PKCS#11 token: made in it, never out of it.
//!
//! A token may go away for a while: its library is restarted, its sessions are closed, the user is logged
//! out. The next signature then logs in anew, once. A PIN that the token refuses is not tried again,
//! since tokens lock themselves after a few wrong ones.

mod key;
mod token;

pub use key::Pkcs11Key;
pub use token::Token;

use cryptoki::error::Error as TokenError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a token, or a key in it, cannot be used. Never says anything of the PIN.
#[derive(Debug, Error)]
pub enum Pkcs11Error {
    /// The library cannot be loaded.
    #[error("the PKCS#11 library {} cannot be loaded", .0.display())]
    Library(PathBuf, #[source] TokenError),
    /// No token has that label, or several have it.
    #[error("there are {found} PKCS#11 tokens labelled {label:?}; one is needed")]
    NoToken {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
    /// The token refused the PIN.
    #[error(
        "the PKCS#11 token {0:?} refuses the PIN; it is not tried again, since tokens lock themselves"
    )]
    Pin(String),
    /// The PIN is not text.
    #[error("the PIN is not UTF-8")]
    PinNotText,
    /// The key is not there.
    #[error("the PKCS#11 token has no key labelled {label:?} that belongs to the certificate")]
    NoKey {
        /// The label.
        label: String,
    },
    /// The key could be taken out.
    #[error(
        "the private key labelled {0:?} in the PKCS#11 token is extractable or not sensitive; it is not used"
    )]
    Extractable(String),
    /// The token made something else than it was asked for.
    #[error("the PKCS#11 token made a key that is not {0}")]
    OddKey(credence_ca::key::KeyKind),
    /// The token signed with something else.
    #[error("what the PKCS#11 token signed does not verify with the key labelled {0:?}")]
    WrongSignature(String),
    /// The token failed.
    #[error("the PKCS#11 token failed: {0}")]
    Failed(#[from] TokenError),
}

/// Whether a new session may help. Tokens have many words for one that is lost, and where numbers were
/// given out anew, any other error may come of it: so all that the token says counts.
fn may_be_lost(error: &Pkcs11Error) -> bool {
    matches!(
        error,
        Pkcs11Error::WrongSignature(_) | Pkcs11Error::Failed(_)
    )
}
