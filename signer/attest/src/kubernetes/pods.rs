//! What a pod says of the Dapr sidecar in it, as Dapr's sentry reads it: pure.

use super::{Pod, ServiceAccount};
use crate::{
    error::Refusal,
    identity::{
        claimed::is_app_id,
        is_segment,
        template::{Facts, Variable},
    },
    json::Json,
};
use spiffe::TrustDomain;
use std::borrow::Cow;

const APP_ID: &str = "dapr.io/app-id";
const CONFIG: &str = "dapr.io/config";
const CONTROL_PLANE: &str = "dapr.io/control-plane";
/// The trust domain of an app whose configuration names none.
const DEFAULT_DOMAIN: &str = "public";
/// What may be an app of the control plane.
const SERVICES: [&str; 5] = ["operator", "placement", "injector", "sentry", "scheduler"];

/// Dapr's control plane, whose services have identities of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// Its namespace; only there a pod may be a service of it.
    pub namespace: String,
    /// Its trust domain.
    pub trust_domain: TrustDomain,
}

/// A pod with a sidecar, and where its trust domain is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) domain: Domain,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Known(String),
    /// In the Configuration of this name, in the pod's namespace.
    In(String),
}

pub(super) fn pod_path(account: &ServiceAccount, pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", account.namespace, pod.name)
}

pub(super) fn configuration_path(namespace: &str, name: &str) -> String {
    format!("/apis/dapr.io/v1alpha1/namespaces/{namespace}/configurations/{name}")
}

/// Reads a Pod. `None`: it is none.
pub(super) fn app(
    body: &Json,
    account: &ServiceAccount,
    pod: &Pod,
    control_plane: &ControlPlane,
) -> Option<Result<App, Refusal>> {
    let text = |path: [&str; 2]| body.at(path).and_then(Json::text);
    let namespace = text(["metadata", "namespace"])?;
    if namespace != account.namespace || text(["metadata", "name"])? != pod.name {
        return None;
    }
    Some(if text(["metadata", "uid"])? != pod.uid {
        Err(Refusal::Pod(
            "it is another pod of the same name than the token's",
        ))
    } else if text(["spec", "serviceAccountName"])? != account.name {
        Err(Refusal::Pod(
            "it runs as another service account than the token's",
        ))
    } else {
        of_annotations(
            body.at(["metadata", "annotations"]),
            namespace,
            pod,
            control_plane,
        )
    })
}

fn of_annotations(
    annotations: Option<&Json>,
    namespace: &str,
    pod: &Pod,
    control_plane: &ControlPlane,
) -> Result<App, Refusal> {
    let annotation = |name| annotations?.get(name)?.text();
    if let Some(service) = annotation(CONTROL_PLANE) {
        let own = namespace == control_plane.namespace && SERVICES.contains(&service);
        if !own || annotation(APP_ID).is_some() {
            return Err(Refusal::Pod(
                "it calls itself a service of Dapr's control plane, and is none",
            ));
        }
        return Ok(App {
            id: format!("dapr-{service}"),
            domain: Domain::Known(control_plane.trust_domain.to_string()),
        });
    }
    let id = annotation(APP_ID).unwrap_or(&pod.name);
    if !is_app_id(id) {
        return Err(Refusal::Pod("its app ID is not one that Dapr accepts"));
    }
    let domain = match annotation(CONFIG) {
        None => Domain::Known(DEFAULT_DOMAIN.into()),
        Some(name) if is_segment(name) => Domain::In(name.to_owned()),
        Some(_) => return Err(Refusal::Pod("its configuration's name is not one")),
    };
    Ok(App {
        id: id.to_owned(),
        domain,
    })
}

/// Reads a Configuration: the trust domain that it names. `None`: it is none.
pub(super) fn trust_domain(body: &Json) -> Option<String> {
    if body.get("kind").and_then(Json::text) != Some("Configuration") {
        return None;
    }
    match body.at(["spec", "accessControl", "trustDomain"]) {
        None => Some(DEFAULT_DOMAIN.into()),
        Some(Json::Text(named)) if named.is_empty() => Some(DEFAULT_DOMAIN.into()),
        Some(Json::Text(named)) => Some(named.clone()),
        Some(_) => None,
    }
}

/// What a template over a pod with a sidecar is filled with.
pub(super) struct AppFacts<'a> {
    pub(super) account: &'a ServiceAccount,
    pub(super) id: &'a str,
    pub(super) trust_domain: &'a str,
}

impl Facts for AppFacts<'_> {
    fn value(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        match variable {
            Variable::DaprNamespace => Some(Cow::Borrowed(&self.account.namespace)),
            Variable::DaprAppId => Some(Cow::Borrowed(self.id)),
            Variable::DaprTrustDomain => Some(Cow::Borrowed(self.trust_domain)),
            other => self.account.value(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &str) -> Option<Result<App, Refusal>> {
        let text = format!(
            r#"{{"metadata":{{"namespace":"prod","name":"web-0",{metadata}}},"spec":{{"serviceAccountName":"web"}}}}"#
        );
        let mut account = ServiceAccount::from_username("system:serviceaccount:prod:web").unwrap();
        let pod = Pod::new(Some("web-0"), Some("u")).unwrap();
        account.pod = Some(pod.clone());
        let control_plane = ControlPlane {
            namespace: "prod".into(),
            trust_domain: TrustDomain::new("cluster.local").unwrap(),
        };
        app(
            &Json::parse(text.as_bytes()).unwrap(),
            &account,
            &pod,
            &control_plane,
        )
    }

    fn with(annotations: &str) -> Result<App, Refusal> {
        read(&format!(r#""uid":"u","annotations":{{{annotations}}}"#)).unwrap()
    }

    fn known(id: &str, domain: &str) -> Result<App, Refusal> {
        Ok(App {
            id: id.into(),
            domain: Domain::Known(domain.into()),
        })
    }

    #[test]
    fn an_app_is_its_annotation_or_its_pod() {
        assert_eq!(with(""), known("web-0", "public"));
        assert_eq!(read(r#""uid":"u""#), Some(known("web-0", "public")));
        assert_eq!(with(r#""dapr.io/app-id":"shop""#), known("shop", "public"));
        let configured = with(r#""dapr.io/app-id":"shop","dapr.io/config":"c""#).unwrap();
        assert_eq!(configured.domain, Domain::In("c".into()));
        assert_eq!(
            with(r#""dapr.io/control-plane":"operator""#),
            known("dapr-operator", "cluster.local")
        );
    }

    #[test]
    fn what_is_odd_is_refused() {
        for annotations in [
            r#""dapr.io/app-id":"a.b""#,
            r#""dapr.io/app-id":"""#,
            r#""dapr.io/config":"../secrets/x""#,
            r#""dapr.io/control-plane":"admin""#,
            r#""dapr.io/control-plane":"operator","dapr.io/app-id":"x""#,
        ] {
            assert!(
                matches!(with(annotations), Err(Refusal::Pod(_))),
                "{annotations}"
            );
        }
        assert!(matches!(
            read(r#""uid":"other""#),
            Some(Err(Refusal::Pod(_)))
        ));
        assert_eq!(read(r#""x":"u""#), None);
    }

    #[test]
    fn a_service_of_the_control_plane_runs_in_its_namespace() {
        let pod = Pod::new(Some("p"), Some("u")).unwrap();
        let elsewhere = ControlPlane {
            namespace: "dapr-system".into(),
            trust_domain: TrustDomain::new("cluster.local").unwrap(),
        };
        let annotations = Json::parse(br#"{"dapr.io/control-plane":"operator"}"#);
        let refused = of_annotations(annotations.as_ref(), "prod", &pod, &elsewhere);
        assert!(matches!(refused, Err(Refusal::Pod(_))));
    }

    #[test]
    fn a_configuration_names_a_trust_domain_or_none() {
        let read = |text: &str| trust_domain(&Json::parse(text.as_bytes()).unwrap());
        for (text, expected) in [
            (
                r#"{"kind":"Configuration","spec":{"accessControl":{"trustDomain":"a.test"}}}"#,
                Some("a.test"),
            ),
            (
                r#"{"kind":"Configuration","spec":{"accessControl":{"trustDomain":""}}}"#,
                Some("public"),
            ),
            (r#"{"kind":"Configuration","spec":{}}"#, Some("public")),
            (
                r#"{"kind":"Configuration","spec":{"accessControl":{"trustDomain":1}}}"#,
                None,
            ),
            (r#"{"kind":"Status"}"#, None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
