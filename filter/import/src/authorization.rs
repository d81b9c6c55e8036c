//! `AuthorizationPolicy` read as rules.

use credence_policy::limits;
use serde_json::{Map, Value};

use crate::{
    document::{Action, Conditions, Field, Key, RuleDocument},
    gather::Gather,
    problem::{Place, Problem, Warning},
    resource::Resource,
    values::Vocabulary,
};

/// Values read over all rules; far more than the engine takes.
const MAX_VALUES: usize = 200_000;

/// The rules of every policy that holds.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    vocabulary: &'a Vocabulary,
    /// Values read so far, in every rule that they went into.
    values: usize,
    /// The workload's namespace, for policies without one.
    namespace: &'a str,
    pub(crate) rules: Vec<RuleDocument>,
    /// An `ALLOW` policy holds, so what no rule allows is refused, were its rules left out.
    pub(crate) allows: bool,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

/// What is the same for every rule of a policy.
#[derive(Debug)]
struct Policy {
    place: Place,
    name: String,
    namespace: String,
    action: Action,
    dry_run: bool,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(vocabulary: &'a Vocabulary, namespace: &'a str) -> Self {
        Self {
            vocabulary,
            values: 0,
            namespace,
            rules: Vec::new(),
            allows: false,
            warnings: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn policy(&mut self, position: usize, resource: &Resource) {
        let policy = match self.head(position, resource) {
            Ok(policy) => policy,
            Err(problem) => return self.problems.push(problem),
        };
        self.allows |= policy.action == Action::Allow && !policy.dry_run;
        let known = [
            "selector",
            "targetRef",
            "targetRefs",
            "action",
            "provider",
            "rules",
        ];
        for field in resource
            .spec
            .keys()
            .filter(|field| !known.contains(&field.as_str()))
        {
            let text = "this field is not known, and what it means for the policy neither";
            self.problems.push(Problem::new(
                &policy.place.at(&format!("spec.{field}")),
                text,
            ));
        }
        match resource.spec.get("rules") {
            None | Some(Value::Null) => {}
            Some(Value::Array(rules)) => {
                for (index, rule) in rules.iter().enumerate() {
                    self.rule(&policy, index, rule);
                }
            }
            Some(_) => {
                let problem = Problem::new(&policy.place.at("spec.rules"), "this is not a list");
                self.problems.push(problem);
            }
        }
    }

    fn head(&mut self, position: usize, resource: &Resource) -> Result<Policy, Problem> {
        let place = resource.place.clone();
        let at = place.at("spec.action");
        let namespace = resource
            .namespace
            .clone()
            .unwrap_or_else(|| self.namespace.to_owned());
        let (action, dry_run) = match resource.spec.get("action") {
            None | Some(Value::Null) => (Action::Allow, resource.dry_run),
            Some(Value::String(action)) => match action.as_str() {
                "ALLOW" => (Action::Allow, resource.dry_run),
                "DENY" => (Action::Deny, resource.dry_run),
                "AUDIT" => (Action::Audit, resource.dry_run),
                "CUSTOM" => {
                    self.warn(&at, "CUSTOM has no counterpart, there is nobody to ask: what it matches is denied");
                    (Action::Deny, false)
                }
                other => return Err(Problem::new(&at, format!("{other:?} is not an action"))),
            },
            Some(_) => return Err(Problem::new(&at, "this is not an action")),
        };
        if action == Action::Allow && dry_run {
            self.warn(
                &place,
                "a dry run of an ALLOW policy shows what it would allow, not what it would refuse",
            );
        }
        let name = short(position, &namespace, &resource.name);
        Ok(Policy {
            place,
            name,
            namespace,
            action,
            dry_run,
        })
    }

    fn rule(&mut self, policy: &Policy, index: usize, rule: &Value) {
        let place = policy.place.at(&format!("spec.rules[{index}]"));
        let name = format!("{}/{index}", policy.name);
        let mut common = Gather::new(self.vocabulary, policy.action);
        let fields = match rule {
            Value::Object(fields) => fields.clone(),
            Value::Null => Map::new(),
            _ => {
                common.cannot_say(&place, "this is not a rule");
                Map::new()
            }
        };
        let unknown = |field: &&String| !["from", "to", "when"].contains(&field.as_str());
        for field in fields.keys().filter(unknown) {
            common.cannot_say(&inside(&place, field), "this field is not known");
        }
        let sources = sides(&mut common, &place, "from", "source", fields.get("from"));
        let operations = sides(&mut common, &place, "to", "operation", fields.get("to"));
        when(&mut common, &place, fields.get("when"));
        if !self.fits(&place, sources.len(), operations.len()) {
            return;
        }
        self.warnings.append(&mut common.warnings);
        for (from, source) in &sources {
            let mut with_source = common.clone();
            if let Some(source) = source {
                let place = inside(&place, &format!("from[{from}].source"));
                apply(&mut with_source, &place, source, &policy.namespace);
            }
            self.warnings.append(&mut with_source.warnings);
            for (to, operation) in &operations {
                let mut whole = with_source.clone();
                if let Some(operation) = operation {
                    let place = inside(&place, &format!("to[{to}].operation"));
                    apply(&mut whole, &place, operation, &policy.namespace);
                }
                let name = match (sources.len(), operations.len()) {
                    (1, 1) => name.clone(),
                    _ => format!("{name}/{from}/{to}"),
                };
                if !self.keep(policy, &place, name, whole) {
                    return;
                }
            }
        }
    }

    /// Sources times operations can be more rules than there may be.
    fn fits(&mut self, place: &Place, sources: usize, operations: usize) -> bool {
        let fits = sources
            .checked_mul(operations)
            .and_then(|count| count.checked_add(self.rules.len()))
            .is_some_and(|count| count <= limits::MAX_RULES);
        if !fits {
            let text = format!("this makes more than {} rules in all", limits::MAX_RULES);
            self.problems.push(Problem::new(place, text));
        }
        fits
    }

    /// Whether there is room for more.
    fn keep(
        &mut self,
        policy: &Policy,
        place: &Place,
        name: String,
        mut gathered: Gather<'_>,
    ) -> bool {
        self.values = self.values.saturating_add(gathered.asked());
        if self.values > MAX_VALUES {
            let text = format!("this makes more than {MAX_VALUES} values in all");
            self.problems.push(Problem::new(place, text));
            return false;
        }
        self.warnings.append(&mut gathered.warnings);
        if gathered.denies_all() {
            self.warn(place, "no condition is left: this rule denies everything");
        }
        if let Some(conditions) = gathered.finish() {
            self.rules.push(rule_document(policy, name, conditions));
        }
        true
    }

    fn warn(&mut self, place: &Place, text: &str) {
        self.warnings.push(Warning {
            place: place.clone(),
            text: text.to_owned(),
        });
    }
}

fn rule_document(policy: &Policy, name: String, conditions: Conditions) -> RuleDocument {
    RuleDocument {
        name,
        action: policy.action,
        dry_run: policy.dry_run,
        conditions,
    }
}

type Side<'v> = (usize, Option<&'v Map<String, Value>>);

/// The sources or operations of a rule; one that asks nothing if there are none.
fn sides<'v>(
    gather: &mut Gather<'_>,
    place: &Place,
    list: &str,
    inner: &str,
    raw: Option<&'v Value>,
) -> Vec<Side<'v>> {
    let items = match raw {
        None | Some(Value::Null) => return vec![(0, None)],
        Some(Value::Array(items)) if items.is_empty() => return vec![(0, None)],
        Some(Value::Array(items)) => items,
        Some(_) => {
            gather.cannot_say(&inside(place, list), "this is not a list");
            return vec![(0, None)];
        }
    };
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let fields = item.as_object().filter(|fields| fields.len() == 1);
        let fields = fields.and_then(|fields| fields.get(inner)?.as_object());
        match fields.filter(|fields| !fields.is_empty()) {
            Some(fields) => found.push((index, Some(fields))),
            None => {
                let place = inside(place, &format!("{list}[{index}]"));
                gather.cannot_say(&place, &format!("this is no {inner} with fields"));
                found.push((index, None));
            }
        }
    }
    found
}

/// The fields of one source or operation.
fn apply(gather: &mut Gather<'_>, place: &Place, fields: &Map<String, Value>, namespace: &str) {
    for (name, raw) in fields {
        let place = inside(place, name);
        match (key_of(name), name.as_str()) {
            (Some(key), _) => gather.list(&place, key, raw),
            (None, "serviceAccounts") => gather.service_accounts(&place, false, raw, namespace),
            (None, "notServiceAccounts") => gather.service_accounts(&place, true, raw, namespace),
            (None, _) if raw.is_null() || raw.as_array().is_some_and(Vec::is_empty) => {}
            (None, _) => gather.cannot_say(&place, &no_counterpart(name)),
        }
    }
}

fn key_of(name: &str) -> Option<Key> {
    let (field, not) = match name {
        "principals" => (Field::Principals, false),
        "notPrincipals" => (Field::Principals, true),
        "namespaces" => (Field::Namespaces, false),
        "notNamespaces" => (Field::Namespaces, true),
        "ipBlocks" => (Field::IpBlocks, false),
        "notIpBlocks" => (Field::IpBlocks, true),
        "ports" => (Field::Ports, false),
        "notPorts" => (Field::Ports, true),
        "methods" => (Field::Methods, false),
        "notMethods" => (Field::Methods, true),
        "hosts" => (Field::Hosts, false),
        "notHosts" => (Field::Hosts, true),
        "paths" => (Field::Paths, false),
        "notPaths" => (Field::Paths, true),
        _ => return None,
    };
    Some(Key { field, not })
}

fn no_counterpart(name: &str) -> String {
    match name {
        "requestPrincipals" | "notRequestPrincipals" => {
            "JWT identities have no counterpart".to_owned()
        }
        "remoteIpBlocks" | "notRemoteIpBlocks" => {
            "addresses out of X-Forwarded-For have no counterpart".to_owned()
        }
        _ => format!("{name} is not known"),
    }
}

fn when(gather: &mut Gather<'_>, place: &Place, raw: Option<&Value>) {
    let items = match raw {
        None | Some(Value::Null) => return,
        Some(Value::Array(items)) => items,
        Some(_) => return gather.cannot_say(&inside(place, "when"), "this is not a list"),
    };
    for (index, item) in items.iter().enumerate() {
        condition(gather, &inside(place, &format!("when[{index}]")), item);
    }
}

fn condition(gather: &mut Gather<'_>, place: &Place, item: &Value) {
    let known = |fields: &&Map<String, Value>| {
        fields
            .keys()
            .all(|name| ["key", "values", "notValues"].contains(&name.as_str()))
    };
    let Some(fields) = item.as_object().filter(known) else {
        return gather.cannot_say(place, "this is not a condition");
    };
    let key = fields
        .get("key")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let field = match key {
        "source.ip" => Field::IpBlocks,
        "source.namespace" => Field::Namespaces,
        "source.principal" => Field::Principals,
        "destination.port" => Field::Ports,
        _ => return gather.cannot_say(place, &format!("the key {key:?} has no counterpart")),
    };
    let has = |name| {
        fields
            .get(name)
            .is_some_and(|raw| *raw != Value::Array(Vec::new()) && !raw.is_null())
    };
    if !has("values") && !has("notValues") {
        return gather.cannot_say(place, "the condition has no values");
    }
    for (name, not) in [("values", false), ("notValues", true)] {
        if let Some(raw) = fields.get(name) {
            gather.list(&inside(place, name), Key { field, not }, raw);
        }
    }
}

fn inside(place: &Place, field: &str) -> Place {
    let outer = &place.field;
    place.at(&format!("{outer}.{field}"))
}

/// `namespace/policy`, as long as a rule's name has room for it and for the positions behind it.
fn short(position: usize, namespace: &str, name: &str) -> String {
    const ROOM: usize = limits::MAX_RULE_NAME_BYTES - 24;
    let whole = format!("{namespace}/{name}");
    if whole.len() <= ROOM {
        return whole;
    }
    let end = format!("-{position}");
    let kept: String = whole.chars().take(ROOM.saturating_sub(end.len())).collect();
    format!("{kept}{end}")
}
