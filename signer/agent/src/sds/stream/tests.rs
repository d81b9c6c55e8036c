use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::rpc::Status as Refusal;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::note::LONGEST_QUOTE;
use super::*;

const NAMES: [&str; 2] = ["default", "ROOTCA"];

fn request(names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: SECRET_TYPE.to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

fn first(names: &[&str]) -> DiscoveryRequest {
    let node = Node {
        id: "envoy-1".to_owned(),
        ..Node::default()
    };
    DiscoveryRequest {
        node: Some(node),
        ..request(names)
    }
}

fn ack(response: &DiscoveryResponse, names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: response.version_info.clone(),
        response_nonce: response.nonce.clone(),
        ..request(names)
    }
}

fn nack(response: &DiscoveryResponse, names: &[&str]) -> DiscoveryRequest {
    let error = Refusal {
        code: 13,
        message: "no such key".to_owned(),
        ..Refusal::default()
    };
    DiscoveryRequest {
        version_info: String::new(),
        error_detail: Some(error),
        ..ack(response, names)
    }
}

fn both(chain: &str, roots: &str) -> Snapshot {
    Snapshot::stand_in(&[("default", chain), ("ROOTCA", roots)])
}

fn stream() -> Stream {
    Stream::new(7, 8)
}

/// A stream subscribed to `names`, and what it was answered.
fn subscribed(names: &[&str], secrets: &Snapshot) -> (Stream, Option<DiscoveryResponse>) {
    let mut stream = stream();
    let reaction = stream.on_request(first(names), secrets).unwrap();
    assert_eq!(
        reaction.notes[0],
        Note::Opened {
            node: "envoy-1".to_owned()
        }
    );
    (stream, reaction.response)
}

/// The names in a response, by comparison with what there is.
fn names(response: Option<&DiscoveryResponse>, secrets: &Snapshot) -> Vec<&'static str> {
    let resources = response
        .map(|response| response.resources.clone())
        .unwrap_or_default();
    let known = |resource| {
        let mut all = NAMES.into_iter();
        all.find(|name| {
            secrets
                .get(name)
                .is_some_and(|secret| secret.to_any() == resource)
        })
    };
    resources
        .into_iter()
        .map(|resource| known(resource).unwrap())
        .collect()
}

#[test]
fn answers_what_was_asked_for() {
    let secrets = both("chain", "roots");
    for asked in [vec!["default"], vec!["ROOTCA"], vec!["default", "ROOTCA"]] {
        let (_, response) = subscribed(&asked, &secrets);
        assert_eq!(names(response.as_ref(), &secrets), asked);
        assert_eq!(response.unwrap().type_url, SECRET_TYPE);
    }
}

#[test]
fn a_whole_stream_sends_all_that_is_wanted_when_any_of_it_changes() {
    let mut stream = stream().whole();
    let names = ["ROOTCA", "default"];
    let response = stream.on_request(first(&names), &both("a", "b")).unwrap();
    let response = response.response.unwrap();
    assert!(stream.wants_bundle());
    // What is accepted, and has not changed, is not sent for itself.
    let again = stream.on_request(ack(&response, &names), &both("a", "b"));
    assert_eq!(again.unwrap().response, None);
    let response = stream.on_secrets(&both("c", "b")).unwrap();
    assert_eq!(response.resources.len(), 2);
    let alone = stream.on_request(ack(&response, &["default"]), &both("c", "b"));
    assert_eq!(alone.unwrap().response, None);
    assert!(!stream.wants_bundle());
}

#[test]
fn no_names_at_first_means_everything() {
    let secrets = both("chain", "roots");
    for asked in [&[][..], &["*"]] {
        let (_, response) = subscribed(asked, &secrets);
        assert_eq!(names(response.as_ref(), &secrets), ["default", "ROOTCA"]);
    }
}

#[test]
fn no_names_later_means_nothing() {
    let (mut stream, response) = subscribed(&["default"], &both("1", "r"));
    let reaction = stream
        .on_request(ack(&response.unwrap(), &[]), &both("1", "r"))
        .unwrap();
    assert_eq!(reaction.response, None);
    assert_eq!(stream.on_secrets(&both("2", "s")), None);
}

#[test]
fn everything_stays_everything_through_acknowledgements() {
    let (mut stream, response) = subscribed(&[], &both("1", "r"));
    stream
        .on_request(ack(&response.unwrap(), &[]), &both("1", "r"))
        .unwrap();
    let later = both("2", "s");
    assert_eq!(
        names(stream.on_secrets(&later).as_ref(), &later),
        ["default", "ROOTCA"]
    );
}

#[test]
fn an_acknowledgement_is_noted_once_and_not_answered() {
    let secrets = both("chain", "roots");
    let (mut stream, response) = subscribed(&["default"], &secrets);
    let response = response.unwrap();
    let reaction = stream
        .on_request(ack(&response, &["default"]), &secrets)
        .unwrap();
    assert_eq!(reaction.response, None);
    assert_eq!(
        reaction.notes,
        [Note::Accepted {
            version: response.version_info.clone()
        }]
    );
    let again = stream
        .on_request(ack(&response, &["default"]), &secrets)
        .unwrap();
    assert!(again.response.is_none() && again.notes.is_empty());
}

#[test]
fn a_refusal_is_noted_and_not_sent_again_until_it_changes() {
    let secrets = both("1", "roots");
    let (mut stream, response) = subscribed(&["default"], &secrets);
    let response = response.unwrap();
    let reaction = stream
        .on_request(nack(&response, &["default"]), &secrets)
        .unwrap();
    assert_eq!(reaction.response, None);
    let expected = Note::Refused {
        version: response.version_info,
        code: 13,
        message: "no such key".to_owned(),
    };
    assert_eq!(reaction.notes, [expected]);
    assert_eq!(stream.on_secrets(&secrets), None);
    let next = both("2", "roots");
    assert_eq!(names(stream.on_secrets(&next).as_ref(), &next), ["default"]);
}

#[test]
fn only_what_changed_is_pushed() {
    let (mut stream, _) = subscribed(&["default", "ROOTCA"], &both("1", "r"));
    let leaf = both("2", "r");
    assert_eq!(names(stream.on_secrets(&leaf).as_ref(), &leaf), ["default"]);
    let roots = both("2", "s");
    assert_eq!(
        names(stream.on_secrets(&roots).as_ref(), &roots),
        ["ROOTCA"]
    );
    assert_eq!(stream.on_secrets(&roots), None);
}

#[test]
fn what_is_not_subscribed_is_not_pushed() {
    let (mut stream, _) = subscribed(&["ROOTCA"], &both("1", "r"));
    assert_eq!(stream.on_secrets(&both("2", "r")), None);
}

#[test]
fn what_does_not_exist_yet_is_answered_when_it_does() {
    let nothing = Snapshot::default();
    let (mut stream, response) = subscribed(&["default"], &nothing);
    assert_eq!(response, None);
    let secrets = both("1", "r");
    assert_eq!(
        names(stream.on_secrets(&secrets).as_ref(), &secrets),
        ["default"]
    );
}

#[test]
fn an_expired_certificate_is_neither_pushed_nor_given_to_newcomers() {
    let (mut stream, _) = subscribed(&["default", "ROOTCA"], &both("1", "r"));
    let expired = Snapshot::stand_in(&[("ROOTCA", "r")]);
    assert_eq!(stream.on_secrets(&expired), None);
    let (_, newcomer) = subscribed(&["default", "ROOTCA"], &expired);
    assert_eq!(names(newcomer.as_ref(), &expired), ["ROOTCA"]);
    let renewed = both("2", "r");
    assert_eq!(
        names(stream.on_secrets(&renewed).as_ref(), &renewed),
        ["default"]
    );
}

#[test]
fn an_unknown_name_is_left_out_and_noted_once() {
    let secrets = both("1", "r");
    let mut stream = stream();
    let asked = ["default", "file-cert:/etc/shadow"];
    let reaction = stream.on_request(first(&asked), &secrets).unwrap();
    assert_eq!(names(reaction.response.as_ref(), &secrets), ["default"]);
    let unknown = Note::Unknown {
        names: vec!["file-cert:/etc/shadow".to_owned()],
    };
    assert_eq!(reaction.notes[1..], [unknown]);
    let again = stream
        .on_request(ack(&reaction.response.unwrap(), &asked), &secrets)
        .unwrap();
    assert!(
        matches!(again.notes[..], [Note::Accepted { .. }]),
        "{:?}",
        again.notes
    );
    assert!(stream.on_secrets(&both("2", "r")).is_some());
}

#[test]
fn a_name_added_later_is_answered_and_the_others_are_not_again() {
    let secrets = both("1", "r");
    let (mut stream, response) = subscribed(&["default"], &secrets);
    let more = ack(&response.unwrap(), &["default", "ROOTCA"]);
    let reaction = stream.on_request(more, &secrets).unwrap();
    assert_eq!(names(reaction.response.as_ref(), &secrets), ["ROOTCA"]);
}

#[test]
fn a_name_that_comes_back_is_answered_again() {
    let secrets = both("1", "r");
    let (mut stream, response) = subscribed(&["default"], &secrets);
    let response = response.unwrap();
    stream
        .on_request(ack(&response, &["ROOTCA"]), &secrets)
        .unwrap();
    let Phase::Subscribed(Subscription {
        last: Last::Unanswered { nonce, .. },
        ..
    }) = &stream.phase
    else {
        panic!("ROOTCA was not sent");
    };
    let back = DiscoveryRequest {
        response_nonce: nonce.clone(),
        ..request(&["default"])
    };
    let reaction = stream.on_request(back, &secrets).unwrap();
    assert_eq!(names(reaction.response.as_ref(), &secrets), ["default"]);
}

#[test]
fn an_answer_to_an_older_response_is_ignored_whole() {
    let (mut stream, old) = subscribed(&["default"], &both("1", "r"));
    let new = both("2", "r");
    let pushed = stream.on_secrets(&new).unwrap();
    let old = old.unwrap();
    let stale = stream.on_request(nack(&old, &["ROOTCA"]), &new).unwrap();
    assert_eq!(stale.response, None);
    assert_eq!(stale.notes, [Note::Stale { nonce: old.nonce }]);
    let current = stream.on_request(ack(&pushed, &["default"]), &new).unwrap();
    assert_eq!(current.response, None);
    assert_eq!(
        current.notes,
        [Note::Accepted {
            version: pushed.version_info
        }]
    );
}

#[test]
fn names_changed_before_the_first_answer_count() {
    let nothing = Snapshot::default();
    let (mut stream, _) = subscribed(&["default"], &nothing);
    stream.on_request(request(&["ROOTCA"]), &nothing).unwrap();
    let secrets = both("1", "r");
    assert_eq!(
        names(stream.on_secrets(&secrets).as_ref(), &secrets),
        ["ROOTCA"]
    );
}

#[test]
fn the_first_request_must_name_the_node_and_only_that_one() {
    let secrets = both("1", "r");
    for node in [None, Some(Node::default())] {
        let nameless = DiscoveryRequest {
            node,
            ..request(&["default"])
        };
        assert_eq!(
            stream().on_request(nameless, &secrets).unwrap_err(),
            Fault::NoNode
        );
    }
    let (mut stream, response) = subscribed(&["default"], &secrets);
    assert!(
        stream
            .on_request(ack(&response.unwrap(), &["default"]), &secrets)
            .is_ok()
    );
    assert_eq!(stream.node(), "envoy-1");
}

#[test]
fn a_reconnecting_client_is_answered_in_full() {
    let secrets = both("1", "r");
    let (_, before) = subscribed(&["default"], &secrets);
    let before = before.unwrap();
    let reconnect = DiscoveryRequest {
        version_info: before.version_info.clone(),
        ..first(&["default"])
    };
    let again = Stream::new(8, 8)
        .on_request(reconnect, &secrets)
        .unwrap()
        .response
        .unwrap();
    assert_eq!(
        again.version_info, before.version_info,
        "the same contents have the same version"
    );
    assert_ne!(again.nonce, before.nonce);
}

#[test]
fn another_type_is_an_error_and_none_is_not() {
    let secrets = both("1", "r");
    let cluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let wrong = DiscoveryRequest {
        type_url: cluster.to_owned(),
        ..first(&["default"])
    };
    let fault = stream().on_request(wrong, &secrets).unwrap_err();
    assert_eq!(
        fault,
        Fault::WrongType {
            found: cluster.to_owned()
        }
    );
    let none = DiscoveryRequest {
        type_url: String::new(),
        ..first(&["default"])
    };
    assert!(
        stream()
            .on_request(none, &secrets)
            .unwrap()
            .response
            .is_some()
    );
}

#[test]
fn names_are_bounded() {
    let fault = stream()
        .on_request(first(&["x"; 9]), &Snapshot::default())
        .unwrap_err();
    assert_eq!(fault, Fault::TooManyNames { found: 9, most: 8 });
}

#[test]
fn a_clients_text_is_cut_for_the_log() {
    let secrets = both("1", "r");
    let (mut stream, response) = subscribed(&["default"], &secrets);
    let mut long = nack(&response.unwrap(), &["default"]);
    long.error_detail = Some(Refusal {
        message: "é".repeat(10_000),
        ..Refusal::default()
    });
    let notes = stream.on_request(long, &secrets).unwrap().notes;
    assert!(
        matches!(&notes[..], [Note::Refused { message, .. }] if message.chars().count() == LONGEST_QUOTE)
    );
}

/// What a client may do next.
#[derive(Clone, Debug)]
enum Step {
    Ack,
    Nack,
    Stale,
    Rotate,
    Withdraw,
    Want(Vec<&'static str>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = prop_oneof![Just("default"), Just("ROOTCA"), Just("nonsense"), Just("*")];
    let step = prop_oneof![
        4 => Just(Step::Ack),
        1 => Just(Step::Nack),
        1 => Just(Step::Stale),
        3 => Just(Step::Rotate),
        1 => Just(Step::Withdraw),
        2 => vec(name, 0..4).prop_map(Step::Want),
    ];
    vec(step, 1..60)
}

proptest! {
    /// Whatever a client does: no nonce comes twice, nothing is sent that the client was sent last, and in the end it has
    /// been sent the newest of what it wants.
    #[test]
    fn a_client_ends_up_with_the_newest(steps in steps()) {
        let mut secrets = both("0", "0");
        let (mut stream, response) = subscribed(&["default"], &secrets);
        let mut last = response.unwrap();
        let mut nonces = BTreeSet::from([last.nonce.clone()]);
        let mut wanted = vec!["default"];
        for (number, step) in steps.into_iter().enumerate() {
            let response = match step {
                Step::Ack => stream.on_request(ack(&last, &wanted), &secrets).unwrap().response,
                Step::Nack => stream.on_request(nack(&last, &wanted), &secrets).unwrap().response,
                Step::Stale => {
                    let stale = DiscoveryRequest { response_nonce: "7-0".to_owned(), ..request(&[]) };
                    stream.on_request(stale, &secrets).unwrap().response
                }
                Step::Rotate => {
                    secrets = both(&number.to_string(), &(number / 8).to_string());
                    stream.on_secrets(&secrets)
                }
                Step::Withdraw => {
                    secrets = Snapshot::stand_in(&[("ROOTCA", "0")]);
                    stream.on_secrets(&secrets)
                }
                Step::Want(names) => {
                    wanted = names;
                    stream.on_request(ack(&last, &wanted), &secrets).unwrap().response
                }
            };
            if let Some(response) = response {
                prop_assert!(!response.resources.is_empty());
                prop_assert!(nonces.insert(response.nonce.clone()), "a nonce came twice");
                last = response;
            }
            prop_assert_eq!(stream.on_secrets(&secrets), None);
        }
        let Phase::Subscribed(subscription) = &stream.phase else { unreachable!() };
        for name in NAMES {
            let wants = wanted.contains(&"*") || wanted.contains(&name);
            prop_assert_eq!(subscription.wanted.has(name), wants);
            if let (true, Some(secret)) = (wants, secrets.get(name)) {
                prop_assert_eq!(subscription.sent.get(name).map(String::as_str), Some(secret.version()));
            }
        }
    }
}
