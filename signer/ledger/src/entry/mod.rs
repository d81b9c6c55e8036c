//! What an entry says, and its octets.
//!
//! The body of an entry is CBOR (RFC 8949): an array of three, the kind's number, the time in
//! seconds since 1970, and what the kind has, a map with numbered fields. Numbers and fields are
//! never used anew. docs/ledger.md has them all.

mod certificate;
mod kinds;

pub use kinds::{
    Admin, Archived, Asker, By, CaAdded, Issued, Lifecycle, ModuleTaken, Name, Refused, Reinstated,
    Restored, Revoked, Subject, Takeover, TokenMade, TokenUsed,
};

use crate::octets::Octets;
use credence_ca::validity::Time;
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::{self, Error},
};
use serde::Serialize;
use std::fmt;
use thiserror::Error as ThisError;

/// The longest body, in octets: a request has at most 16 KiB, and the rest is bounded too.
pub const LONGEST: usize = 64 << 10;

/// The number of a kind of entry. A newer version may have others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(u32);

/// Gives each kind its number, its name, and its variant of [`Event`].
macro_rules! kinds {
    ($($number:literal $constant:ident $name:literal $variant:ident,)*) => {
        impl Kind {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self($number);
            )*

            /// Every kind that this version knows.
            pub const ALL: &[Self] = &[$(Self::$constant),*];

            /// Its name, as commands and exports have it; "unknown" for one of a newer version.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    _ => "unknown",
                }
            }
        }

        /// What happened.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant(Box<$variant>),
            )*
            /// What this version cannot read, as it stands.
            Unknown(Unknown),
        }

        impl Event {
            /// Which kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$constant,)*
                    Self::Unknown(unknown) => unknown.kind,
                }
            }

            fn read(kind: Kind, octets: &[u8]) -> Option<Self> {
                match kind.0 {
                    $($number => exact(octets).map(|event| Self::$variant(Box::new(event))),)*
                    _ => None,
                }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(event) => append(out, event),)*
                    Self::Unknown(unknown) => out.extend_from_slice(&unknown.octets.0),
                }
            }
        }

        $(
            impl From<$variant> for Event {
                fn from(event: $variant) -> Self {
                    Self::$variant(Box::new(event))
                }
            }
        )*
    };
}

kinds! {
    1 ISSUED "issued" Issued,
    2 REFUSED "refused" Refused,
    3 REVOKED "revoked" Revoked,
    4 LIFECYCLE "lifecycle" Lifecycle,
    5 TOKEN_MADE "token-made" TokenMade,
    6 TOKEN_USED "token-used" TokenUsed,
    7 ADMIN "admin" Admin,
    8 TAKEOVER "takeover" Takeover,
    9 RESTORED "restored" Restored,
    10 CA_ADDED "ca-added" CaAdded,
    11 MODULE_TAKEN "module-taken" ModuleTaken,
    12 ARCHIVED "archived" Archived,
    13 REINSTATED "reinstated" Reinstated,
}

impl Kind {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// By its number, whether or not this version knows it.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// By its name, if this version knows it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "unknown ({})", self.0),
            name => f.write_str(name),
        }
    }
}

/// What this version cannot read: a kind, a field or a value of a newer one, or CBOR in another
/// form than the one that Credence writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    #[serde(skip)]
    kind: Kind,
    octets: Octets,
}

impl Unknown {
    /// What the kind has, CBOR.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets.0
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by the CA's wall clock.
    pub time: Time,
    /// What.
    pub event: Event,
}

/// Octets that are no entry of any version.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum EntryError {
    /// Too long.
    #[error("an entry has {0} octets; at most {LONGEST} are allowed")]
    TooLong(usize),
    /// Not the CBOR that every version writes.
    #[error("an entry is not an array of kind, time and fields in CBOR: {0}")]
    Malformed(String),
}

impl From<Error> for EntryError {
    fn from(error: Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Entry {
    /// An entry.
    pub fn new(time: Time, event: impl Into<Event>) -> Self {
        Self {
            time,
            event: event.into(),
        }
    }

    /// Its octets. They are the only ones: the same entry has the same octets always.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1536);
        out.push(ARRAY_OF_THREE);
        append(&mut out, &self.event.kind().0);
        append(&mut out, &self.time.unix());
        self.event.write(&mut out);
        out
    }

    /// Reads an entry that is all of `body`. Whatever is read is written again as the same octets;
    /// what this version does not know comes as [`Event::Unknown`].
    ///
    /// # Errors
    /// If no version would have written it.
    pub fn decode(body: &[u8]) -> Result<Self, EntryError> {
        if body.len() > LONGEST {
            return Err(EntryError::TooLong(body.len()));
        }
        let mut decoder = Decoder::new(body);
        if decoder.array()? != Some(3) {
            return Err(EntryError::Malformed("another length".into()));
        }
        let kind = Kind(decoder.u32()?);
        let time = Time::from_unix(decoder.u64()?);
        let fields = rest(&mut decoder, body)?;
        let event = Event::read(kind, fields).unwrap_or_else(|| {
            Event::Unknown(Unknown {
                kind,
                octets: fields.to_vec().into(),
            })
        });
        let entry = Self { time, event };
        if entry.encode() == body {
            Ok(entry)
        } else {
            Err(EntryError::Malformed(
                "its kind or time is not in the shortest form, or beyond the year 9999".into(),
            ))
        }
    }
}

/// CBOR's head of an array of three (RFC 8949 §3.1).
const ARRAY_OF_THREE: u8 = 0x83;

/// The one item that is left, if it is well formed and nothing trails.
fn rest<'a>(decoder: &mut Decoder<'a>, body: &'a [u8]) -> Result<&'a [u8], EntryError> {
    let start = decoder.position();
    decoder.skip()?;
    if decoder.position() != body.len() {
        return Err(EntryError::Malformed("octets trail".into()));
    }
    Ok(body.get(start..).unwrap_or_default())
}

/// A value, if these octets are the ones that it is written as.
fn exact<'b, T: Decode<'b, ()> + Encode<()>>(octets: &'b [u8]) -> Option<T> {
    let value: Result<T, decode::Error> = minicbor::decode(octets);
    let value = value.ok()?;
    let mut again = Vec::with_capacity(octets.len());
    append(&mut again, &value);
    (again == octets).then_some(value)
}

/// Writing into memory does not fail.
fn append<T: Encode<()>>(out: &mut Vec<u8>, value: &T) {
    let Ok(()) = value.encode(&mut Encoder::new(out), &mut ()) else {
        return;
    };
}
