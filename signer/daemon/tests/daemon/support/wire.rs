//! The messages as the wire has them, written out again field by field, so that a slip in the daemon's own `.proto` shows.

use std::collections::BTreeMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct IstioRequest {
    #[prost(string, tag = "1")]
    pub(crate) csr: String,
    #[prost(int64, tag = "3")]
    pub(crate) validity_duration: i64,
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Struct>,
}

/// `google.protobuf.Struct`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`, as far as it is used.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Value {
    #[prost(oneof = "Kind", tags = "2, 3")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct IstioResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) cert_chain: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DaprRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) token: String,
    #[prost(string, tag = "3")]
    pub(crate) trust_domain: String,
    #[prost(string, tag = "4")]
    pub(crate) namespace: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) csr: Vec<u8>,
    #[prost(int32, tag = "6")]
    pub(crate) token_validator: i32,
    #[prost(string, repeated, tag = "7")]
    pub(crate) jwt_audiences: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DaprResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) workload_certificate: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) trust_chain_certificates: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "3")]
    pub(crate) valid_until: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub(crate) jwt: Option<StringValue>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(crate) per_audience_jwts: BTreeMap<String, StringValue>,
}

/// `google.protobuf.StringValue`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringValue {
    #[prost(string, tag = "1")]
    pub(crate) value: String,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

/// What `istio-agent` sends: `CertSigner` is always there.
pub(crate) fn istio(csr: &str) -> IstioRequest {
    IstioRequest {
        csr: csr.to_owned(),
        validity_duration: 0,
        metadata: Some(metadata(&[("CertSigner", Kind::Text(String::new()))])),
    }
}

pub(crate) fn metadata(fields: &[(&str, Kind)]) -> Struct {
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
pub(crate) fn dapr(csr: &str) -> DaprRequest {
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
