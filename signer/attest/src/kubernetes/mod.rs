//! Kubernetes service accounts: who they are, and asking an API server about their tokens.

mod attestor;
mod pods;
mod review;
mod server;

pub use attestor::{KubernetesAttestor, KubernetesError, KubernetesSettings, ServerLoad};
pub use pods::ControlPlane;
pub use server::ApiServer;

use crate::{
    error::Refusal,
    identity::{
        is_segment,
        template::{Facts, Variable},
    },
    json::Json,
};
use std::borrow::Cow;

/// A service account, and the pod that its token is bound to, if it is to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod: Option<Pod>,
}

/// A pod by its name, which is used again, and its UID, which is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl ServiceAccount {
    /// `system:serviceaccount:NAMESPACE:NAME`
    pub(crate) fn from_username(username: &str) -> Result<Self, Refusal> {
        let parts: Vec<_> = username.split(':').collect();
        match parts.as_slice() {
            ["system", "serviceaccount", namespace, name]
                if is_segment(namespace) && is_segment(name) =>
            {
                Ok(Self {
                    namespace: (*namespace).to_owned(),
                    name: (*name).to_owned(),
                    pod: None,
                })
            }
            _ => Err(Refusal::ServiceAccount(
                "its user is not system:serviceaccount:NAMESPACE:NAME",
            )),
        }
    }

    /// From a projected token's claims; none if it is not one. What `kubernetes.io` says has to agree with the
    /// subject.
    pub(crate) fn from_claims(claims: &Json) -> Result<Option<Self>, Refusal> {
        let Some(own) = claims.get("kubernetes.io") else {
            return Ok(None);
        };
        let subject = claims.get("sub").and_then(Json::text).unwrap_or_default();
        let mut account = Self::from_username(subject)?;
        let text = |path: &[&str]| own.at(path.iter().copied()).and_then(Json::text);
        if text(&["namespace"]) != Some(&account.namespace)
            || text(&["serviceaccount", "name"]) != Some(&account.name)
        {
            return Err(Refusal::ServiceAccount(
                "its claim kubernetes.io is of another account than its subject",
            ));
        }
        account.pod = Pod::new(text(&["pod", "name"]), text(&["pod", "uid"]));
        Ok(Some(account))
    }
}

impl Pod {
    /// With a name and a UID that can stand in a URL's path.
    pub(crate) fn new(name: Option<&str>, uid: Option<&str>) -> Option<Self> {
        let part = |text: Option<&str>| text.filter(|text| is_segment(text)).map(str::to_owned);
        Some(Self {
            name: part(name)?,
            uid: part(uid)?,
        })
    }
}

impl Facts for ServiceAccount {
    fn value(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let value = match variable {
            Variable::KubernetesNamespace => Some(self.namespace.as_str()),
            Variable::KubernetesServiceAccount => Some(self.name.as_str()),
            Variable::KubernetesPod => self.pod.as_ref().map(|pod| pod.name.as_str()),
            Variable::DaprNamespace
            | Variable::DaprAppId
            | Variable::DaprTrustDomain
            | Variable::Claim(_) => None,
        };
        value.map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(subject: &str, own: &str) -> Result<Option<ServiceAccount>, Refusal> {
        let text = format!(r#"{{"sub":"{subject}","kubernetes.io":{own}}}"#);
        ServiceAccount::from_claims(&Json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_user_is_a_service_account_in_four_parts() {
        let account = ServiceAccount::from_username("system:serviceaccount:prod:web").unwrap();
        assert_eq!(
            (account.namespace.as_str(), account.name.as_str()),
            ("prod", "web")
        );
        for bad in [
            "",
            "system:serviceaccount:prod",
            "system:serviceaccount:prod:web:x",
            "system:serviceaccount::web",
            "system:serviceaccount:prod:",
            "system:serviceaccount:prod:..",
            "system:serviceaccount:prod/sa/x:web",
            "system:node:prod:web",
            "kubernetes-admin",
        ] {
            assert!(ServiceAccount::from_username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_have_to_agree_with_the_subject() {
        let subject = "system:serviceaccount:prod:web";
        let own = r#"{"namespace":"prod","serviceaccount":{"name":"web","uid":"1"},"pod":{"name":"web-0","uid":"2"}}"#;
        let account = claims(subject, own).unwrap().unwrap();
        let value = |variable| account.value(&variable).map(Cow::into_owned);
        assert_eq!(
            value(Variable::KubernetesNamespace).as_deref(),
            Some("prod")
        );
        assert_eq!(
            value(Variable::KubernetesServiceAccount).as_deref(),
            Some("web")
        );
        assert_eq!(value(Variable::KubernetesPod).as_deref(), Some("web-0"));
        assert_eq!(value(Variable::DaprAppId), None);
        for other in [
            "{}",
            "null",
            r#"{"namespace":"test","serviceaccount":{"name":"web"}}"#,
            r#"{"namespace":"prod","serviceaccount":{"name":"api"}}"#,
            r#"{"namespace":"prod","serviceaccount":"web"}"#,
        ] {
            assert!(claims(subject, other).is_err(), "{other}");
        }
        assert!(claims("web", own).is_err());
        let odd_pod = r#"{"namespace":"prod","serviceaccount":{"name":"web"},"pod":{"name":"../x","uid":"2"}}"#;
        assert_eq!(claims(subject, odd_pod).unwrap().unwrap().pod, None);
    }
}
