//! The names that are always there, so that a bootstrap needs no other.

/// The caller's certificate: that of its default identity.
pub(crate) const DEFAULT: &str = "default";
/// The bundle of the caller's own trust domain.
pub(crate) const ROOT_CA: &str = "ROOTCA";
/// The bundles of all trust domains that the caller may trust.
pub(crate) const ALL: &str = "ALL";
/// The filter's deny list, for those who configure filters. Only the CA has it.
pub(crate) const DENY_LIST: &str = "DENYLIST";
/// Everything (xDS protocol, "wildcard").
pub(crate) const WILDCARD: &str = "*";

/// The longest name, in bytes: as long as two paths. Longer ones are unknown, and not remembered.
pub(super) const LONGEST: usize = 2 * 4096 + 16;

/// Whether something of this name can be expected of any server: that it is not there yet is nothing to report.
pub(super) fn is_expected(name: &str) -> bool {
    [DEFAULT, ROOT_CA, DENY_LIST, WILDCARD].contains(&name)
}
