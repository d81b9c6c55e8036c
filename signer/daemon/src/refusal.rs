//! Why there is no certificate, and what the caller hears of it. This is the one place where a reason becomes a status.
//!
//! A caller gets a code and a sentence of ours, the same for all reasons of a kind; the log has the reason itself. The codes that
//! clients ask again on (Canceled, DeadlineExceeded, ResourceExhausted, Aborted, Internal, Unavailable) stand for what waiting
//! can help.

use crate::ports::Frontend;
use credence_ca::life::NotGiven;
use std::time::Duration;
use thiserror::Error;
use tonic::{Code, Status};

/// Why it is not known who is asking. What it says is for logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttestError {
    /// No proof, or one that is not good.
    #[error("not authenticated: {0}")]
    Unauthenticated(String),
    /// A good proof of somebody who may not have what was asked for.
    #[error("authenticated, and refused: {0}")]
    Denied(String),
    /// It cannot be told now; to ask again helps.
    #[error("who is asking cannot be told now: {0}")]
    Unavailable(String),
}

/// Why there is no certificate. What it says is for logs and the record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is not known who is asking.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// The message breaks a rule of its protocol.
    #[error("the message is not a good one: {0}")]
    Message(String),
    /// The claims break a rule of their protocol: as if no proof were good.
    #[error("the claims are not good ones: {0}")]
    Claims(String),
    /// The certification request cannot be read, its key is not accepted, or possession is not proved.
    #[error("the certification request is not a good one: {0}")]
    Csr(String),
    /// A life that is not given here.
    #[error(transparent)]
    Life(#[from] NotGiven),
    /// The identity is of a trust domain that this frontend does not serve.
    #[error("the trust domain of {0} is not one of this frontend's")]
    TrustDomain(String),
    /// Revoked, or asks for more than it may have.
    #[error("not permitted: {0}")]
    NotPermitted(String),
    /// As much as one identity may have for now.
    #[error("one identity's rate is used up; {} ms more", .0.as_millis())]
    IdentityRate(Duration),
    /// As much as all together may have for now.
    #[error("the rate of all together is used up; {} ms more", .0.as_millis())]
    GlobalRate(Duration),
    /// As many are waiting as may.
    #[error("as many requests are waiting as may: {0}")]
    Busy(&'static str),
    /// It took too long.
    #[error("no answer in time: {0}")]
    TimedOut(&'static str),
    /// Something that is needed cannot be had now: the ledger's disk, a lifecycle step.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// Something went wrong here: the module, the guard, the key.
    #[error("failed: {0}")]
    Failed(String),
}

/// What a caller can be told, and what counts are kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// No proof, or one that is not good.
    Unauthenticated,
    /// May not have what was asked for.
    Denied,
    /// The request is not a good one.
    Invalid,
    /// Too many from here, or in all.
    Exhausted,
    /// Took too long.
    TimedOut,
    /// Cannot be had now.
    Unavailable,
    /// Went wrong here.
    Failed,
}

impl Class {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Unauthenticated,
        Self::Denied,
        Self::Invalid,
        Self::Exhausted,
        Self::TimedOut,
        Self::Unavailable,
        Self::Failed,
    ];

    /// As logs and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Exhausted => "exhausted",
            Self::TimedOut => "timed_out",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }

    /// The status that a caller gets. Dapr's sentry answers PermissionDenied to whatever its validators do not like.
    #[must_use]
    pub fn status(self, frontend: Frontend) -> Status {
        let (code, words) = match self {
            Self::Unauthenticated => match frontend {
                Frontend::Dapr => (
                    Code::PermissionDenied,
                    "the caller could not be authenticated",
                ),
                Frontend::Istio | Frontend::Bundle => (
                    Code::Unauthenticated,
                    "the caller could not be authenticated",
                ),
            },
            Self::Denied => (
                Code::PermissionDenied,
                "the caller may not have what it asks for",
            ),
            Self::Invalid => (Code::InvalidArgument, "the request is not a good one"),
            Self::Exhausted => (
                Code::ResourceExhausted,
                "too many requests; ask again later",
            ),
            Self::TimedOut => (Code::DeadlineExceeded, "no answer in time; ask again"),
            Self::Unavailable => (Code::Unavailable, "not available now; ask again"),
            Self::Failed => (Code::Internal, "the request could not be served"),
        };
        Status::new(code, words)
    }
}

impl Refusal {
    /// What kind of refusal it is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Attest(AttestError::Unauthenticated(_)) | Self::Claims(_) => {
                Class::Unauthenticated
            }
            Self::Attest(AttestError::Denied(_)) | Self::TrustDomain(_) | Self::NotPermitted(_) => {
                Class::Denied
            }
            Self::Message(_) | Self::Csr(_) | Self::Life(_) => Class::Invalid,
            Self::IdentityRate(_) | Self::GlobalRate(_) | Self::Busy(_) => Class::Exhausted,
            Self::TimedOut(_) => Class::TimedOut,
            Self::Attest(AttestError::Unavailable(_)) | Self::Unavailable(_) => Class::Unavailable,
            Self::Failed(_) => Class::Failed,
        }
    }

    /// What the caller hears.
    #[must_use]
    pub fn status(&self, frontend: Frontend) -> Status {
        self.class().status(frontend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(Refusal, Code, Code)> {
        let s = || "a secret reason".to_owned();
        let t = Duration::from_secs(1);
        let life = NotGiven {
            asked: t,
            least: t,
            most: t,
        };
        let denied = Code::PermissionDenied;
        vec![
            (
                AttestError::Unauthenticated(s()).into(),
                Code::Unauthenticated,
                denied,
            ),
            (Refusal::Claims(s()), Code::Unauthenticated, denied),
            (AttestError::Denied(s()).into(), denied, denied),
            (Refusal::TrustDomain(s()), denied, denied),
            (Refusal::NotPermitted(s()), denied, denied),
            (
                Refusal::Message(s()),
                Code::InvalidArgument,
                Code::InvalidArgument,
            ),
            (
                Refusal::Csr(s()),
                Code::InvalidArgument,
                Code::InvalidArgument,
            ),
            (life.into(), Code::InvalidArgument, Code::InvalidArgument),
            (
                Refusal::IdentityRate(t),
                Code::ResourceExhausted,
                Code::ResourceExhausted,
            ),
            (
                Refusal::GlobalRate(t),
                Code::ResourceExhausted,
                Code::ResourceExhausted,
            ),
            (
                Refusal::Busy("a secret reason"),
                Code::ResourceExhausted,
                Code::ResourceExhausted,
            ),
            (
                Refusal::TimedOut("a secret reason"),
                Code::DeadlineExceeded,
                Code::DeadlineExceeded,
            ),
            (
                AttestError::Unavailable(s()).into(),
                Code::Unavailable,
                Code::Unavailable,
            ),
            (
                Refusal::Unavailable(s()),
                Code::Unavailable,
                Code::Unavailable,
            ),
            (Refusal::Failed(s()), Code::Internal, Code::Internal),
        ]
    }

    #[test]
    fn each_reason_has_its_code_and_tells_no_more() {
        for (refusal, istio, dapr) in all() {
            assert_eq!(refusal.status(Frontend::Istio).code(), istio, "{refusal}");
            assert_eq!(refusal.status(Frontend::Bundle).code(), istio, "{refusal}");
            assert_eq!(refusal.status(Frontend::Dapr).code(), dapr, "{refusal}");
            let words = refusal.status(Frontend::Istio).message().to_owned();
            assert!(
                !words.contains("secret") && !words.contains("1 s"),
                "{words}"
            );
        }
    }

    /// The codes that istio-agent asks again on.
    #[test]
    fn clients_ask_again_where_waiting_helps_and_only_there() {
        let retried = [
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
            Code::Internal,
            Code::Unavailable,
        ];
        for (refusal, code, _) in all() {
            let helps = match refusal.class() {
                Class::Exhausted | Class::TimedOut | Class::Unavailable | Class::Failed => true,
                Class::Unauthenticated | Class::Denied | Class::Invalid => false,
            };
            assert_eq!(retried.contains(&code), helps, "{refusal}");
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> =
            Class::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names.len(), Class::ALL.len());
    }
}
