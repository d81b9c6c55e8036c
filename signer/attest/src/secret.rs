//! A token as it was presented.

use crate::error::Refusal;
use std::fmt;
use zeroize::Zeroizing;

/// The longest token, in octets.
pub const LONGEST_TOKEN: usize = 16 << 10;

/// A bearer's token. Wiped when dropped, never shown.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes what was presented: 1 to [`LONGEST_TOKEN`] visible ASCII characters. White space at the ends,
    /// which files have, is not part of it.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(text: String) -> Result<Self, Refusal> {
        let text = Zeroizing::new(text);
        let token = text.trim_ascii();
        if token.len() > LONGEST_TOKEN {
            return Err(Refusal::TokenTooLong);
        }
        if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Refusal::TokenForm);
        }
        Ok(Self(Zeroizing::new(token.to_owned())))
    }

    /// From the value of an `authorization` header: `Bearer TOKEN`, the scheme in any case (RFC 9110 §11.1).
    ///
    /// # Errors
    /// If it has another scheme, or the token is not one.
    pub fn from_authorization(value: &str) -> Result<Self, Refusal> {
        let (scheme, token) = value.split_once(' ').ok_or(Refusal::TokenForm)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Self::new(token.to_owned())
        } else {
            Err(Refusal::TokenForm)
        }
    }

    /// The token itself. Not for logs.
    pub(crate) fn expose(&self) -> &str {
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
    fn is_one_visible_word_within_bounds() {
        assert_eq!(Token::new("a.b\n".into()).unwrap().expose(), "a.b");
        for (bad, why) in [
            (String::new(), Refusal::TokenForm),
            ("a b".into(), Refusal::TokenForm),
            ("a\0".into(), Refusal::TokenForm),
            ("é".into(), Refusal::TokenForm),
            ("x".repeat(LONGEST_TOKEN + 1), Refusal::TokenTooLong),
        ] {
            assert_eq!(Token::new(bad).unwrap_err(), why);
        }
        assert!(Token::new("x".repeat(LONGEST_TOKEN)).is_ok());
    }

    #[test]
    fn comes_from_a_bearer_header_only() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(Token::from_authorization(good).unwrap().expose(), "abc");
        }
        for bad in ["abc", "Basic abc", "Bearer", "Bearer ", "Bearer a b"] {
            assert_eq!(
                Token::from_authorization(bad).unwrap_err(),
                Refusal::TokenForm,
                "{bad}"
            );
        }
    }

    #[test]
    fn is_never_shown() {
        let token = Token::new("hunter2".into()).unwrap();
        assert!(!format!("{token:?}").contains("hunter"));
    }
}
