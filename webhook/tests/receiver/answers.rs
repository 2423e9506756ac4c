//! What strangers, clumsy settings and broken disks are answered.

use http::Method;
use webhook::Event;

use crate::harness::{BODY_LIMIT, Bell, Recording, SECRET, Sent, secrets, send, sign};

/// Sends to a fresh bell; tells the status and the verdict, and sees to it that only an
/// accepted request rings.
async fn check(sent: Sent, status: u16, verdict: &str) -> String {
    let bell = Bell::working();
    let answer = send(&bell, sent.request()).await;
    let (_, told) = bell.take_answered()[0];
    assert_eq!((answer.status.as_u16(), told), (status, verdict));
    assert_eq!(bell.rung().len(), usize::from(verdict == "accepted"));
    answer.text
}

fn at(path: &str) -> Sent {
    Sent {
        path: path.to_owned(),
        ..Sent::push()
    }
}

fn by(method: Method) -> Sent {
    Sent {
        method,
        ..Sent::push()
    }
}

fn signed_by_header(name: &'static str, value: &str) -> Sent {
    Sent::push().without("x-gitea-signature").with(name, value)
}

fn digits() -> String {
    sign(SECRET, &Sent::push().body)
}

#[tokio::test]
async fn both_spellings_of_the_path_are_heard_and_no_other() {
    for path in ["/hook", "/hook/", "/hook?x=1"] {
        check(at(path), 202, "accepted").await;
    }
    for path in [
        "/", "/hooks", "/hook//", "//hook", "/hook/x", "/Hook", "/%68ook", "/x/hook",
    ] {
        check(at(path), 404, "not_found").await;
    }
}

#[tokio::test]
async fn a_path_of_several_parts_can_be_set() {
    use http_body_util::BodyExt;
    use hyper::service::Service;

    let settings = webhook::ReceiverSettings {
        path: "/hooks/gitea/".to_owned(),
        body_limit: BODY_LIMIT,
    };
    let routes = webhook::routes(settings, Bell::working());
    let service = hyper_util::service::TowerToHyperService::new(warp::service(routes));
    for (path, status) in [
        ("/hooks/gitea", 202),
        ("/hooks/gitea/", 202),
        ("/hooks", 404),
    ] {
        let response = service.call(at(path).request()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn only_post_is_allowed() {
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        check(by(method.clone()), 405, "method_not_allowed").await;
        let answer = send(&Bell::working(), by(method).request()).await;
        assert_eq!(answer.headers["allow"], "POST");
    }
    // At another path the method does not matter.
    let elsewhere = Sent {
        path: "/".to_owned(),
        ..by(Method::GET)
    };
    check(elsewhere, 404, "not_found").await;
}

#[tokio::test]
async fn other_content_types_are_unsupported() {
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
    ] {
        check(
            Sent::push().with("content-type", kind),
            415,
            "unsupported_media_type",
        )
        .await;
    }
    check(
        Sent::push().without("content-type"),
        415,
        "unsupported_media_type",
    )
    .await;
    check(
        Sent::push().with("content-type", "application/json; charset=utf-8"),
        202,
        "accepted",
    )
    .await;
}

#[tokio::test]
async fn every_way_not_to_be_signed_looks_the_same_from_outside() {
    let d = digits();
    let wrong = sign("another", &Sent::push().body);
    for (value, verdict) in [
        (String::new(), "not_signed"),
        (d[..63].to_owned(), "not_signed"),
        (format!("{d}0"), "not_signed"),
        (format!("sha256={d}"), "not_signed"),
        (format!("{d}, {d}"), "not_signed"),
        (format!("g{}", &d[1..]), "not_signed"),
        (d[..40].to_owned(), "not_signed"),
        ("0".repeat(64), "bad_signature"),
        (wrong, "bad_signature"),
    ] {
        let text = check(signed_by_header("x-gitea-signature", &value), 403, verdict).await;
        assert_eq!(text, "Forbidden\n");
    }
    let text = check(Sent::push().without("x-gitea-signature"), 403, "not_signed").await;
    assert_eq!(text, "Forbidden\n");
}

#[tokio::test]
async fn one_signature_header_is_judged_and_no_other() {
    let d = digits();
    let hub = format!("sha256={d}");
    let zero = "0".repeat(64);
    check(signed_by_header("x-forgejo-signature", &d), 202, "accepted").await;
    check(
        signed_by_header("x-hub-signature-256", &hub),
        202,
        "accepted",
    )
    .await;
    check(
        signed_by_header("x-hub-signature-256", &d),
        403,
        "not_signed",
    )
    .await;
    check(signed_by_header("x-hub-signature", &hub), 403, "not_signed").await;
    check(signed_by_header("x-gogs-signature", &d), 403, "not_signed").await;

    let right = Sent::push()
        .with("x-forgejo-signature", &zero)
        .with("x-hub-signature-256", "sha256=");
    check(right, 202, "accepted").await;
    let wrong = signed_by_header("x-gitea-signature", &zero).with("x-hub-signature-256", &hub);
    check(wrong, 403, "bad_signature").await;
    let hollow = signed_by_header("x-gitea-signature", "").with("x-hub-signature-256", &hub);
    check(hollow, 403, "not_signed").await;
    check(
        Sent::push().and_also("x-gitea-signature", &d),
        403,
        "not_signed",
    )
    .await;
}

#[tokio::test]
async fn nothing_is_parsed_before_it_is_verified() {
    let garbage = Sent::json("push", "this is no JSON");
    check(garbage.clone(), 400, "not_understood").await;
    check(
        garbage.with("x-gitea-signature", &"0".repeat(64)),
        403,
        "bad_signature",
    )
    .await;
}

#[tokio::test]
async fn a_genuine_request_that_is_no_delivery_is_a_bad_request() {
    for json in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        r#"{"ref":1}"#,
        r#"{"repository":{"full_name":"a/b"}}"#,
    ] {
        check(Sent::json("push", json), 400, "not_understood").await;
    }
    check(
        Sent::push().without("x-gitea-delivery"),
        400,
        "not_understood",
    )
    .await;
    let nameless = Sent::push()
        .without("x-gitea-event")
        .without("x-gitea-event-type");
    check(nameless, 400, "not_understood").await;
    let deep = format!(r#"{{"repository":{}"#, "[".repeat(500_000));
    check(Sent::json("push", &deep), 400, "not_understood").await;
}

#[tokio::test]
async fn a_form_without_its_payload_is_a_bad_request() {
    let mut form = Sent::push().with("content-type", "application/x-www-form-urlencoded");
    check(form.clone(), 400, "bad_form").await;
    form.body = b"payload=%7B%7D&payload=%7B%7D".to_vec();
    check(form, 400, "bad_form").await;
}

#[tokio::test]
async fn a_form_signed_over_its_body_instead_of_its_json_is_refused() {
    let json = Sent::push().body;
    let form = Sent::push()
        .with("content-type", "application/x-www-form-urlencoded")
        .with_json(&json);
    check(form.clone(), 202, "accepted").await;
    let over_body = sign(SECRET, &form.body);
    check(
        form.with("x-gitea-signature", &over_body),
        403,
        "bad_signature",
    )
    .await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
    let padded = |length: u64| {
        let json = String::from_utf8(Sent::push().body).unwrap();
        let padding = " ".repeat(length as usize - json.len());
        Sent::json("push", &format!("{json}{padding}"))
    };
    check(padded(BODY_LIMIT), 202, "accepted").await;
    check(padded(BODY_LIMIT + 1), 413, "too_large").await;
    let announced = padded(100).with("content-length", &(BODY_LIMIT + 1).to_string());
    check(announced, 413, "too_large").await;
}

#[tokio::test]
async fn events_that_do_not_concern_us_succeed_and_do_nothing() {
    for event in [
        "status",
        "issues",
        "pull_request_sync",
        "repository",
        "ping",
        "something_new",
    ] {
        let text = check(Sent::json(event, "{}"), 200, "ignored").await;
        assert_eq!(text, "ignored: this kind of event asks for nothing\n");
    }
}

#[tokio::test]
async fn forgejos_empty_event_name_gives_way_to_the_fine_one() {
    let package = Sent::json("package", "{}")
        .with("x-gitea-event", "")
        .with("x-forgejo-event", "");
    check(package, 200, "ignored").await;
    let push = Sent::push()
        .with("x-gitea-event-type", "")
        .with("x-forgejo-event-type", "push");
    check(push.with("x-gitea-event", ""), 202, "accepted").await;
}

#[tokio::test]
async fn what_could_not_be_recorded_is_not_accepted() {
    let bell = Bell::new(Recording::Fails);
    let answer = send(&bell, Sent::push().request()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text, "Service Unavailable\n");
    assert_eq!(bell.take_answered(), [("push", "not_recorded")]);
}

#[tokio::test]
async fn a_changed_secret_counts_at_the_next_request() {
    let bell = Bell::working();
    assert_eq!(send(&bell, Sent::push().request()).await.status, 202);
    *bell.secrets.lock().unwrap() = secrets(&["new"]);
    assert_eq!(send(&bell, Sent::push().request()).await.status, 403);
    *bell.secrets.lock().unwrap() = secrets(&["new", SECRET]);
    assert_eq!(send(&bell, Sent::push().request()).await.status, 202);
    assert_eq!(bell.rung().len(), 2);
}

#[tokio::test]
async fn a_redelivery_rings_again_under_its_new_id() {
    let bell = Bell::working();
    for id in ["first", "second"] {
        send(&bell, Sent::push().with("x-gitea-delivery", id).request()).await;
    }
    let ids: Vec<String> = bell
        .rung()
        .into_iter()
        .map(|delivery| delivery.id)
        .collect();
    assert_eq!(ids, ["first", "second"]);
}

#[tokio::test]
async fn the_event_label_is_from_a_bounded_set() {
    let bell = Bell::working();
    for (event, label) in [("push", "push"), ("x\ty", "other"), ("", "none")] {
        send(&bell, Sent::json(event, "{}").request()).await;
        assert_eq!(bell.take_answered()[0].0, label);
    }
}

#[tokio::test]
async fn a_branch_name_reaches_the_bell_as_it_was_sent() {
    let bell = Bell::working();
    let odd = r#"{"ref":"refs/heads/a';rm -rf \u001b","before":"1","after":"2","repository":{"full_name":"a/b"}}"#;
    send(&bell, Sent::json("push", odd).request()).await;
    let branch = "a';rm -rf \u{1b}".to_owned();
    assert_eq!(bell.rung()[0].event, Event::Pushed { branch });
}
