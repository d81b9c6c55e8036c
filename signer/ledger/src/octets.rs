//! Octets as the record has them: byte strings in CBOR, text in JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use credence_ca::{hex, serial::Serial, validity::Time};
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    data::Type,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Octets of any length: a byte string in CBOR, base64 in JSON.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Octets(pub Vec<u8>);

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<C> Encode<C> for Octets {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Octets {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}

/// A SHA-256: a byte string of 32 octets in CBOR, hexadecimal in JSON and text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of these octets.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        Self(Sha256::digest(octets).into())
    }

    /// The SHA-256 of these parts, one after the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// From its octets, if there are 32.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<C> Encode<C> for Digest {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Digest {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::from_octets(d.bytes()?).ok_or_else(|| DecodeError::message("a SHA-256 has 32 octets"))
    }
}

/// A serial number: a byte string in CBOR, hexadecimal in JSON.
pub(crate) mod serial {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Serial, Serializer, Write};

    pub(crate) fn encode<C, W: Write>(
        serial: &Serial,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.bytes(serial.octets())?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Serial, DecodeError> {
        Serial::from_octets(d.bytes()?).map_err(DecodeError::message)
    }

    pub(crate) fn serialize<S: Serializer>(
        serial: &Serial,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(serial)
    }
}

/// A time: seconds since 1970 in CBOR, RFC 3339 in JSON.
pub(crate) mod time {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Serializer, Time, Write};

    pub(crate) fn encode<C, W: Write>(
        time: &Time,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.u64(time.unix())?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Time, DecodeError> {
        d.u64().map(Time::from_unix)
    }

    pub(crate) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }
}

/// A time that may be missing: left out in CBOR, null in JSON.
#[allow(clippy::ref_option, reason = "what the derives call has this form")]
pub(crate) mod maybe_time {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Serializer, Time, Type, Write};

    pub(crate) fn encode<C, W: Write>(
        time: &Option<Time>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        match time {
            Some(time) => e.u64(time.unix())?.ok(),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Option<Time>, DecodeError> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(None);
        }
        d.u64().map(|time| Some(Time::from_unix(time)))
    }

    #[allow(clippy::option_option, reason = "what the derive calls has this form")]
    pub(crate) fn nil() -> Option<Option<Time>> {
        Some(None)
    }

    pub(crate) fn is_nil(time: &Option<Time>) -> bool {
        time.is_none()
    }

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Time>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }
}
