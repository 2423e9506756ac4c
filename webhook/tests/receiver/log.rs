//! The log tells an administrator everything, and nobody any secret.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::harness::{Bell, SECRET, Sent, recorded, send};

/// Keeps every value as it was given: a log format that escapes would hide what does not.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut lines = self.0.lock().unwrap();
        write!(lines, "{}", event.metadata().level()).unwrap();
        event.record(&mut Line(&mut lines));
        lines.push('\n');
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {}={value}", field.name()).unwrap();
    }
}

/// What is logged while a request is answered, at every level.
async fn logged(sent: Sent) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    send(&Bell::working(), sent.request()).await;
    drop(guard);
    lines.0.lock().unwrap().clone()
}

#[tokio::test]
async fn a_refusal_names_peer_reason_delivery_and_mend() {
    let log = logged(Sent::push().with("x-gitea-signature", "")).await;
    for part in [
        "WARN",
        "192.0.2.7:4711",
        "not_signed",
        "403",
        "d7df0387-0cc9-42c0-9b9c-886af0a803ec",
        "push",
        "x-gitea-signature does not hold 64 hexadecimal digits",
        "has the hook a secret",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert_eq!(log.lines().count(), 1);
}

#[tokio::test]
async fn a_genuine_delivery_names_repository_branch_and_secret_number() {
    let log = logged(recorded("deliveries/gitea-1.26/10-push-odd-branch")).await;
    for part in ["INFO", "infra-team/infra", "würze/日本-🚀", "secret=0"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[tokio::test]
async fn a_sha256_repository_is_explained() {
    let log = logged(recorded("deliveries/gitea-1.26/51-push-sha256")).await;
    assert!(
        log.contains("sha256 object format, which Nix and libgit2 cannot fetch"),
        "{log}"
    );
}

#[tokio::test]
async fn control_characters_are_escaped_and_length_is_bounded() {
    let mut odd = Sent::push().with("x-gitea-signature", "");
    // A header can hold no ASCII control characters, but bytes that are no UTF-8.
    let id = [b"\x9b2J\xff".as_slice(), &[b'x'; 5000]].concat();
    let id = http::HeaderValue::from_bytes(&id).unwrap();
    odd.headers.insert("x-gitea-delivery", id);
    let log = logged(odd).await;
    assert!(log.len() < 1000, "{log}");

    let json = "{\"ref\":\"refs/heads/a\\n\\u001b[31mWARN\\u202e\",\"before\":\"1\",\"after\":\"2\",\
        \"repository\":{\"full_name\":\"a/b\\r\"}}";
    let log = logged(Sent::json("push", json)).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(!log.contains(['\u{1b}', '\r', '\u{202e}']), "{log}");
}

#[tokio::test]
async fn neither_secrets_nor_bodies_nor_credentials_are_logged() {
    let old = recorded("deliveries/gitea-1.15-dev/02-push-first-branch");
    let signature = old.headers["x-gitea-signature"]
        .to_str()
        .unwrap()
        .to_owned();
    let with_token = recorded("deliveries/gitea-1.26/46-push-with-authorization-header");
    for sent in [
        old.clone(),
        old.clone().with_json(b"{\"secret\": \"fixture-secret\"}"),
        old.with("x-gitea-event", "status"),
        with_token.clone(),
        with_token.with("x-gitea-signature", ""),
    ] {
        let log = logged(sent).await;
        for hidden in [SECRET, "fixture-token", &signature, "compare_url"] {
            assert!(!log.contains(hidden), "{hidden} is in {log}");
        }
    }
}
