//! What stands in the files: Kubernetes resources, the two kinds that an import reads.

use serde_json::{Map, Value};

use crate::{
    problem::{Place, Problem, Warning},
    yaml,
};

/// A file's text, with the name that messages give it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name.
    pub name: &'a str,
    /// The YAML.
    pub text: &'a str,
}

/// A resource of one of the kinds that are read.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) dry_run: bool,
    pub(crate) spec: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Authorization,
    PeerAuthentication,
}

/// Everything that stands in the files.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    pub(crate) list: Vec<Resource>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

const GROUP: &str = "security.istio.io/";

impl Resources {
    pub(crate) fn read(sources: &[Source<'_>]) -> Self {
        let mut resources = Self::default();
        for source in sources {
            resources.file(source);
        }
        resources
    }

    fn file(&mut self, source: &Source<'_>) {
        let place = |line| Place {
            file: source.name.to_owned(),
            line,
            ..Place::default()
        };
        match yaml::documents(source.text) {
            Ok(documents) => {
                for document in documents {
                    self.document(&place(document.line), document.value);
                }
            }
            Err(error) => {
                let problem = Problem::new(&place(error.line()), error.what());
                self.problems.push(problem);
            }
        }
    }

    fn document(&mut self, place: &Place, value: Value) {
        if value.is_null() {
            return;
        }
        let Value::Object(mut fields) = value else {
            let problem = Problem::new(place, "this is not a Kubernetes resource");
            self.problems.push(problem);
            return;
        };
        let text = |name| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (version, kind) = (text("apiVersion"), text("kind"));
        if version == "v1" && kind == "List" {
            self.items(place, fields.remove("items"));
            return;
        }
        let Some(kind) = self.kind(place, &version, &kind, &fields) else {
            return;
        };
        match resource(place, kind, fields) {
            Ok(resource) => self.list.push(resource),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// What `kubectl get -o yaml` wraps several in.
    fn items(&mut self, place: &Place, items: Option<Value>) {
        match items {
            Some(Value::Array(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    let is_list = item.get("kind").and_then(Value::as_str) == Some("List");
                    if is_list {
                        let problem =
                            Problem::new(&place.at(&format!("items[{index}]")), "a list in a list");
                        self.problems.push(problem);
                    } else {
                        self.document(place, item);
                    }
                }
            }
            _ => self
                .problems
                .push(Problem::new(place, "the list has no items")),
        }
    }

    fn kind(
        &mut self,
        place: &Place,
        version: &str,
        kind: &str,
        fields: &Map<String, Value>,
    ) -> Option<Kind> {
        let read = match kind {
            "AuthorizationPolicy" => Kind::Authorization,
            "PeerAuthentication" => Kind::PeerAuthentication,
            _ => {
                let name = fields
                    .get("metadata")
                    .and_then(|metadata| metadata.get("name")?.as_str());
                let what = if kind.is_empty() {
                    "a resource without kind"
                } else {
                    kind
                };
                let text = format!(
                    "{what} {}: not taken, only AuthorizationPolicy and PeerAuthentication are",
                    name.unwrap_or("without name")
                );
                self.warnings.push(Warning {
                    place: place.clone(),
                    text,
                });
                return None;
            }
        };
        match version.strip_prefix(GROUP) {
            Some("v1" | "v1beta1") => Some(read),
            _ => {
                let text = format!(
                    "apiVersion {version:?} of a {kind} is not known: {GROUP}v1 and {GROUP}v1beta1 are"
                );
                self.problems.push(Problem::new(place, text));
                None
            }
        }
    }
}

fn resource(
    place: &Place,
    kind: Kind,
    mut fields: Map<String, Value>,
) -> Result<Resource, Problem> {
    let kind_name = match kind {
        Kind::Authorization => "AuthorizationPolicy",
        Kind::PeerAuthentication => "PeerAuthentication",
    };
    let metadata = object(fields.remove("metadata"), &place.at("metadata"))?;
    let name = text(&metadata, "name", place)?;
    let Some(name) = name.filter(|name| is_name(name)) else {
        return Err(Problem::new(
            &place.at("metadata.name"),
            format!("the {kind_name} has no proper name"),
        ));
    };
    let namespace = text(&metadata, "namespace", place)?;
    if let Some(odd) = namespace.as_ref().filter(|name| !is_name(name)) {
        return Err(Problem::new(
            &place.at("metadata.namespace"),
            format!("{odd:?} is not a namespace"),
        ));
    }
    let shown = namespace
        .as_ref()
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default();
    let place = Place {
        resource: format!("{kind_name} {shown}{name}"),
        ..place.clone()
    };
    Ok(Resource {
        kind,
        dry_run: is_dry_run(metadata.get("annotations")),
        spec: object(fields.remove("spec"), &place.at("spec"))?,
        place,
        namespace,
        name,
    })
}

/// Kubernetes names: what rule names may hold, so that one can be made of the other.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=253).contains(&name.len()) && name.bytes().all(plain)
}

fn text(fields: &Map<String, Value>, name: &str, place: &Place) -> Result<Option<String>, Problem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Problem::new(
            &place.at(&format!("metadata.{name}")),
            "this is not a text",
        )),
    }
}

fn object(value: Option<Value>, place: &Place) -> Result<Map<String, Value>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(Problem::new(place, "this is not a mapping")),
    }
}

/// The spellings of true that Istio takes; whatever else is there means no dry run.
fn is_dry_run(annotations: Option<&Value>) -> bool {
    let value = annotations.and_then(|all| all.get("istio.io/dry-run"));
    let value = value.and_then(Value::as_str).unwrap_or_default();
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
