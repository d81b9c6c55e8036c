//! What a policy answers.

use std::sync::Arc;

/// The answer to one request, with the rule that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    reason: Reason,
    rule: Option<Arc<str>>,
}

impl Decision {
    pub(crate) fn by_rule(reason: Reason, rule: Arc<str>) -> Self {
        Self {
            reason,
            rule: Some(rule),
        }
    }

    pub(crate) fn without_rule(reason: Reason) -> Self {
        Self { reason, rule: None }
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.reason.allows()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The name of the rule that decided; none where it was the lack of one.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }
}

/// Why a policy decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An `ALLOW` rule matched and no `DENY` rule did.
    AllowRule,
    /// A `DENY` rule matched.
    DenyRule,
    /// No rule matched, and what is not allowed is denied.
    NoRule,
    /// The decision hangs on the path, and the request has none.
    PathMissing,
    /// The decision hangs on the path, and it is spelled in a way that could get around a rule.
    PathNotCanonical,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::AllowRule,
        Self::DenyRule,
        Self::NoRule,
        Self::PathMissing,
        Self::PathNotCanonical,
    ];

    /// Whether a decision for this reason lets the request pass.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::AllowRule => true,
            Self::DenyRule | Self::NoRule | Self::PathMissing | Self::PathNotCanonical => false,
        }
    }

    /// The stable `snake_case` name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AllowRule => "allow_rule",
            Self::DenyRule => "deny_rule",
            Self::NoRule => "no_rule",
            Self::PathMissing => "path_missing",
            Self::PathNotCanonical => "path_not_canonical",
        }
    }

    /// A sentence for the person whose request it was.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AllowRule => "an ALLOW rule of this service's policy matches",
            Self::DenyRule => {
                "a DENY rule of this service's policy matches; its access log names the rule"
            }
            Self::NoRule => {
                "no rule of this service's policy allows this peer to do this; \
                 ask the service's owner for an ALLOW rule"
            }
            Self::PathMissing => "this service's policy decides by path, and the request has none",
            Self::PathNotCanonical => {
                "this service's policy decides by path, and the path is not in its one canonical \
                 spelling; send it without `//`, dot segments, `;`, `\\`, `#` and needless or \
                 lower-case percent-encoding"
            }
        }
    }
}
