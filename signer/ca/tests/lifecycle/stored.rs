//! How the state is stored: the layout, and what is refused when it is read.

use crate::{
    ca::Ca,
    gates::{rotated, rotating},
};
use credence_ca::lifecycle::{Event, State};
use serde_json::{Value, json};

fn stored(ca: &Ca) -> Value {
    serde_json::to_value(&ca.state).unwrap()
}

/// What is at a path of names and numbers with dots.
fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    let names = path.split('.').filter(|name| !name.is_empty());
    names.fold(value, |value, name| match name.parse::<usize>() {
        Ok(number) => &mut value[number],
        Err(_) => &mut value[name],
    })
}

fn read(value: Value) -> Result<State, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn a_state_is_read_back_as_it_was() {
    let mut ca = rotating();
    ca.stuck = |_| true;
    ca.tell(Event::RotateIssuer);
    ca.tell(Event::RegisterVerifier {
        name: "gateway".to_owned(),
    });
    ca.tell(Event::Restored);
    ca.jump(3600);
    assert_eq!(read(stored(&ca)).unwrap(), ca.state);
    let ca = rotated();
    assert_eq!(read(stored(&ca)).unwrap(), ca.state);
}

/// Whoever changes this has changed what is on disk: that is another version.
#[test]
fn this_is_the_first_layout() {
    let ca = rotated();
    let expected: Value = serde_json::from_str(include_str!("testdata/state-1.json")).unwrap();
    assert_eq!(stored(&ca), expected);
    assert_eq!(read(expected).unwrap(), ca.state);
}

#[test]
fn another_version_and_unknown_fields_are_refused() {
    let good = stored(&rotated());
    for (path, value) in [
        ("version", json!("2")),
        ("settings.more", json!(1)),
        ("active.root.more", json!(1)),
        ("bundle.id.digest", json!("00")),
        ("settings.issuer_life", json!(1)),
    ] {
        let mut bad = good.clone();
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        at(&mut bad, parent)[name] = value;
        assert!(read(bad).is_err(), "{path}");
    }
}

#[test]
fn a_state_that_contradicts_itself_is_refused_with_its_faults() {
    let good = stored(&rotated());
    let other = json!("ab".repeat(32));
    let a = good["retiring"][0]["root"]["id"].clone();
    let issuer = good["active"]["issuer"].clone();
    for (path, value, fault) in [
        ("active.issuer.root", other.clone(), "below another root"),
        ("active.root.id", a.clone(), "twice"),
        ("superseded.0.id", issuer["id"].clone(), "twice"),
        ("retiring", json!([]), "bundle is not"),
        ("bundle.roots", json!([a]), "bundle is not"),
        ("bundle.id.sequence", json!(2), "named"),
        ("bundles.0.roots", json!([other]), "named"),
        (
            "next_issuer",
            json!({"wanted": {"slot": 77, "at": 0}}),
            "number",
        ),
        (
            "next_issuer",
            json!({"prepared": good["superseded"][0]}),
            "below another",
        ),
        (
            "unrecorded",
            json!([{"number": 99, "at": 0, "change": "configured", "cause": "itself"}]),
            "steps have numbers",
        ),
        (
            "retired_roots",
            json!(vec![good["active"]["root"].clone(); 65]),
            "more than",
        ),
    ] {
        let mut bad = good.clone();
        *at(&mut bad, path) = value;
        let fault_found = read(bad).unwrap_err();
        assert!(fault_found.contains(fault), "{path}: {fault_found}");
    }
}

#[test]
fn only_the_clock_need_not_be_persisted() {
    let ca = rotated();
    let tick = |ca: &Ca| ca.state.step(ca.world(), Event::Tick).unwrap().0;
    assert!(!tick(&ca).must_persist(&ca.state));
    let mut ca = rotated();
    let before = ca.state.clone();
    ca.jump(3600);
    assert!(ca.state.must_persist(&before));
}
