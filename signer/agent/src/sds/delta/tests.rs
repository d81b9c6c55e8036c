use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::rpc::Status as Refusal;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn subscribe(names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: SECRET_TYPE.to_owned(),
        resource_names_subscribe: strings(names),
        ..DeltaDiscoveryRequest::default()
    }
}

fn unsubscribe(names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        resource_names_unsubscribe: strings(names),
        ..subscribe(&[])
    }
}

fn first(names: &[&str]) -> DeltaDiscoveryRequest {
    let node = Node {
        id: "envoy-1".to_owned(),
        ..Node::default()
    };
    DeltaDiscoveryRequest {
        node: Some(node),
        ..subscribe(names)
    }
}

fn ack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        response_nonce: response.nonce.clone(),
        ..subscribe(&[])
    }
}

fn nack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    let error = Refusal {
        code: 13,
        message: "no such key".to_owned(),
        ..Refusal::default()
    };
    DeltaDiscoveryRequest {
        error_detail: Some(error),
        ..ack(response)
    }
}

fn both(chain: &str, roots: &str) -> Snapshot {
    Snapshot::stand_in(&[("default", chain), ("ROOTCA", roots)])
}

type Answer = Option<DeltaDiscoveryResponse>;

fn opened(request: &DeltaDiscoveryRequest, secrets: &Snapshot) -> (Delta, Answer) {
    let mut stream = Delta::new(7, 8);
    let response = stream.on_request(request, secrets).unwrap().response;
    (stream, response)
}

fn names(response: &Answer) -> Vec<&str> {
    let resources = response.iter().flat_map(|response| &response.resources);
    resources.map(|resource| resource.name.as_str()).collect()
}

fn removed(response: &Answer) -> &[String] {
    response
        .as_ref()
        .map_or(&[], |response| &response.removed_resources)
}

#[test]
fn answers_what_is_subscribed_to_and_then_what_changed() {
    let secrets = both("1", "r");
    let (mut stream, response) = opened(&first(&["default", "ROOTCA"]), &secrets);
    assert_eq!(names(&response), ["ROOTCA", "default"]);
    let response = response.unwrap();
    assert_eq!(response.type_url, SECRET_TYPE);
    for resource in &response.resources {
        let secret = secrets.get(&resource.name).unwrap();
        assert_eq!(resource.version, secret.version());
        assert_eq!(resource.resource, Some(secret.to_any()));
    }
    let heard = stream.on_request(&ack(&response), &secrets).unwrap();
    assert_eq!(heard.response, None);
    let version = response.system_version_info;
    assert_eq!(heard.notes, [Note::Accepted { version }]);
    assert_eq!(names(&stream.on_secrets(&both("2", "r"))), ["default"]);
    assert_eq!(stream.on_secrets(&both("2", "r")), None);
}

#[test]
fn a_name_subscribed_to_again_is_answered_again_unchanged_or_not() {
    let secrets = both("1", "r");
    let (mut stream, _) = opened(&first(&["default"]), &secrets);
    let again = stream.on_request(&subscribe(&["default"]), &secrets);
    assert_eq!(names(&again.unwrap().response), ["default"]);
    let mut more = unsubscribe(&["default"]);
    more.resource_names_subscribe = strings(&["default", "ROOTCA"]);
    let both = stream.on_request(&more, &secrets).unwrap();
    assert_eq!(names(&both.response), ["ROOTCA", "default"]);
}

#[test]
fn what_is_unsubscribed_from_is_not_pushed() {
    let (mut stream, _) = opened(&first(&["default", "ROOTCA"]), &both("1", "r"));
    let heard = stream.on_request(&unsubscribe(&["default"]), &both("1", "r"));
    assert_eq!(heard.unwrap().response, None);
    assert_eq!(names(&stream.on_secrets(&both("2", "s"))), ["ROOTCA"]);
}

#[test]
fn a_refusal_is_noted_and_not_sent_again_until_it_changes() {
    let secrets = both("1", "r");
    let (mut stream, response) = opened(&first(&["default"]), &secrets);
    let response = response.unwrap();
    let heard = stream.on_request(&nack(&response), &secrets).unwrap();
    assert_eq!(heard.response, None);
    assert!(
        matches!(&heard.notes[..], [Note::Refused { code: 13, message, .. }] if message == "no such key")
    );
    assert_eq!(stream.on_secrets(&secrets), None);
    assert_eq!(names(&stream.on_secrets(&both("2", "r"))), ["default"]);
}

#[test]
fn each_response_can_be_answered_once_and_in_any_order() {
    let (mut stream, one) = opened(&first(&["default"]), &both("1", "r"));
    let newest = both("2", "r");
    let two = stream.on_secrets(&newest).unwrap();
    let one = one.unwrap();
    for (request, accepted) in [(ack(&two), true), (ack(&one), true), (ack(&one), false)] {
        let heard = stream.on_request(&request, &newest).unwrap();
        let fine = matches!(heard.notes[..], [Note::Accepted { .. }]);
        assert_eq!(fine, accepted, "{:?}", heard.notes);
        assert_eq!(heard.response, None);
    }
}

#[test]
fn names_that_come_with_an_answer_to_an_old_response_count() {
    let secrets = both("1", "r");
    let (mut stream, _) = opened(&first(&["default"]), &secrets);
    let mut stale = subscribe(&["ROOTCA"]);
    stale.response_nonce = "7-99".to_owned();
    let heard = stream.on_request(&stale, &secrets).unwrap();
    assert!(matches!(heard.notes[..], [Note::Stale { .. }]));
    assert_eq!(names(&heard.response), ["ROOTCA"]);
}

#[test]
fn no_names_at_first_and_a_star_mean_everything() {
    let secrets = both("1", "r");
    for asked in [&[][..], &["*"]] {
        let (mut stream, response) = opened(&first(asked), &secrets);
        assert_eq!(names(&response), ["default", "ROOTCA"]);
        let less = stream.on_request(&unsubscribe(&["*"]), &secrets).unwrap();
        assert_eq!(less.response, None);
        assert_eq!(stream.on_secrets(&both("2", "s")), None);
    }
    let (mut stream, _) = opened(&first(&["default"]), &secrets);
    stream.on_request(&subscribe(&["*"]), &secrets).unwrap();
    stream.on_request(&unsubscribe(&["*"]), &secrets).unwrap();
    assert_eq!(names(&stream.on_secrets(&both("2", "s"))), ["default"]);
}

#[test]
fn a_later_request_without_names_is_not_everything() {
    let secrets = both("1", "r");
    let (mut stream, response) = opened(&first(&["default"]), &secrets);
    stream
        .on_request(&ack(&response.unwrap()), &secrets)
        .unwrap();
    assert_eq!(stream.on_secrets(&both("1", "s")), None);
}

#[test]
fn what_a_reconnecting_client_has_is_not_sent_again() {
    let secrets = both("1", "r");
    let version = |name: &str| secrets.get(name).unwrap().version().to_owned();
    let mut request = first(&["default", "ROOTCA"]);
    request.initial_resource_versions = HashMap::from([
        ("default".to_owned(), "an old one".to_owned()),
        ("ROOTCA".to_owned(), version("ROOTCA")),
        ("elsewhere".to_owned(), "1".to_owned()),
    ]);
    let (_, response) = opened(&request, &secrets);
    assert_eq!(names(&response), ["default"]);
    assert!(removed(&response).is_empty());
}

#[test]
fn what_a_reconnecting_client_has_and_is_gone_is_removed() {
    let mut request = first(&["spiffe://example.org/a"]);
    let held = ("spiffe://example.org/a".to_owned(), "1".to_owned());
    request.initial_resource_versions = HashMap::from([held]);
    let (mut stream, response) = opened(&request, &both("1", "r"));
    assert_eq!(removed(&response), ["spiffe://example.org/a"]);
    assert_eq!(
        stream.on_secrets(&both("1", "r")),
        None,
        "it was told twice"
    );
}

#[test]
fn what_is_gone_is_removed_and_what_is_late_is_not() {
    let all = Snapshot::stand_in(&[("default", "1"), ("spiffe://example.org/a", "1")]);
    let (mut stream, _) = opened(&first(&["default", "spiffe://example.org/a"]), &all);
    let gone = stream.on_secrets(&Snapshot::default());
    assert_eq!(removed(&gone), ["spiffe://example.org/a"]);
    let back = stream.on_secrets(&all);
    assert_eq!(names(&back), ["spiffe://example.org/a"]);
}

#[test]
fn what_does_not_exist_is_noted_left_out_and_sent_when_it_does() {
    let (mut stream, _) = opened(&first(&["default"]), &Snapshot::default());
    let heard = stream.on_request(&subscribe(&["nonsense"]), &both("1", "r"));
    let heard = heard.unwrap();
    assert_eq!(names(&heard.response), ["default"]);
    assert!(removed(&heard.response).is_empty());
    let unknown = Note::Unknown {
        names: strings(&["nonsense"]),
    };
    assert_eq!(heard.notes, [unknown]);
    let now = Snapshot::stand_in(&[("default", "1"), ("nonsense", "1")]);
    assert_eq!(names(&stream.on_secrets(&now)), ["nonsense"]);
}

#[test]
fn node_type_and_names_are_checked() {
    let fault = |request| {
        let mut stream = Delta::new(7, 2);
        stream
            .on_request(&request, &Snapshot::default())
            .unwrap_err()
    };
    assert_eq!(fault(subscribe(&["default"])), Fault::NoNode);
    let wrong = DeltaDiscoveryRequest {
        type_url: "another".to_owned(),
        ..first(&[])
    };
    assert!(matches!(fault(wrong), Fault::WrongType { .. }));
    assert!(matches!(
        fault(first(&["a", "b", "c"])),
        Fault::TooManyNames { found: 3, most: 2 }
    ));
    let mut stream = Delta::new(7, 2);
    let nothing = Snapshot::default();
    stream.on_request(&first(&["a", "b"]), &nothing).unwrap();
    assert_eq!(stream.node(), "envoy-1");
    let more = stream.on_request(&subscribe(&["c"]), &nothing);
    assert_eq!(more.unwrap_err(), Fault::TooManyNames { found: 3, most: 2 });
}

#[test]
fn a_name_too_long_for_anything_is_not_kept() {
    let long = "x".repeat(LONGEST + 1);
    let (stream, _) = opened(&first(&[&long]), &Snapshot::default());
    let Phase::Subscribed(subscription) = &stream.phase else {
        unreachable!()
    };
    assert!(subscription.named.is_empty());
}

#[test]
fn a_client_that_answers_nothing_holds_little() {
    let (mut stream, _) = opened(&first(&["default"]), &both("0", "r"));
    for number in 1..1_000 {
        stream.on_secrets(&both(&number.to_string(), "r")).unwrap();
    }
    let Phase::Subscribed(subscription) = &stream.phase else {
        unreachable!()
    };
    assert_eq!(subscription.unanswered.len(), MOST_UNANSWERED);
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Ack,
    Nack,
    Subscribe(Vec<&'static str>),
    Unsubscribe(Vec<&'static str>),
    /// These are there now, in another version.
    Change(Vec<&'static str>),
    /// The stream breaks, and the client comes back with what it has.
    Reconnect,
}

const NAMES: [&str; 5] = ["default", "ROOTCA", "a", "b", "c"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || vec(prop::sample::select(&NAMES[..]), 0..4);
    let asked = prop_oneof![5 => some(), 1 => Just(vec!["*"])];
    let step = prop_oneof![
        3 => Just(Step::Ack),
        1 => Just(Step::Nack),
        3 => asked.clone().prop_map(Step::Subscribe),
        2 => asked.prop_map(Step::Unsubscribe),
        4 => some().prop_map(Step::Change),
        1 => Just(Step::Reconnect),
    ];
    vec(step, 1..60)
}

/// A client that keeps what it is sent, as the protocol wants it to.
#[derive(Default)]
struct Client {
    everything: bool,
    named: BTreeSet<String>,
    has: BTreeMap<String, String>,
    unanswered: Vec<DeltaDiscoveryResponse>,
    nonces: BTreeSet<String>,
}

impl Client {
    fn take(&mut self, response: Answer) {
        let Some(response) = response else { return };
        assert!(self.nonces.insert(response.nonce.clone()), "a nonce twice");
        assert!(!response.resources.is_empty() || !response.removed_resources.is_empty());
        for resource in &response.resources {
            assert!(self.wants(&resource.name), "{} unasked", resource.name);
            let (name, version) = (resource.name.clone(), resource.version.clone());
            self.has.insert(name, version);
        }
        for name in &response.removed_resources {
            assert!(self.has.remove(name).is_some(), "{name} was not held");
        }
        self.unanswered.push(response);
    }

    fn wants(&self, name: &str) -> bool {
        self.everything || self.named.contains(name)
    }

    fn subscribe(&mut self, names: &[&str]) -> DeltaDiscoveryRequest {
        for name in names {
            match *name {
                "*" => self.everything = true,
                name => drop(self.named.insert(name.to_owned())),
            }
        }
        subscribe(names)
    }

    fn unsubscribe(&mut self, names: &[&str]) -> DeltaDiscoveryRequest {
        for name in names {
            match *name {
                "*" => self.everything = false,
                name => drop(self.named.remove(name)),
            }
        }
        let (everything, named) = (self.everything, &self.named);
        self.has
            .retain(|name, _| everything || named.contains(name));
        unsubscribe(names)
    }

    fn reconnect(&mut self) -> DeltaDiscoveryRequest {
        self.unanswered.clear();
        if self.named.is_empty() && !self.everything {
            // no names at all would mean everything
            self.named.insert("default".to_owned());
        }
        let mut names: Vec<&str> = self.named.iter().map(String::as_str).collect();
        names.extend(self.everything.then_some("*"));
        let mut request = first(&names);
        request.initial_resource_versions = self.has.clone().into_iter().collect();
        request
    }

    /// It has what there is of what it wants, and else only what is late.
    fn is_right(&self, secrets: &Snapshot) {
        for name in NAMES {
            let there = secrets.get(name).filter(|_| self.wants(name));
            match there {
                Some(secret) => {
                    assert_eq!(
                        self.has.get(name).map(String::as_str),
                        Some(secret.version())
                    );
                }
                None if self.wants(name) && secrets.expects(name) => {}
                None => assert_eq!(self.has.get(name), None, "{name} is not the client's"),
            }
        }
    }
}

proptest! {
    /// Whatever a client does and whatever becomes of the secrets: no nonce comes twice, nothing comes unasked, and after every step the
    /// client has exactly what there is of what it wants.
    #[test]
    fn a_client_has_exactly_what_there_is(steps in steps()) {
        let mut secrets = both("0", "0");
        let mut client = Client::default();
        let mut opened = 0;
        let mut stream = Delta::new(opened, 8);
        let request = DeltaDiscoveryRequest { node: first(&[]).node, ..client.subscribe(&["default"]) };
        client.take(stream.on_request(&request, &secrets).unwrap().response);
        for (number, step) in steps.into_iter().enumerate() {
            let response = match step {
                Step::Ack => client.unanswered.pop().map(|response| ack(&response)),
                Step::Nack => client.unanswered.pop().map(|response| nack(&response)),
                Step::Subscribe(names) => Some(client.subscribe(&names)),
                Step::Unsubscribe(names) => Some(client.unsubscribe(&names)),
                Step::Change(names) => {
                    let text = number.to_string();
                    let there: BTreeSet<_> = names.into_iter().collect();
                    let there: Vec<_> = there.into_iter().map(|name| (name, text.as_str())).collect();
                    secrets = Snapshot::stand_in(&there);
                    client.take(stream.on_secrets(&secrets));
                    None
                }
                Step::Reconnect => {
                    opened += 1;
                    stream = Delta::new(opened, 8);
                    Some(client.reconnect())
                }
            };
            if let Some(request) = response {
                client.take(stream.on_request(&request, &secrets).unwrap().response);
            }
            client.is_right(&secrets);
            prop_assert_eq!(stream.on_secrets(&secrets), None);
        }
    }
}
