//! One rule's conditions, gathered so that what comes out never lets in more.
//!
//! What a list of an `ALLOW` rule comes to must match at most what Istio's does, that of a `DENY` rule
//! at least that; for a `not…` list it is the other way round.

use serde_json::Value;

use crate::{
    document::{Action, Conditions, Field, Key},
    problem::{Place, Warning},
    values::{Mapped, Vocabulary},
};

/// A rule in the making.
#[derive(Debug, Clone)]
pub(crate) struct Gather<'a> {
    vocabulary: &'a Vocabulary,
    action: Action,
    conditions: Conditions,
    left_out: bool,
    widened: bool,
    asked: usize,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(vocabulary: &'a Vocabulary, action: Action) -> Self {
        Self {
            vocabulary,
            action,
            conditions: Conditions::default(),
            left_out: false,
            widened: false,
            asked: 0,
            warnings: Vec::new(),
        }
    }

    /// The rule's conditions; none if the rule is left out.
    pub(crate) fn finish(self) -> Option<Conditions> {
        (!self.left_out).then_some(self.conditions)
    }

    /// Whether it denies everything, because what it asked cannot be said.
    pub(crate) fn denies_all(&self) -> bool {
        self.widened && !self.left_out && self.conditions.0.is_empty()
    }

    /// How many values were read for it.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// A condition that cannot be said.
    pub(crate) fn cannot_say(&mut self, place: &Place, why: &str) {
        if self.action == Action::Deny {
            let text =
                format!("{why}: the rule is kept without this condition, and so denies more");
            self.warn(place, text);
            self.widened = true;
        } else {
            self.warn(place, format!("{why}: the rule is left out"));
            self.left_out = true;
        }
    }

    /// A list of values, as Istio writes it; one that is not there or empty asks nothing.
    pub(crate) fn list(&mut self, place: &Place, key: Key, raw: &Value) {
        let vocabulary = self.vocabulary;
        self.mapped(place, key, raw, |value| vocabulary.map(key.field, value));
    }

    /// Service accounts, which come to principals.
    pub(crate) fn service_accounts(
        &mut self,
        place: &Place,
        not: bool,
        raw: &Value,
        namespace: &str,
    ) {
        let vocabulary = self.vocabulary;
        let key = Key {
            field: Field::Principals,
            not,
        };
        self.mapped(place, key, raw, |value| {
            vocabulary.service_account(value, namespace)
        });
    }

    fn mapped(&mut self, place: &Place, key: Key, raw: &Value, map: impl Fn(&str) -> Mapped) {
        let Some(texts) = texts(raw) else {
            return self.cannot_say(place, "this is not a list of values");
        };
        if texts.is_empty() {
            return;
        }
        self.asked += texts.len();
        let at_most = (self.action == Action::Deny) == key.not;
        let mut values = Vec::new();
        for text in &texts {
            match map(text) {
                Mapped::Same(same) => {
                    self.say_who_is_nobody(place, text, &same);
                    if at_most && key.field == Field::Hosts {
                        self.say_any_port(place, text, &texts);
                    }
                    values.extend(same);
                }
                Mapped::More(more, why) if !at_most => {
                    let text = format!("{text:?} is taken as {}: {why}", more.join(", "));
                    self.warn(place, text);
                    values.extend(more);
                }
                Mapped::More(_, why) | Mapped::Nothing(why) if at_most => {
                    self.warn(place, format!("{text:?} is left out of the list: {why}"));
                }
                Mapped::More(_, why) | Mapped::Nothing(why) => {
                    return self.cannot_say(place, &format!("{text:?} cannot be said ({why})"));
                }
            }
        }
        self.add(place, key, values);
    }

    fn say_who_is_nobody(&mut self, place: &Place, text: &str, same: &[String]) {
        if same.is_empty() {
            let why = "is of no trust domain that is let in, and so matches nobody";
            self.warn(place, format!("{text:?} {why}"));
        }
    }

    /// The one thing in which ours lets in more: a host is the host at every port and at none. It is
    /// not worth a warning where both `host` and `host:*` are listed.
    fn say_any_port(&mut self, place: &Place, text: &str, texts: &[String]) {
        let (host, other) = match text.strip_suffix(":*") {
            Some(host) => (host, host.to_owned()),
            None => (text, format!("{text}:*")),
        };
        let said =
            host.ends_with('*') || texts.iter().any(|text| text.eq_ignore_ascii_case(&other));
        if !said {
            let what =
                "matches whatever port the request's host names, or none; in Istio it does not";
            self.warn(place, format!("{text:?} {what}"));
        }
    }

    fn add(&mut self, place: &Place, key: Key, mut values: Vec<String>) {
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            if !key.not {
                self.warn(
                    place,
                    "nothing is left in the list, so it matches nothing: the rule is left out"
                        .to_owned(),
                );
                self.left_out = true;
            }
            return;
        }
        let Some(earlier) = self.conditions.0.get(&key).cloned() else {
            self.conditions.0.insert(key, values);
            return;
        };
        if key.not {
            values.extend(earlier);
            values.sort_unstable();
            values.dedup();
            self.conditions.0.insert(key, values);
        } else {
            self.both(place, key, &earlier, &values);
        }
    }

    /// Two lists that both have to match, where we have one.
    fn both(&mut self, place: &Place, key: Key, earlier: &[String], values: &[String]) {
        if earlier == values {
            return;
        }
        if self.action == Action::Deny {
            let why = "asked for a second time, in another list";
            return self.cannot_say(place, &format!("{} are {why}", key.name()));
        }
        let common: Vec<_> = values
            .iter()
            .filter(|value| earlier.contains(value))
            .cloned()
            .collect();
        let what = "are asked for twice: only what both lists name is kept";
        self.warn(place, format!("{} {what}", key.name()));
        self.conditions.0.remove(&key);
        self.add(place, key, common);
    }

    pub(crate) fn warn(&mut self, place: &Place, text: String) {
        self.warnings.push(Warning {
            place: place.clone(),
            text,
        });
    }
}

/// The values of a list; ports may be numbers.
fn texts(raw: &Value) -> Option<Vec<String>> {
    match raw {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
