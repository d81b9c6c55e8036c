//! What a node says in its metadata about how it wants to be served.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::google::protobuf::value::Kind;

use super::catalogue::Validation;
use super::note::quote;

/// Our own key: `"trusted_ca"` or `"spiffe"`.
const VALIDATION: &str = "credence_validation";
/// SPIRE's key, for bootstraps that have it: `true` means `trusted_ca`.
const DISABLED: &str = "disable_spiffe_cert_validation";

/// The metadata says something that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node.metadata.{key} is {found}; it may be {may}")]
pub(super) struct BadMetadata {
    key: &'static str,
    found: String,
    may: &'static str,
}

/// How the node wants to be told whom to trust; as configured, if it does not say.
pub(super) fn validation(
    node: Option<&Node>,
    configured: Validation,
) -> Result<Validation, BadMetadata> {
    if let Some(value) = value(node, VALIDATION) {
        return match text(value) {
            Some("trusted_ca") => Ok(Validation::TrustedCa),
            Some("spiffe") => Ok(Validation::Spiffe),
            _ => Err(bad(VALIDATION, value, "\"trusted_ca\" or \"spiffe\"")),
        };
    }
    let Some(value) = value(node, DISABLED) else {
        return Ok(configured);
    };
    match (&value.kind, text(value)) {
        (Some(Kind::BoolValue(true)), _) | (_, Some("true")) => Ok(Validation::TrustedCa),
        (Some(Kind::BoolValue(false)), _) | (_, Some("false")) => Ok(configured),
        _ => Err(bad(DISABLED, value, "true or false")),
    }
}

fn value<'a>(node: Option<&'a Node>, key: &str) -> Option<&'a Value> {
    node?.metadata.as_ref()?.fields.get(key)
}

fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        Some(Kind::StringValue(text)) => Some(text),
        _ => None,
    }
}

fn bad(key: &'static str, value: &Value, may: &'static str) -> BadMetadata {
    let found = match &value.kind {
        Some(Kind::StringValue(text)) => format!("{:?}", quote(text)),
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::NumberValue(value)) => value.to_string(),
        _ => "neither text nor a truth value".to_owned(),
    };
    BadMetadata { key, found, may }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::Struct;

    use super::*;

    fn node(key: &str, kind: Kind) -> Node {
        let value = Value { kind: Some(kind) };
        let metadata = Struct {
            fields: [(key.to_owned(), value)].into(),
        };
        Node {
            metadata: Some(metadata),
            ..Node::default()
        }
    }

    fn string(text: &str) -> Kind {
        Kind::StringValue(text.to_owned())
    }

    #[test]
    fn a_node_says_how_it_validates() {
        use Validation::{Spiffe, TrustedCa};
        for (key, kind, configured, expected) in [
            (VALIDATION, string("spiffe"), TrustedCa, Some(Spiffe)),
            (VALIDATION, string("trusted_ca"), Spiffe, Some(TrustedCa)),
            (VALIDATION, string("none"), Spiffe, None),
            (VALIDATION, Kind::BoolValue(true), Spiffe, None),
            (DISABLED, Kind::BoolValue(true), Spiffe, Some(TrustedCa)),
            (DISABLED, string("true"), Spiffe, Some(TrustedCa)),
            (DISABLED, Kind::BoolValue(false), Spiffe, Some(Spiffe)),
            (DISABLED, Kind::NumberValue(1.0), Spiffe, None),
            ("other", string("spiffe"), TrustedCa, Some(TrustedCa)),
        ] {
            let found = validation(Some(&node(key, kind.clone())), configured);
            assert_eq!(found.ok(), expected, "{key} {kind:?}");
        }
        assert_eq!(validation(None, Spiffe), Ok(Spiffe));
        let fault = validation(Some(&node(VALIDATION, string("x"))), Spiffe).unwrap_err();
        assert!(
            fault.to_string().contains("credence_validation is \"x\""),
            "{fault}"
        );
    }
}
