//! Every bound of a policy document, each with the fault that names it.
//!
//! They are far above what a sane policy needs, and low enough that a document within them
//! compiles in a fraction of a second and a few MiB.

/// Bytes of the JSON document.
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;
/// Accepted trust domains.
pub const MAX_TRUST_DOMAINS: usize = 64;
/// Rules in a policy.
pub const MAX_RULES: usize = 16_384;
/// Principals over all rules of a policy.
pub const MAX_PRINCIPALS: usize = 65_536;
/// Path patterns over all rules of a policy.
pub const MAX_PATHS: usize = 65_536;
/// Bytes of a rule's name.
pub const MAX_RULE_NAME_BYTES: usize = 128;
/// Bytes of a principal; SPIFFE-ID §2.3 has implementations support 2048.
pub const MAX_PRINCIPAL_BYTES: usize = 2048;
/// Bytes of a path pattern.
pub const MAX_PATH_PATTERN_BYTES: usize = 1024;
/// Bytes of a request's path, query included, that is still looked at. Longer is not canonical.
pub const MAX_REQUEST_PATH_BYTES: usize = 16 * 1024;
/// Faults reported for one document; what comes after them is only counted.
pub const MAX_FAULTS: usize = 100;
/// Bytes of the document's own text that a fault's message repeats.
pub const MAX_QUOTED_BYTES: usize = 120;
