//! The rules of one action that are left for a connection, and their way to an answer.

use std::ops::ControlFlow;

use crate::{
    index::Index,
    request::Request,
    rule::{Fit, Rule},
};

/// Rules that hang on the request beyond which those that a path cannot match are not even looked at.
const LOOKED_AT_EACH: usize = 16;

/// A rule that matches the connection, or of which that cannot be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) rule: u32,
    pub(crate) fit: Fit,
}

/// The order of rules: those that need nothing of the request first; among these and among the rest, the
/// document's.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    settled: Vec<Pending>,
    /// Rules that the index of paths finds, ascending.
    by_path: Vec<Pending>,
    others: Vec<Pending>,
}

impl List {
    /// Called with ascending rules; `hangs`: on the request.
    pub(crate) fn add(&mut self, pending: Pending, rule: &Rule, hangs: bool) {
        match hangs {
            false => self.settled.push(pending),
            true if rule.has_path_keys() => self.by_path.push(pending),
            true => self.others.push(pending),
        }
    }

    /// Judges one rule after the other, in order, until `judge` breaks. Rules of which the request's
    /// path shows that they do not match may be left out.
    pub(crate) fn visit<R: Request, T>(
        &self,
        rules: &Rules<'_>,
        request: &mut R,
        mut judge: impl FnMut(usize, &Rule, Fit) -> ControlFlow<T>,
    ) -> Result<Option<T>, R::Error> {
        for pending in &self.settled {
            let Some((at, rule)) = rules.get(pending) else {
                continue;
            };
            if let ControlFlow::Break(answer) = judge(at, rule, pending.fit) {
                return Ok(Some(answer));
            }
        }
        for pending in self.hanging(rules, request)? {
            let Some((at, rule)) = rules.get(&pending) else {
                continue;
            };
            let on_request = rule.fits_request(request)?;
            let fit = pending.fit.and(|| on_request);
            if let ControlFlow::Break(answer) = judge(at, rule, fit) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn hanging<R: Request>(
        &self,
        rules: &Rules<'_>,
        request: &mut R,
    ) -> Result<Vec<Pending>, R::Error> {
        let mut left = self.others.clone();
        if self.by_path.len() <= LOOKED_AT_EACH {
            left.extend_from_slice(&self.by_path);
        } else if let Ok(path) = request.path()? {
            let at = |rule: u32| self.by_path.binary_search_by_key(&rule, |other| other.rule);
            let found = rules.by_path.matching(path).take(self.by_path.len());
            let found: Vec<u32> = found.collect();
            if found.len() < self.by_path.len() {
                let kept = found.into_iter().filter_map(|rule| at(rule).ok());
                left.extend(kept.filter_map(|at| self.by_path.get(at)));
            } else {
                left.extend_from_slice(&self.by_path);
            }
        } else {
            left.extend_from_slice(&self.by_path);
        }
        left.sort_unstable_by_key(|pending| pending.rule);
        left.dedup_by_key(|pending| pending.rule);
        Ok(left)
    }
}

/// The rules of a policy, with their index of paths.
pub(crate) struct Rules<'a> {
    pub(crate) all: &'a [Rule],
    pub(crate) by_path: &'a Index,
}

impl Rules<'_> {
    fn get(&self, pending: &Pending) -> Option<(usize, &Rule)> {
        let at = usize::try_from(pending.rule).ok()?;
        self.all.get(at).map(|rule| (at, rule))
    }
}
