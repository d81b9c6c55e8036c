//! The messages as the wire has them, written out again field by field, so that a slip in the daemon's own `.proto` shows.
#![allow(missing_docs, reason = "the protocols' own names")]

use std::collections::BTreeMap;

/// `istio.v1.auth.IstioCertificateRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub struct IstioRequest {
    #[prost(string, tag = "1")]
    pub csr: String,
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

/// `google.protobuf.Struct`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    #[prost(oneof = "Kind", tags = "2, 3")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct IstioResponse {
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DaprRequest {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub token: String,
    #[prost(string, tag = "3")]
    pub trust_domain: String,
    #[prost(string, tag = "4")]
    pub namespace: String,
    #[prost(bytes = "vec", tag = "5")]
    pub csr: Vec<u8>,
    #[prost(int32, tag = "6")]
    pub token_validator: i32,
    #[prost(string, repeated, tag = "7")]
    pub jwt_audiences: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DaprResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub workload_certificate: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub trust_chain_certificates: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "3")]
    pub valid_until: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub jwt: Option<StringValue>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub per_audience_jwts: BTreeMap<String, StringValue>,
}

/// `google.protobuf.StringValue`
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringValue {
    #[prost(string, tag = "1")]
    pub value: String,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// What `istio-agent` sends: `CertSigner` is always there.
pub fn istio(csr: &str) -> IstioRequest {
    IstioRequest {
        csr: csr.to_owned(),
        validity_duration: 0,
        metadata: Some(metadata(&[("CertSigner", Kind::Text(String::new()))])),
    }
}

pub fn metadata(fields: &[(&str, Kind)]) -> Struct {
    let fields = fields.iter().map(|(name, kind)| {
        (
            (*name).to_owned(),
            Value {
                kind: Some(kind.clone()),
            },
        )
    });
    Struct {
        fields: fields.collect(),
    }
}

/// What daprd sends.
pub fn dapr(csr: &str) -> DaprRequest {
    DaprRequest {
        id: "app".into(),
        token: "believe-the-claim".into(),
        trust_domain: "example.org".into(),
        namespace: "prod".into(),
        csr: csr.as_bytes().to_vec(),
        token_validator: 3,
        jwt_audiences: Vec::new(),
    }
}
