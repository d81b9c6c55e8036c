//! TokenReview (authentication.k8s.io/v1), question and answer: pure.

use super::{Pod, ServiceAccount};
use crate::{
    error::{Failure, Refusal},
    json::Json,
};

/// Where a review is asked for.
pub(super) const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Whom an API server vouches for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reviewed {
    pub(super) username: String,
    pub(super) account: ServiceAccount,
    pub(super) audiences: Vec<String>,
}

/// The question, as JSON.
pub(super) fn question(token: &str, audiences: &[String]) -> Vec<u8> {
    serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": { "token": token, "audiences": audiences },
    })
    .to_string()
    .into_bytes()
}

/// Reads the answer. `Err(None)`: it is none.
pub(super) fn answer(body: &[u8], audiences: &[String]) -> Result<Reviewed, Option<Failure>> {
    let json = Json::parse(body).ok_or(None)?;
    let is_review = json.get("kind").and_then(Json::text) == Some("TokenReview");
    let status = json.get("status").filter(|_| is_review).ok_or(None)?;
    let refused = |why: Refusal| Some(Failure::from(why));
    let error = status.get("error").and_then(Json::text).unwrap_or_default();
    if status.get("authenticated") != Some(&Json::Bool(true)) || !error.is_empty() {
        return Err(refused(Refusal::NotAuthenticated));
    }
    // An API server that does not know of audiences leaves them out: then nobody has looked at them.
    let found = texts(status.get("audiences"));
    let accepted: Vec<_> = found
        .into_iter()
        .filter(|a| audiences.contains(a))
        .collect();
    if accepted.is_empty() {
        return Err(refused(Refusal::Audience));
    }
    let user = status.get("user").ok_or(None)?;
    let username = user.get("username").and_then(Json::text).ok_or(None)?;
    let mut account = ServiceAccount::from_username(username).map_err(refused)?;
    account.pod = Pod::new(
        extra(user, POD_NAME).as_deref(),
        extra(user, POD_UID).as_deref(),
    );
    Ok(Reviewed {
        username: username.to_owned(),
        account,
        audiences: accepted,
    })
}

fn texts(list: Option<&Json>) -> Vec<String> {
    let list = list.and_then(Json::list).unwrap_or_default();
    list.iter()
        .filter_map(Json::text)
        .map(str::to_owned)
        .collect()
}

/// A value of which there has to be exactly one.
fn extra(user: &Json, name: &str) -> Option<String> {
    match texts(user.at(["extra", name])).as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: &str) -> Result<Reviewed, Option<Failure>> {
        let body = format!(r#"{{"kind":"TokenReview","status":{status}}}"#);
        answer(body.as_bytes(), &["istio-ca".into()])
    }

    const USER: &str = r#""user":{"username":"system:serviceaccount:prod:web","extra":{"authentication.kubernetes.io/pod-name":["web-0"],"authentication.kubernetes.io/pod-uid":["u"]}}"#;

    #[test]
    fn a_good_answer_is_a_service_account() {
        let status = format!(r#"{{"authenticated":true,"audiences":["x","istio-ca"],{USER}}}"#);
        let reviewed = read(&status).unwrap();
        assert_eq!(reviewed.username, "system:serviceaccount:prod:web");
        assert_eq!(reviewed.audiences, ["istio-ca"]);
        assert_eq!(reviewed.account.pod.unwrap().name, "web-0");
    }

    #[test]
    fn anything_less_is_refused() {
        for (status, why) in [
            (
                r#"{"authenticated":false,"error":"expired"}"#.into(),
                Refusal::NotAuthenticated,
            ),
            (
                format!(r#"{{"audiences":["istio-ca"],{USER}}}"#),
                Refusal::NotAuthenticated,
            ),
            (
                format!(r#"{{"authenticated":"true","audiences":["istio-ca"],{USER}}}"#),
                Refusal::NotAuthenticated,
            ),
            (
                format!(r#"{{"authenticated":true,"error":"x","audiences":["istio-ca"],{USER}}}"#),
                Refusal::NotAuthenticated,
            ),
            (
                format!(r#"{{"authenticated":true,{USER}}}"#),
                Refusal::Audience,
            ),
            (
                format!(r#"{{"authenticated":true,"audiences":[],{USER}}}"#),
                Refusal::Audience,
            ),
            (
                format!(r#"{{"authenticated":true,"audiences":["other"],{USER}}}"#),
                Refusal::Audience,
            ),
        ] {
            assert_eq!(read(&status), Err(Some(why.into())), "{status}");
        }
        let node = r#"{"authenticated":true,"audiences":["istio-ca"],"user":{"username":"system:node:a"}}"#;
        assert!(matches!(
            read(node),
            Err(Some(Failure::Refused(Refusal::ServiceAccount(_))))
        ));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bad in [
            "",
            "[]",
            r#"{"kind":"Status","status":"Failure"}"#,
            r#"{"kind":"TokenReview"}"#,
        ] {
            assert_eq!(answer(bad.as_bytes(), &["a".into()]), Err(None), "{bad}");
        }
        let twice =
            r#"{"kind":"TokenReview","status":{"authenticated":false,"authenticated":true}}"#;
        assert_eq!(answer(twice.as_bytes(), &["a".into()]), Err(None));
        assert_eq!(
            read(r#"{"authenticated":true,"audiences":["istio-ca"]}"#),
            Err(None)
        );
    }

    #[test]
    fn the_question_is_as_kubernetes_asks_it() {
        let question = question("a\"b", &["istio-ca".into()]);
        let json = Json::parse(&question).unwrap();
        assert_eq!(
            json.at(["spec", "token"]).and_then(Json::text),
            Some("a\"b")
        );
        assert_eq!(texts(json.at(["spec", "audiences"])), ["istio-ca"]);
    }
}
