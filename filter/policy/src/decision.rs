//! What a policy answers.

use std::sync::Arc;

/// A rule, by its place in the document and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleRef {
    index: usize,
    name: Arc<str>,
}

impl RuleRef {
    pub(crate) fn new(index: usize, name: &Arc<str>) -> Self {
        Self {
            index,
            name: Arc::clone(name),
        }
    }

    /// Its position in `rules`, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the rules say: why, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) reason: Reason,
    pub(crate) rule: Option<RuleRef>,
}

impl Outcome {
    pub(crate) fn new(reason: Reason) -> Self {
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

    /// The rule that decided; none where it was the lack of one.
    #[must_use]
    pub fn rule(&self) -> Option<&RuleRef> {
        self.rule.as_ref()
    }
}

/// The answer to one request or connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub(crate) live: Outcome,
    pub(crate) would: Option<Box<Outcome>>,
    pub(crate) audited: Vec<RuleRef>,
}

impl Decision {
    pub(crate) fn plain(live: Outcome) -> Self {
        Self {
            live,
            would: None,
            audited: Vec::new(),
        }
    }

    /// The same under a policy that is dry as a whole: nothing is refused, and what would have been is
    /// kept in [`Self::would`].
    pub(crate) fn dried(mut self) -> Self {
        if !self.live.is_allowed() {
            let refused = std::mem::replace(&mut self.live, Outcome::new(Reason::DryRun));
            self.would = Some(Box::new(refused));
        }
        self
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.live.is_allowed()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.live.reason
    }

    /// The name of the rule that decided; none where it was the lack of one.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.live.rule.as_ref().map(RuleRef::name)
    }

    /// Its position in the document.
    #[must_use]
    pub fn rule_index(&self) -> Option<usize> {
        self.live.rule.as_ref().map(RuleRef::index)
    }

    /// What would have happened if nothing were a dry run; present only where that is not what happens.
    #[must_use]
    pub fn would(&self) -> Option<&Outcome> {
        self.would.as_deref()
    }

    /// The `AUDIT` rules that match.
    #[must_use]
    pub fn audited(&self) -> &[RuleRef] {
        &self.audited
    }
}

/// Why a policy decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An `ALLOW` rule matched and no `DENY` rule did.
    AllowRule,
    /// No rule matched, and `defaultAction` is `ALLOW`.
    AllowDefault,
    /// It would have been refused, and the policy is a dry run.
    DryRun,
    /// A `DENY` rule matched.
    DenyRule,
    /// No rule matched, and what is not allowed is denied.
    NoRule,
    /// `STRICT`, and the peer has no certificate.
    MtlsRequired,
    /// The peer is of a trust domain that is not accepted.
    TrustDomain,
    /// The decision hangs on the source address, and that is not known for certain.
    SourceUnknown,
    /// The decision hangs on the port, and that is not known.
    PortUnknown,
    /// The decision hangs on the method, and the request has none.
    MethodMissing,
    /// The decision hangs on the method, and it is not in capitals.
    MethodNotCanonical,
    /// The decision hangs on the host, and the request has none.
    HostMissing,
    /// The decision hangs on the host, and it is spelled in a way that could get around a rule.
    HostNotCanonical,
    /// The decision hangs on the path, and the request has none.
    PathMissing,
    /// The decision hangs on the path, and it is spelled in a way that could get around a rule.
    PathNotCanonical,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::AllowRule,
        Self::AllowDefault,
        Self::DryRun,
        Self::DenyRule,
        Self::NoRule,
        Self::MtlsRequired,
        Self::TrustDomain,
        Self::SourceUnknown,
        Self::PortUnknown,
        Self::MethodMissing,
        Self::MethodNotCanonical,
        Self::HostMissing,
        Self::HostNotCanonical,
        Self::PathMissing,
        Self::PathNotCanonical,
    ];

    /// Whether a decision for this reason lets the request pass.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::AllowRule | Self::AllowDefault | Self::DryRun => true,
            Self::DenyRule
            | Self::NoRule
            | Self::MtlsRequired
            | Self::TrustDomain
            | Self::SourceUnknown
            | Self::PortUnknown
            | Self::MethodMissing
            | Self::MethodNotCanonical
            | Self::HostMissing
            | Self::HostNotCanonical
            | Self::PathMissing
            | Self::PathNotCanonical => false,
        }
    }

    /// The stable `snake_case` name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AllowRule => "allow_rule",
            Self::AllowDefault => "allow_default",
            Self::DryRun => "dry_run",
            Self::DenyRule => "deny_rule",
            Self::NoRule => "no_rule",
            Self::MtlsRequired => "mtls_required",
            Self::TrustDomain => "trust_domain",
            Self::SourceUnknown => "source_unknown",
            Self::PortUnknown => "port_unknown",
            Self::MethodMissing => "method_missing",
            Self::MethodNotCanonical => "method_not_canonical",
            Self::HostMissing => "host_missing",
            Self::HostNotCanonical => "host_not_canonical",
            Self::PathMissing => "path_missing",
            Self::PathNotCanonical => "path_not_canonical",
        }
    }

    /// A sentence for the person whose request it was.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AllowRule => "an ALLOW rule of this service's policy matches",
            Self::AllowDefault => "no rule matches, and this service's policy allows by default",
            Self::DryRun => "this service's policy would refuse it, but is a dry run",
            Self::DenyRule => {
                "a DENY rule of this service's policy matches; its access log names the rule"
            }
            Self::NoRule => {
                "no rule of this service's policy allows this peer to do this; \
                 ask the service's owner for an ALLOW rule"
            }
            Self::MtlsRequired => {
                "the connection has no client certificate; connect with mutual TLS and an X.509-SVID"
            }
            Self::TrustDomain => "the peer's trust domain is not accepted",
            Self::SourceUnknown => {
                "this service's policy decides by source address, which is not known for certain; \
                 its owner has to put the filter's network role in front"
            }
            Self::PortUnknown => "this service's policy decides by port, which is not known",
            Self::MethodMissing => {
                "this service's policy decides by method, and the request has none"
            }
            Self::MethodNotCanonical => {
                "this service's policy decides by method, and the method is not in capitals"
            }
            Self::HostMissing => "this service's policy decides by host, and the request has none",
            Self::HostNotCanonical => {
                "this service's policy decides by host, and the host is not a plain name or address \
                 with at most a port"
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
