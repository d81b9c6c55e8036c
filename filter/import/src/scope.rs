//! Which resources hold for the workload that the policy is for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    options::Options,
    problem::{Problem, Warning},
    resource::Resource,
};

/// The resources that hold, with how near each is to the workload.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// The workload's namespace, as far as it is known.
    pub(crate) namespace: String,
    pub(crate) taken: Vec<(Level, Resource)>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

/// How near a resource is to the workload: what is nearer overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Mesh,
    Namespace,
    Workload,
}

/// What a resource is attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Attachment {
    /// Every workload of its namespace, or of all for the root namespace.
    All,
    Labels(BTreeMap<String, String>),
    Targets(BTreeSet<String>),
}

impl Scope {
    pub(crate) fn new(resources: Vec<Resource>, options: &Options) -> Self {
        let mut scope = Self::default();
        let Some(namespace) = scope.find_namespace(&resources, options) else {
            return scope;
        };
        scope.namespace = namespace;
        let attached = scope.of_namespace(resources, options);
        scope.take(attached, options);
        scope
    }

    fn find_namespace(&mut self, resources: &[Resource], options: &Options) -> Option<String> {
        if let Some(namespace) = &options.namespace {
            return Some(namespace.clone());
        }
        let named = resources
            .iter()
            .filter_map(|resource| resource.namespace.as_ref());
        let others: BTreeSet<_> = named
            .filter(|name| **name != options.root_namespace)
            .collect();
        let mut others = others.into_iter();
        match (others.next(), others.next()) {
            (only, None) => Some(only.cloned().unwrap_or_else(|| "default".to_owned())),
            (Some(one), Some(other)) => {
                self.problems.push(Problem::of_options(format!(
                    "the files speak of several namespaces, such as {one} and {other}: \
                     say for which one the policy is (--namespace)"
                )));
                None
            }
            (None, Some(_)) => None,
        }
    }

    fn of_namespace(
        &mut self,
        resources: Vec<Resource>,
        options: &Options,
    ) -> Vec<(Attachment, Resource)> {
        let mut kept = Vec::new();
        for resource in resources {
            let own = resource
                .namespace
                .as_ref()
                .is_none_or(|name| *name == self.namespace);
            if own || resource.namespace.as_ref() == Some(&options.root_namespace) {
                match attachment(&resource) {
                    Ok(attachment) => kept.push((attachment, resource)),
                    Err(problem) => self.problems.push(problem),
                }
            } else {
                let text = format!("not taken: it is not of namespace {}", self.namespace);
                self.warn(&resource, text);
            }
        }
        kept
    }

    fn take(&mut self, attached: Vec<(Attachment, Resource)>, options: &Options) {
        let distinct: BTreeSet<_> = attached
            .iter()
            .map(|(attachment, _)| attachment.clone())
            .filter(|attachment| *attachment != Attachment::All)
            .collect();
        let nothing_said = options.labels.is_none() && options.target.is_none();
        if nothing_said && distinct.len() > 1 {
            self.problems.push(Problem::of_options(
                "the files have several selectors or targets: say what the workload's labels are \
                 (--label KEY=VALUE), or what the policies are attached to (--target KIND/NAME)",
            ));
            return;
        }
        for (attachment, resource) in attached {
            match self.holds(&attachment, &resource, options) {
                Ok(true) => {
                    let level = level(&attachment, &resource, options);
                    self.taken.push((level, resource));
                }
                Ok(false) => self.warn(&resource, format!("not taken: it is for {attachment}")),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn holds(
        &mut self,
        attachment: &Attachment,
        resource: &Resource,
        options: &Options,
    ) -> Result<bool, Problem> {
        let nothing_said = options.labels.is_none() && options.target.is_none();
        match (attachment, &options.labels, &options.target) {
            (Attachment::All, ..) => Ok(true),
            (Attachment::Labels(wanted), Some(labels), _) => Ok(wanted
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))),
            (Attachment::Targets(targets), _, Some(target)) => Ok(targets.contains(target)),
            (Attachment::Targets(_), Some(_), None) => Ok(false),
            (Attachment::Labels(_), None, Some(_)) => Err(Problem::new(
                &resource.place.at("spec.selector"),
                "whether it selects the workload cannot be told: say its labels too (--label KEY=VALUE)",
            )),
            _ => {
                debug_assert!(nothing_said);
                self.warn(
                    resource,
                    format!("taken to hold for the workload: it is for {attachment}"),
                );
                Ok(true)
            }
        }
    }

    fn warn(&mut self, resource: &Resource, text: String) {
        self.warnings.push(Warning {
            place: resource.place.clone(),
            text,
        });
    }
}

fn level(attachment: &Attachment, resource: &Resource, options: &Options) -> Level {
    match attachment {
        Attachment::Labels(_) | Attachment::Targets(_) => Level::Workload,
        Attachment::All if resource.namespace.as_ref() == Some(&options.root_namespace) => {
            Level::Mesh
        }
        Attachment::All => Level::Namespace,
    }
}

fn attachment(resource: &Resource) -> Result<Attachment, Problem> {
    let (selector, targets) = (labels(resource)?, targets(resource)?);
    match (selector, targets.is_empty()) {
        (None, true) => Ok(Attachment::All),
        (Some(labels), true) => Ok(Attachment::Labels(labels)),
        (None, false) => Ok(Attachment::Targets(targets)),
        (Some(_), false) => Err(Problem::new(
            &resource.place.at("spec"),
            "it has both a selector and a target: Istio takes one",
        )),
    }
}

fn labels(resource: &Resource) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let odd = || {
        Problem::new(
            &resource.place.at("spec.selector"),
            "this is not {matchLabels: {KEY: VALUE}}",
        )
    };
    let selector = match resource.spec.get("selector") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(selector)) => selector,
        Some(_) => return Err(odd()),
    };
    if selector.keys().any(|key| key != "matchLabels") {
        return Err(odd());
    }
    let labels = match selector.get("matchLabels") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(labels)) => labels,
        Some(_) => return Err(odd()),
    };
    let labels: Option<BTreeMap<_, _>> = labels
        .iter()
        .map(|(key, value)| Some((key.clone(), plain(value)?)))
        .collect();
    labels
        .map(|labels| (!labels.is_empty()).then_some(labels))
        .ok_or_else(odd)
}

/// A label's value, quoted or not.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn targets(resource: &Resource) -> Result<BTreeSet<String>, Problem> {
    let several = match resource.spec.get("targetRefs") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(targets)) => targets.iter().collect(),
        Some(other) => vec![other],
    };
    let one = resource
        .spec
        .get("targetRef")
        .filter(|target| !target.is_null());
    let text = |target: &Value, name| target.get(name).and_then(Value::as_str).map(str::to_owned);
    let named = |target: &Value| {
        Some(format!(
            "{}/{}",
            text(target, "kind")?,
            text(target, "name")?
        ))
    };
    let targets: Option<_> = one.into_iter().chain(several).map(named).collect();
    targets.ok_or_else(|| {
        Problem::new(
            &resource.place.at("spec.targetRefs"),
            "a target has no kind and name",
        )
    })
}

impl std::fmt::Display for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("every workload"),
            Self::Labels(labels) => {
                let labels: Vec<_> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(f, "workloads labelled {}", labels.join(","))
            }
            Self::Targets(targets) => {
                let targets: Vec<_> = targets.iter().map(String::as_str).collect();
                write!(f, "what is attached to {}", targets.join(" or "))
            }
        }
    }
}
