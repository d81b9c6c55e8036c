//! The kinds of entries. A field's number is for ever; new ones are optional.

use crate::octets::{self, Digest, Octets};
use credence_ca::{serial::Serial, validity::Time};
use minicbor::{Decode, Encode};
use serde::Serialize;
use std::collections::BTreeMap;

/// Who asked, and how that was shown. Never a secret: of a token its claims, not the token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Asker {
    /// Where the request came in: "istio", "dapr", "local".
    #[n(0)]
    pub frontend: String,
    /// Which attestor said yes.
    #[n(1)]
    pub attestor: String,
    /// The kind of proof: "jwt", "svid", "join-token", "peer", "none".
    #[n(2)]
    pub proof: String,
    /// What the proof said: issuer, subject, audience, the token's ID hashed.
    #[n(3)]
    pub claims: BTreeMap<String, String>,
    /// The address or process that the request came from.
    #[n(4)]
    pub peer: Option<String>,
}

/// A distinguished name that the host chose, as the signing module's contract has it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Name {
    /// organizationName
    #[n(0)]
    pub organization: String,
    /// commonName
    #[n(1)]
    pub common_name: String,
}

/// A certificate was signed: everything that it was made of, so that it can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Issued {
    /// Who asked.
    #[n(0)]
    pub asker: Asker,
    /// The certification request, DER.
    #[n(1)]
    pub csr: Octets,
    /// The SPIFFE ID that was authenticated.
    #[n(2)]
    pub identity: String,
    /// The profile's name.
    #[n(3)]
    pub profile: String,
    /// The DNS names that were permitted beside the identity.
    #[n(4)]
    pub permitted_dns_names: Vec<String>,
    /// The subject; none for leaves.
    #[n(5)]
    pub subject: Option<Name>,
    /// The first good second.
    #[n(6)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub not_before: Time,
    /// The last good second.
    #[n(7)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub not_after: Time,
    /// The serial number.
    #[n(8)]
    #[cbor(with = "octets::serial")]
    #[serde(serialize_with = "octets::serial::serialize")]
    pub serial: Serial,
    /// The SHA-256 of the issuer's certificate, which is an object; none for a root.
    #[n(9)]
    pub issuer: Option<Digest>,
    /// The SHA-256 of the signing module, which is an object.
    #[n(10)]
    pub module: Digest,
    /// The to-be-signed certificate, DER.
    #[n(11)]
    pub tbs: Octets,
    /// The signature, as the certificate has it.
    #[n(12)]
    pub signature: Octets,
    /// When the lineage of renewals began that this certificate belongs to: the last time that
    /// its holder showed something else than a certificate.
    #[n(13)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub lineage_start: Time,
    /// The name of the trust bundle that went along with it, if one did.
    #[n(14)]
    pub bundle: Option<String>,
}

/// An authenticated caller was refused.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Refused {
    /// Who asked.
    #[n(0)]
    pub asker: Asker,
    /// The SPIFFE ID that was authenticated, or claimed.
    #[n(1)]
    pub identity: Option<String>,
    /// The reason's name, for counting.
    #[n(2)]
    pub reason: String,
    /// The reason in words.
    #[n(3)]
    pub detail: String,
    /// The certification request, as it came.
    #[n(4)]
    pub csr: Option<Octets>,
    /// The profile's name, as far as it was decided.
    #[n(5)]
    pub profile: Option<String>,
}

/// Who did something that nobody asked for over the network.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A user of this host, over the administration socket.
    #[n(0)]
    Uid(#[n(0)] u32),
    /// The CA itself, by its schedule.
    #[n(1)]
    Itself,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// One certificate.
    #[n(0)]
    Serial(
        #[n(0)]
        #[cbor(with = "octets::serial")]
        #[serde(serialize_with = "octets::serial::serialize")]
        Serial,
    ),
    /// Every certificate of an identity.
    #[n(1)]
    Identity(#[n(0)] String),
}

/// Something was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Revoked {
    /// What.
    #[n(0)]
    pub subject: Subject,
    /// Why, in words.
    #[n(1)]
    pub reason: String,
    /// Who ordered it.
    #[n(2)]
    pub by: By,
    /// When the last certificate ends that this is about, if that is known.
    #[n(3)]
    #[cbor(with = "octets::maybe_time", has_nil)]
    #[serde(serialize_with = "octets::maybe_time::serialize")]
    pub ends: Option<Time>,
}

/// An identity is no longer revoked: certificates are issued for it again. Those that it had when it was revoked stay revoked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Reinstated {
    /// The SPIFFE ID.
    #[n(0)]
    pub identity: String,
    /// Why, in words.
    #[n(1)]
    pub reason: String,
    /// Who ordered it.
    #[n(2)]
    pub by: By,
}

/// A step in the life of a root or an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Lifecycle {
    /// The step's name.
    #[n(0)]
    pub step: String,
    /// Which root or issuer.
    #[n(1)]
    pub about: String,
    /// Who ordered it.
    #[n(2)]
    pub by: By,
    /// The gates that were skipped by force; none otherwise.
    #[n(3)]
    pub forced: Vec<String>,
    /// More, in words.
    #[n(4)]
    pub detail: String,
}

/// A join token was made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct TokenMade {
    /// The SHA-256 of its secret.
    #[n(0)]
    pub token: Digest,
    /// The SPIFFE ID that it is good for.
    #[n(1)]
    pub identity: String,
    /// When it ends.
    #[n(2)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub expires: Time,
    /// Who made it.
    #[n(3)]
    pub by: By,
}

/// A join token was used, and is worth nothing from now on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct TokenUsed {
    /// The SHA-256 of its secret.
    #[n(0)]
    pub token: Digest,
    /// The SPIFFE ID that it was good for.
    #[n(1)]
    pub identity: String,
    /// When it would have ended.
    #[n(2)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub expires: Time,
}

/// Something was ordered over the administration socket.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Admin {
    /// The caller's user ID.
    #[n(0)]
    pub uid: u32,
    /// What was ordered.
    #[n(1)]
    pub command: String,
    /// With what; never a secret.
    #[n(2)]
    pub arguments: BTreeMap<String, String>,
    /// How it ended.
    #[n(3)]
    pub outcome: String,
}

/// A daemon took over from one that did not say goodbye.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Takeover {
    /// Who wrote before.
    #[n(0)]
    pub from: String,
    /// Who writes now.
    #[n(1)]
    pub to: String,
}

/// The record goes on from a backup: what was written after it is not here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Restored {
    /// How many entries the backup had.
    #[n(0)]
    pub size: u64,
    /// The hash of its last one.
    #[n(1)]
    pub head: Digest,
    /// Who ordered it.
    #[n(2)]
    pub by: By,
}

/// A CA certificate is known from now on; the certificate is an object.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct CaAdded {
    /// The SHA-256 of the certificate's DER.
    #[n(0)]
    pub certificate: Digest,
    /// What it is: "root", "issuer", "intermediate".
    #[n(1)]
    pub role: String,
    /// Its last good second.
    #[n(2)]
    #[cbor(with = "octets::time")]
    #[serde(serialize_with = "octets::time::serialize")]
    pub not_after: Time,
}

/// A signing module is used from now on; its octets are an object.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct ModuleTaken {
    /// The SHA-256 of the module.
    #[n(0)]
    pub module: Digest,
    /// How long it is, in octets.
    #[n(1)]
    pub length: u64,
    /// Where it came from: "built in", or the file's name.
    #[n(2)]
    pub source: String,
}

/// Entries went to an archive.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Archived {
    /// The number of the last entry that went: the record's new base, where a checkpoint is.
    #[n(0)]
    pub size: u64,
    /// That entry's hash.
    #[n(1)]
    pub head: Digest,
    /// How many entries up to there were left behind, since they still count.
    #[n(2)]
    pub carried: u64,
    /// The hash over those.
    #[n(3)]
    pub carried_digest: Digest,
    /// The archive's file name.
    #[n(4)]
    pub file: String,
    /// Who ordered it.
    #[n(5)]
    pub by: By,
}
