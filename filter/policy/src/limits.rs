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
/// Values in one list of a rule, besides principals and paths.
pub const MAX_VALUES: usize = 4096;
/// Values over all lists of all rules, besides principals and paths.
pub const MAX_VALUES_IN_ALL: usize = 65_536;
/// Bytes of a namespace, trust domain, host or method in a rule.
pub const MAX_VALUE_BYTES: usize = 512;
/// Bytes of a request's method that is still looked at. Longer is not canonical.
pub const MAX_METHOD_BYTES: usize = 64;
/// Bytes of a request's host that is still looked at. Longer is not canonical.
pub const MAX_HOST_BYTES: usize = 1024;
/// Ports with a mode of their own.
pub const MAX_PORT_MODES: usize = 256;
/// Entries for servers.
pub const MAX_SERVERS: usize = 4096;
/// Identities that one server may have.
pub const MAX_SERVER_IDS: usize = 64;
/// Entries of a deny list.
pub const MAX_REVOCATIONS: usize = 65_536;
