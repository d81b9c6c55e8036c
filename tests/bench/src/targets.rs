//! What was to be reached, and whether it was.

use std::fmt;

use crate::{rounds::Results, scripted, stats::Spread};

/// What a figure must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// It may be this.
    AtMost(f64),
    /// It has to be this.
    AtLeast(f64),
    /// It has to stay under this.
    Below(f64),
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
            Self::Below(limit) => figure < limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}"),
            Self::AtLeast(limit) => write!(f, "at least {limit}"),
            Self::Below(limit) => write!(f, "below {limit}"),
        }
    }
}

/// A target.
#[derive(Debug, Clone)]
pub struct Target {
    /// In words.
    pub what: String,
    /// What to keep to.
    pub limit: Limit,
    /// The figure's unit.
    pub unit: &'static str,
    /// What was measured; none if that was not possible.
    pub figure: Option<Spread>,
    /// Where to look if it was missed.
    pub hint: String,
}

/// Whether a target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The median keeps to the limit.
    Reached,
    /// It does not.
    Missed,
    /// There is no figure.
    NotMeasured,
}

impl Target {
    /// By the median. [`Target::is_clear`] says whether noise could have decided.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.figure {
            None => Verdict::NotMeasured,
            Some(figure) if self.limit.holds(figure.median) => Verdict::Reached,
            Some(_) => Verdict::Missed,
        }
    }

    /// Whether both quartiles lie on the median's side of the limit.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.figure
            .is_some_and(|figure| self.limit.holds(figure.low) == self.limit.holds(figure.high))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, unit) = (&self.what, self.unit);
        let verdict = match self.verdict() {
            Verdict::Reached => "reached",
            Verdict::Missed => "MISSED",
            Verdict::NotMeasured => return write!(f, "not measured  {what}"),
        };
        write!(f, "{verdict:<13} {what}: ")?;
        if let Some(Spread { low, median, high }) = self.figure {
            write!(f, "{median:.2} {unit}")?;
            if low < high {
                write!(f, " (quartiles {low:.2} to {high:.2})")?;
            }
        }
        write!(f, ", wanted {} {unit}", self.limit)?;
        if !self.is_clear() {
            write!(f, "; the limit lies within the quartiles")?;
        }
        if self.verdict() == Verdict::Missed {
            write!(f, "\n              look at: {}", self.hint)?;
        }
        Ok(())
    }
}

/// What the targets are held against, besides the rounds.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Host calls of a request of a known peer whose rules need nothing of it.
    pub host_calls: Vec<String>,
    /// 10,000 rules in the scripted host.
    pub load: scripted::Load,
    /// Milliseconds of the same in Envoy.
    pub envoy_load_ms: Spread,
    /// The scripted host's memory over all certificates.
    pub churn: scripted::Churn,
}

/// Every target.
#[must_use]
pub fn all(results: &Results, facts: &Facts) -> Vec<Target> {
    let mut targets = Vec::new();
    for protocol in ["h1", "h2"] {
        targets.extend(per_request(results, protocol, &facts.host_calls));
    }
    targets.extend(per_policy(facts));
    targets
}

/// The targets on the CPU time of a request.
#[must_use]
pub fn per_request(results: &Results, protocol: &str, host_calls: &[String]) -> Vec<Target> {
    let calls = host_calls.join(", ");
    let target = |what: &str, limit, case: &str, baseline: &str, hint: &str| Target {
        what: format!("{protocol}: {what}"),
        limit: Limit::AtMost(limit),
        unit: "µs",
        figure: results.over(
            &format!("{protocol}/{case}"),
            &format!("{protocol}/{baseline}"),
        ),
        hint: hint.to_owned(),
    };
    let profile = "perf record -g -p of the case's Envoy under scripts/bench filter --only <case>";
    vec![
        target(
            "10,000 principals over 1",
            1.0,
            "credence-10000",
            "credence-1",
            profile,
        ),
        target(
            "credence-1 over the Wasm filter that does nothing",
            4.0,
            "credence-1",
            "wasm-noop",
            &format!("each host call costs about 1 µs, and a request makes: {calls}"),
        ),
        target(
            "credence-1000 over native RBAC with 200 principals",
            0.0,
            "credence-1000",
            "rbac-200",
            profile,
        ),
        target(
            "the same where the peer has a DNS name too, which makes RBAC faster",
            0.0,
            "credence-1000",
            "rbac-dns-200",
            profile,
        ),
    ]
}

fn per_policy(facts: &Facts) -> Vec<Target> {
    let exactly = |figure| Spread::of([figure]);
    let target = |what: &str, limit, unit, figure, hint: &str| Target {
        what: what.to_owned(),
        limit,
        unit,
        figure,
        hint: hint.to_owned(),
    };
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let calls = facts.host_calls.len() as f64;
    vec![
        target(
            "host calls of a request of a known peer whose rules need nothing of it",
            Limit::AtMost(1.0),
            "calls",
            exactly(calls),
            &facts.host_calls.join(", "),
        ),
        target(
            "load of 10,000 rules, in Envoy",
            Limit::Below(250.0),
            "ms",
            Some(facts.envoy_load_ms),
            "the log of Envoy with --component-log-level wasm:trace; the scripted host under perf",
        ),
        target(
            "VM memory with 10,000 rules",
            Limit::Below(16.0),
            "MiB",
            exactly(facts.load.vm_mib),
            "the document and what is made of it are held at once while it loads",
        ),
        target(
            "growth of VM memory over all certificates of the churn, after the first tenth",
            Limit::AtMost(0.0),
            "MiB",
            facts.churn.growth_mib().and_then(exactly),
            "what is kept per certificate, identity or connection without a bound",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(figure: Option<Spread>) -> Target {
        Target {
            what: "x over y".to_owned(),
            limit: Limit::AtMost(1.0),
            unit: "µs",
            figure,
            hint: "z".to_owned(),
        }
    }

    #[test]
    fn a_miss_is_called_one_and_says_where_to_look() {
        let missed = target(Spread::of([1.4, 1.5, 1.6])).to_string();
        assert!(missed.starts_with("MISSED"), "{missed}");
        assert!(
            missed.contains("1.50 µs (quartiles 1.45 to 1.55), wanted at most 1 µs"),
            "{missed}"
        );
        assert!(missed.contains("look at: z"), "{missed}");
    }

    #[test]
    fn noise_around_the_limit_is_said() {
        let unclear = target(Spread::of([0.0, 0.9, 3.0]));
        assert_eq!(unclear.verdict(), Verdict::Reached);
        assert!(!unclear.is_clear());
        assert!(unclear.to_string().contains("lies within"), "{unclear}");
    }

    #[test]
    fn without_a_figure_nothing_is_reached() {
        assert_eq!(target(None).verdict(), Verdict::NotMeasured);
        assert!(target(None).to_string().starts_with("not measured"));
        assert!(!Limit::Below(250.0).holds(250.0));
    }
}
