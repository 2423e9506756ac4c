//! Documents of this version and of others, read and written.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;
use crate::testing::{at, failed, observation};

/// Every part, as a program of this schema writes it.
fn recorded() -> Map<String, Value> {
    serde_json::from_str(include_str!("../recorded/0004.json")).unwrap()
}

/// As a later version might write it: an outcome and a kind of reboot that this one does not know.
const FUTURE: &str = r#"{
    "failures": 2,
    "machine_id": "0123",
    "outcome": {"outcome": "teleported", "where": "the moon"},
    "quarantine": {"toplevel": "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-x", "moons": 3},
    "reboot": {"by": "carrier pigeon"},
    "a_field_of_the_future": [1, 2]
}"#;

#[test]
fn what_another_version_wrote_is_kept_part_by_part_and_named() {
    let stored = StoredState::read(FUTURE).unwrap();
    assert_eq!(stored.state.progress.failures, 2);
    assert_eq!(stored.state.facts.machine_id.as_deref(), Some("0123"));
    let names: Vec<&str> = stored.unread.names().collect();
    assert_eq!(
        names,
        ["a_field_of_the_future", "outcome", "quarantine", "reboot"]
    );
    assert_eq!(stored.unread.guard(), Some("quarantine"));
    assert!(stored.unread.has_a_reboot());
    let written: Value = serde_json::from_str(&stored.document()).unwrap();
    let told: Value = serde_json::from_str(FUTURE).unwrap();
    for (name, value) in told.as_object().unwrap() {
        assert_eq!(written.get(name), Some(value), "{name}");
    }
    assert_eq!(StoredState::read(&stored.document()).unwrap(), stored);
}

#[test]
fn a_document_that_is_no_object_is_damaged_and_not_taken_for_an_empty_one() {
    for damaged in ["", "[]", "{\"failures\": ", "null"] {
        assert!(StoredState::read(damaged).is_err(), "{damaged}");
    }
    assert_eq!(StoredState::read("{}").unwrap(), StoredState::default());
}

#[test]
fn force_lifts_a_guard_that_cannot_be_read_and_leaves_the_rest() {
    let mut stored = StoredState::read(FUTURE).unwrap();
    stored.unread.lift_guards();
    assert_eq!(stored.unread.guard(), None);
    assert!(stored.document().contains("a_field_of_the_future"));
}

#[test]
fn what_could_forbid_a_change_guards_the_host_while_it_cannot_be_read_and_nothing_else_does() {
    for name in recorded().keys() {
        // No part has this form.
        let document = format!("{{\"{name}\": [null]}}");
        let mut stored = StoredState::read(&document).unwrap();
        let guards = ["quarantine", "reboot", "machine_id"].contains(&name.as_str());
        assert_eq!(stored.unread.guard(), guards.then_some(name.as_str()));
        assert_eq!(stored.unread.has_a_reboot(), name == "reboot");
        stored.unread.lift_guards();
        assert_eq!(stored.unread.is_empty(), guards, "{name}");
    }
}

#[test]
fn what_the_state_has_come_by_since_replaces_what_could_not_be_read() {
    let mut stored = StoredState::read(FUTURE).unwrap();
    stored.state.progress.outcome = Some(failed());
    let again = StoredState::read(&stored.document()).unwrap();
    assert_eq!(again.state, stored.state);
    assert!(again.unread.names().all(|name| name != "outcome"));
    assert_eq!(again.unread.guard(), Some("quarantine"));
}

#[test]
fn a_machine_id_that_cannot_be_read_guards_the_host_also_after_it_was_seen() {
    let mut stored = StoredState::read(r#"{"machine_id": {"tpm": "0123"}}"#).unwrap();
    let mut observed = observation("old", "old");
    observed.machine_id = "b".repeat(32);
    stored.state.note_observation(&observed, at(1));
    let again = StoredState::read(&stored.document()).unwrap();
    assert_eq!(again.unread, stored.unread);
    assert_eq!(again.unread.guard(), Some("machine_id"));
    stored.unread.lift_guards();
    let forced = StoredState::read(&stored.document()).unwrap();
    assert_eq!(forced.state.facts.machine_id, Some(observed.machine_id));
}

/// What could stand in a document.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{1,8}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// A document with some of the known parts as they are, some as another version might write them, and some that only
/// that version knows.
fn any_document() -> impl Strategy<Value = Map<String, Value>> {
    let part = prop_oneof![
        3 => Just(Part::AsRecorded),
        1 => any_value().prop_map(Part::Another),
        1 => Just(Part::Absent),
    ];
    let parts = prop::collection::vec(part, recorded().len());
    let unknown = btree_map("[a-z_]{1,12}", any_value(), 0..4);
    (parts, unknown).prop_map(|(parts, unknown)| {
        let mut document: Map<String, Value> = unknown.into_iter().collect();
        for ((name, value), part) in recorded().into_iter().zip(parts) {
            match part {
                Part::AsRecorded => document.insert(name, value),
                Part::Another(value) => document.insert(name, value),
                Part::Absent => document.remove(&name),
            };
        }
        document
    })
}

#[derive(Debug, Clone)]
enum Part {
    AsRecorded,
    Another(Value),
    Absent,
}

proptest! {
    #[test]
    fn a_document_that_is_read_and_written_is_the_same_state_when_read_again(document in any_document()) {
        let stored = StoredState::read(&Value::Object(document.clone()).to_string()).unwrap();
        let written = stored.document();
        prop_assert_eq!(&StoredState::read(&written).unwrap(), &stored);
        let written: Map<String, Value> = serde_json::from_str(&written).unwrap();
        let recorded = recorded();
        for (name, value) in &document {
            // Else it is read, and may be written in another form: a time in another zone, say.
            let is_unread = stored.unread.names().any(|unread| unread == name);
            if is_unread || recorded.get(name) == Some(value) {
                prop_assert_eq!(written.get(name), Some(value), "{}", name);
            }
        }
    }
}
