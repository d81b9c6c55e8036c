//! What is left of the rules for one connection, and what that says of a request.

use std::{convert::Infallible, ops::ControlFlow};

use super::Policy;
use crate::{
    decision::{Decision, Outcome, Reason, RuleRef},
    pending::{List, Pending, Rules},
    request::Request,
    rule::{Action, Fit, Rule, Subject},
};

/// What is left of the rules for one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    deny: List,
    allow: List,
    audit: List,
}

/// Which rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// Those that are no dry run.
    Live,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Http,
    Tcp,
}

impl Policy {
    pub(super) fn left(&self, subject: &Subject, layer: Layer) -> Left {
        let mut left = Left::default();
        for (at, rule) in self.candidates(subject) {
            let fit = rule.fits_connection(subject);
            let hangs = !rule.on_request.is_empty() && layer == Layer::Http;
            let never =
                layer == Layer::Tcp && !rule.on_request.is_empty() && rule.action != Action::Deny;
            if never || matches!(fit, Fit::No(_)) {
                continue;
            }
            let list = match rule.action {
                Action::Deny => &mut left.deny,
                Action::Allow => &mut left.allow,
                Action::Audit => &mut left.audit,
            };
            list.add(Pending { rule: at, fit }, rule, hangs);
        }
        left
    }

    /// The rules that could match, ascending.
    fn candidates(&self, subject: &Subject) -> impl Iterator<Item = (u32, &Rule)> {
        let index = &self.0.by_principal;
        let mut found = index.others().to_vec();
        if let Some(id) = subject.names.id() {
            found.extend(index.matching(id));
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|at| {
            let rule = self.0.rules.get(usize::try_from(at).ok()?)?;
            Some((at, rule))
        })
    }

    pub(super) fn decide<R: Request>(
        &self,
        left: &Left,
        request: &mut R,
    ) -> Result<Decision, R::Error> {
        let live = self.outcome(left, View::Live, request)?;
        let mut would = None;
        if self.0.has_dry_rules {
            let all = self.outcome(left, View::All, request)?;
            would = (all.is_allowed() != live.is_allowed()).then(|| Box::new(all));
        }
        let audited = self.audited(left, request)?;
        Ok(self.finish(Decision {
            live,
            would,
            audited,
        }))
    }

    fn outcome<R: Request>(
        &self,
        left: &Left,
        view: View,
        request: &mut R,
    ) -> Result<Outcome, R::Error> {
        let counts = |rule: &Rule| view == View::All || !rule.dry_run;
        let denied = left
            .deny
            .visit(&self.with_index(), request, |at, rule, fit| match fit {
                Fit::Yes if counts(rule) => ControlFlow::Break(by_rule(Reason::DenyRule, at, rule)),
                Fit::Unknown(reason) if counts(rule) => ControlFlow::Break(Outcome::new(reason)),
                _ => ControlFlow::Continue(()),
            })?;
        if let Some(denied) = denied {
            return Ok(denied);
        }
        let mut unknown = None;
        let allowed = left
            .allow
            .visit(&self.with_index(), request, |at, rule, fit| {
                match fit {
                    Fit::Yes if counts(rule) => {
                        return ControlFlow::Break(by_rule(Reason::AllowRule, at, rule));
                    }
                    Fit::Unknown(reason) if counts(rule) => {
                        unknown.get_or_insert(reason);
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            })?;
        let default = if self.0.allow_by_default {
            Reason::AllowDefault
        } else {
            Reason::NoRule
        };
        Ok(allowed.unwrap_or_else(|| Outcome::new(unknown.unwrap_or(default))))
    }

    fn audited<R: Request>(&self, left: &Left, request: &mut R) -> Result<Vec<RuleRef>, R::Error> {
        let mut audited = Vec::new();
        left.audit
            .visit(&self.with_index(), request, |at, rule, fit| {
                if fit == Fit::Yes {
                    audited.push(RuleRef::new(at, &rule.name));
                }
                ControlFlow::<Infallible>::Continue(())
            })?;
        Ok(audited)
    }

    fn with_index(&self) -> Rules<'_> {
        Rules {
            all: &self.0.rules,
            by_path: &self.0.by_path,
        }
    }
}

fn by_rule(reason: Reason, at: usize, rule: &Rule) -> Outcome {
    Outcome {
        reason,
        rule: Some(RuleRef::new(at, &rule.name)),
    }
}
