//! Where a page ended.

use std::{fmt, str::FromStr};
use thiserror::Error;

/// Where a page ended. Good for the same query, whatever is added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// What the order is by, of the last entry.
    pub(super) by: i64,
    /// Its number.
    pub(super) seq: u64,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a cursor is two numbers with a point between them, as a list printed it")]
pub struct CursorError;

/// For the one who pages; what is in it is nobody's business.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.by, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (by, seq) = text.split_once('.').ok_or(CursorError)?;
        let cursor = Self {
            by: by.parse().map_err(|_| CursorError)?,
            seq: seq.parse().map_err(|_| CursorError)?,
        };
        let fits = i64::try_from(cursor.seq).is_ok();
        fits.then_some(cursor).ok_or(CursorError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { by: -7, seq: 18 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "1", "1.", ".1", "1.-1", "1.9223372036854775808", "a.b"] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}
