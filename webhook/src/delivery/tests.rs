use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn headers(event: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-gitea-event", HeaderValue::from_str(event).unwrap());
    headers.insert("x-gitea-delivery", HeaderValue::from_static("some-id"));
    headers
}

fn push(reference: &str, before: &str, after: &str) -> String {
    serde_json::json!({
        "ref": reference, "before": before, "after": after,
        "repository": { "full_name": "a/b" },
    })
    .to_string()
}

fn change(reference: &str, kind: &str) -> String {
    serde_json::json!({
        "ref": reference, "ref_type": kind, "repository": { "full_name": "a/b" },
    })
    .to_string()
}

fn event(name: &str, json: &str) -> Event {
    let delivery = read(&headers(name), json.as_bytes()).unwrap();
    assert_eq!(delivery.id, "some-id");
    assert_eq!(delivery.repository, "a/b");
    delivery.event
}

fn pushed(branch: &str) -> Event {
    Event::Pushed {
        branch: branch.to_owned(),
    }
}

fn deleted(branch: &str) -> Event {
    Event::Deleted {
        branch: branch.to_owned(),
    }
}

fn ignored(event: Event) -> &'static str {
    match event {
        Event::Ignored { reason, .. } => reason,
        event => panic!("{event:?} is not ignored"),
    }
}

#[test]
fn branch_names_may_be_full_or_short() {
    for reference in ["refs/heads/feat/x", "feat/x"] {
        assert_eq!(event("push", &push(reference, OLD, NEW)), pushed("feat/x"));
        assert_eq!(
            event("create", &change(reference, "branch")),
            pushed("feat/x")
        );
        assert_eq!(
            event("delete", &change(reference, "branch")),
            deleted("feat/x")
        );
    }
}

#[test]
fn a_push_to_the_zero_id_is_a_deletion() {
    assert_eq!(
        event("push", &push("refs/heads/x", OLD, ZERO)),
        deleted("x")
    );
}

#[test]
fn equal_ids_are_a_test_and_never_a_deletion() {
    let test = Event::Test {
        branch: "main".to_owned(),
    };
    assert_eq!(event("push", &push("refs/heads/main", ZERO, ZERO)), test);
    assert_eq!(event("push", &push("main", NEW, NEW)), test);
}

#[test]
fn tags_and_other_references_are_ignored() {
    assert_eq!(
        ignored(event("push", &push("refs/tags/v1", ZERO, NEW))),
        A_TAG
    );
    assert_eq!(
        ignored(event("push", &push("refs/tags/v1", NEW, NEW))),
        A_TAG
    );
    assert_eq!(
        ignored(event("push", &push("refs/pull/1/head", OLD, NEW))),
        NOT_A_BRANCH
    );
    assert_eq!(
        ignored(event("push", &push("refs/heads/", OLD, NEW))),
        NOT_A_BRANCH
    );
    assert_eq!(ignored(event("create", &change("v1", "tag"))), A_TAG);
    assert_eq!(ignored(event("delete", &change("v1", "tag"))), A_TAG);
    assert_eq!(ignored(event("create", &change("x", "note"))), NOT_A_BRANCH);
}

#[test]
fn a_sha256_repository_is_ignored_and_told_why() {
    let id = "ab".repeat(32);
    let long = push("refs/heads/main", &"0".repeat(64), &id);
    let said = r#"{"ref":"main","ref_type":"branch",
        "repository":{"full_name":"a/b","object_format_name":"sha256"}}"#;
    for (name, json) in [("push", long.as_str()), ("create", said), ("delete", said)] {
        assert!(ignored(event(name, json)).contains("sha256"), "{name}");
    }
}

#[test]
fn other_events_are_ignored_whatever_else_they_hold() {
    let json = r#"{"before": 7, "ref": [], "repository": {"full_name": "a/b"}}"#;
    for name in [
        "status",
        "pull_request_sync",
        "repository",
        "ping",
        "Push",
        "PUSH",
    ] {
        assert_eq!(ignored(event(name, json)), NOT_OURS, "{name}");
    }
}

#[test]
fn an_ignored_event_may_name_no_repository() {
    let delivery = read(&headers("repository"), b"{}").unwrap();
    assert_eq!(delivery.repository, "");
}

#[test]
fn the_fine_event_name_comes_first_and_an_empty_one_does_not_count() {
    let mut headers = headers("push");
    assert_eq!(event_label(&headers), "push");
    headers.insert("x-gogs-event-type", HeaderValue::from_static("package"));
    assert_eq!(event_label(&headers), "other");
    headers.insert("x-gogs-event-type", HeaderValue::from_static(""));
    headers.insert("x-gitea-event", HeaderValue::from_static(""));
    headers.insert("x-gogs-event", HeaderValue::from_static("delete"));
    assert_eq!(event_label(&headers), "delete");
    headers.insert("x-forgejo-event-type", HeaderValue::from_static("create"));
    assert_eq!(event_label(&headers), "create");
    headers.insert("x-gitea-event-type", HeaderValue::from_static("package"));
    assert_eq!(event_label(&headers), "other");
    assert_eq!(event_label(&HeaderMap::new()), "none");
}

#[test]
fn what_a_delivery_always_has_must_be_there() {
    let lacks = |name: &str, json: &str| match read(&headers(name), json.as_bytes()) {
        Err(DeliveryError::Lacks(field)) => field,
        other => panic!("{other:?}"),
    };
    let repository = r#""repository":{"full_name":"a/b"}"#;
    assert_eq!(lacks("push", "{}"), "repository.full_name");
    assert_eq!(
        lacks("push", r#"{"repository":{"full_name":""}}"#),
        "repository.full_name"
    );
    assert_eq!(lacks("push", &format!("{{{repository}}}")), "before");
    assert_eq!(lacks("create", &format!("{{{repository}}}")), "ref");
    assert_eq!(
        lacks("delete", &format!(r#"{{"ref":"x",{repository}}}"#)),
        "ref_type"
    );
}

#[test]
fn names_are_bounded() {
    let branch = "b".repeat(256);
    assert_eq!(
        ignored(event("push", &push(&branch, OLD, NEW))),
        LONG_BRANCH
    );
    assert_eq!(
        event("push", &push(&branch[1..], OLD, NEW)),
        pushed(&branch[1..])
    );
    let json = serde_json::json!({ "repository": { "full_name": "r".repeat(256) } });
    let refused = read(&headers("push"), json.to_string().as_bytes());
    assert!(matches!(refused, Err(DeliveryError::LongRepository)));
}

#[test]
fn without_an_id_or_an_event_nothing_is_read() {
    let json = push("refs/heads/main", OLD, NEW);
    let mut nameless = headers("push");
    nameless.remove("x-gitea-event");
    let refused = read(&nameless, json.as_bytes());
    assert!(matches!(refused, Err(DeliveryError::NoEvent)));
    for id in [String::new(), "i".repeat(65)] {
        let mut odd = headers("push");
        odd.insert("x-gitea-delivery", HeaderValue::from_str(&id).unwrap());
        let refused = read(&odd, json.as_bytes());
        assert!(matches!(refused, Err(DeliveryError::NoId)), "{id}");
    }
}

#[test]
fn deep_nesting_is_survived() {
    let deep = "[".repeat(1_000_000);
    for json in [
        deep.clone(),
        format!(r#"{{"x":{deep}"#),
        format!(r#"{{"x":{deep}{}}}"#, "]".repeat(1_000_000)),
        format!(r#"{{"repository":{deep}"#),
        format!(r#"{{"repository":{{"owner":{deep}"#),
        format!(r#"{{"repository":{{"full_name":{deep}"#),
        r#"{"repository":{"#.repeat(200_000),
    ] {
        assert!(read(&headers("push"), json.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(name in "(push|create|delete|.*)", json in ".*") {
        if let Ok(name) = HeaderValue::from_str(&name) {
            let mut headers = headers("");
            headers.insert("x-gitea-event-type", name);
            let _ = read(&headers, json.as_bytes());
        }
    }

    #[test]
    fn whatever_is_passed_on_is_bounded(
        name in "(push|create|delete)", reference in ".{0,300}", kind in "(branch|tag|.*)",
        before in "[0-9a-f]{0,70}", after in "[0-9a-f]{0,70}", repository in ".{0,300}",
        id in "[ -~]{0,70}",
    ) {
        let json = serde_json::json!({
            "ref": reference, "ref_type": kind, "before": before, "after": after,
            "repository": { "full_name": repository },
        });
        let mut headers = headers(&name);
        headers.insert("x-gitea-delivery", HeaderValue::from_str(&id).unwrap());
        if let Ok(delivery) = read(&headers, json.to_string().as_bytes()) {
            prop_assert!((1..=64).contains(&delivery.id.chars().count()));
            prop_assert!(delivery.repository.len() <= 255);
            let branch = delivery.event.branch().unwrap_or("-");
            prop_assert!((1..=255).contains(&branch.len()));
            prop_assert!(!branch.starts_with("refs/"));
        }
    }
}
