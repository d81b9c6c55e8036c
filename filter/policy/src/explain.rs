//! Why a policy decides as it does: every rule, and what of it does not match.

use std::fmt;

use crate::{
    decision::{Decision, Reason},
    engine::{Connection, Policy},
    request::{Once, Request, RequestFacts, Unasked},
    rule::{Action, Fit, Rule, Subject},
};

/// A decision with what each rule has to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    decision: Decision,
    rules: Vec<RuleExplanation>,
}

/// One rule's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleExplanation {
    name: String,
    action: Action,
    dry_run: bool,
    verdict: RuleVerdict,
}

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleVerdict {
    /// All of it does.
    Matches,
    /// This field does not, as a document writes it.
    DoesNotMatch(&'static str),
    /// What it hangs on is missing, or could be read in two ways.
    CannotTell(Reason),
    /// No rule is looked at: the connection itself is refused for this.
    NotReached(Reason),
    /// It speaks of requests, and this connection carries none that can be read.
    OnlyForHttp,
}

impl fmt::Display for RuleVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => f.write_str("matches"),
            Self::DoesNotMatch(field) => write!(f, "`{field}` does not match"),
            Self::CannotTell(reason) => write!(f, "cannot be told: {}", reason.label()),
            Self::NotReached(reason) => write!(f, "not looked at: {}", reason.label()),
            Self::OnlyForHttp => f.write_str("speaks of HTTP, which a TCP connection is not"),
        }
    }
}

impl Explanation {
    /// What the policy decides, as [`Policy::for_connection`] and [`Policy::for_tcp`] do.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Every rule, in the document's order.
    #[must_use]
    pub fn rules(&self) -> &[RuleExplanation] {
        &self.rules
    }
}

impl RuleExplanation {
    /// The rule's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does if it matches.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether it is a dry run.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether it matches, and if not, why.
    #[must_use]
    pub fn verdict(&self) -> RuleVerdict {
        self.verdict
    }
}

impl Policy {
    /// Decides one request and says what each rule has to do with it.
    ///
    /// # Errors
    /// If a fact that a rule hangs on cannot be read.
    pub fn explain<F: RequestFacts>(
        &self,
        connection: &Connection<'_>,
        facts: &mut F,
    ) -> Result<Explanation, F::Error> {
        let decision = self.for_connection(connection).decide(facts)?;
        let mut request = Once::new(facts);
        self.explained(decision, connection, |rule, subject| {
            verdict(rule, subject, &mut request)
        })
    }

    /// As [`Self::explain`], for a connection that carries no HTTP.
    #[must_use]
    pub fn explain_tcp(&self, connection: &Connection<'_>) -> Explanation {
        let decision = self.for_tcp(connection);
        let explained = self.explained(decision.clone(), connection, |rule, subject| {
            Ok::<_, std::convert::Infallible>(if rule.on_request.is_empty() {
                verdict(rule, subject, &mut Unasked).unwrap_or(RuleVerdict::OnlyForHttp)
            } else if rule.action == Action::Deny {
                of(rule.fits_connection(subject))
            } else {
                RuleVerdict::OnlyForHttp
            })
        });
        match explained {
            Ok(explanation) => explanation,
            Err(never) => match never {},
        }
    }

    fn explained<E>(
        &self,
        decision: Decision,
        connection: &Connection<'_>,
        mut judge: impl FnMut(&Rule, &Subject) -> Result<RuleVerdict, E>,
    ) -> Result<Explanation, E> {
        let subject = self.subject(connection);
        let mut rules = Vec::with_capacity(self.rules());
        for rule in &self.compiled().rules {
            let verdict = match &subject {
                Ok(subject) => judge(rule, subject)?,
                Err(reason) => RuleVerdict::NotReached(*reason),
            };
            rules.push(RuleExplanation {
                name: rule.name.to_string(),
                action: rule.action,
                dry_run: rule.dry_run,
                verdict,
            });
        }
        Ok(Explanation { decision, rules })
    }
}

fn verdict<R: Request>(
    rule: &Rule,
    subject: &Subject,
    request: &mut R,
) -> Result<RuleVerdict, R::Error> {
    let on_connection = rule.fits_connection(subject);
    if matches!(on_connection, Fit::No(_)) {
        return Ok(of(on_connection));
    }
    let on_request = rule.fits_request(request)?;
    Ok(of(on_connection.and(|| on_request)))
}

fn of(fit: Fit) -> RuleVerdict {
    match fit {
        Fit::Yes => RuleVerdict::Matches,
        Fit::No(field) => RuleVerdict::DoesNotMatch(field),
        Fit::Unknown(reason) => RuleVerdict::CannotTell(reason),
    }
}
