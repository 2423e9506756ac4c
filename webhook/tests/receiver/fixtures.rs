//! Signature vectors that two other implementations agree on, for two secrets.

use std::collections::BTreeMap;

use serde::Deserialize;
use webhook::{Delivery, Event};

use crate::harness::{Bell, Sent, names, read, secrets, send};

#[derive(Deserialize)]
struct Vector {
    name: String,
    event: String,
    bytes: usize,
    form_bytes: usize,
    sig: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    secret: String,
    sha256: String,
    sha1: String,
}

/// The headers in which different servers send a signature.
const SERVERS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Gitea",
        &[
            ("x-gitea-signature", ""),
            ("x-gogs-signature", ""),
            ("x-hub-signature-256", "sha256="),
        ],
    ),
    (
        "Forgejo",
        &[
            ("x-forgejo-signature", ""),
            ("x-gitea-signature", ""),
            ("x-gogs-signature", ""),
            ("x-hub-signature-256", "sha256="),
        ],
    ),
    (
        "old Gitea",
        &[("x-gitea-signature", ""), ("x-gogs-signature", "")],
    ),
    ("Forgejo's own header alone", &[("x-forgejo-signature", "")]),
    (
        "the common header alone",
        &[("x-hub-signature-256", "sha256=")],
    ),
];

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = serde_json::from_slice(&read("fixtures/vectors.json")).unwrap();
    let named: Vec<String> = names("fixtures", ".json");
    assert_eq!(vectors.len(), named.len() - 1, "a fixture has no vector");
    vectors
}

fn sent(vector: &Vector, signed: &Signed, headers: &[(&'static str, &str)]) -> Sent {
    let json = read(&format!("fixtures/{}.json", vector.name));
    assert_eq!(json.len(), vector.bytes);
    let json = String::from_utf8(json).unwrap();
    let mut sent = Sent::json(&vector.event, &json).without("x-gitea-signature");
    for (name, prefix) in headers {
        sent = sent.with(name, &format!("{prefix}{}", signed.sha256));
    }
    sent.with("x-hub-signature", &format!("sha1={}", signed.sha1))
}

fn as_form(sent: Sent) -> Sent {
    let json = sent.signed();
    sent.with("content-type", "application/x-www-form-urlencoded")
        .with_json(&json)
}

fn expected(name: &str) -> Option<Event> {
    let branch = |branch: &str| branch.to_owned();
    Some(match name {
        "push-branch" | "push-force-diverged" | "push-force-rewind" => Event::Pushed {
            branch: branch("main"),
        },
        "create-branch" | "push-branch-create" => Event::Pushed {
            branch: branch("release/2026.04"),
        },
        "push-unicode" => Event::Pushed {
            branch: branch("fix/größe-测试-🚀"),
        },
        "delete-branch" | "push-branch-delete-legacy" => Event::Deleted {
            branch: branch("feature/old-cart"),
        },
        "push-test-api" | "push-test-ui" => Event::Test {
            branch: branch("main"),
        },
        "push-tag-annotated" | "push-tag-delete" => return None,
        other => panic!("nothing is expected of {other}"),
    })
}

fn assert_effect(name: &str, what: &str, status: u16, rung: &[Delivery]) {
    match expected(name) {
        Some(event) => {
            assert_eq!(status, 202, "{name}, {what}");
            assert_eq!(rung.len(), 1, "{name}, {what}");
            assert_eq!(rung[0].event, event, "{name}, {what}");
            assert_eq!(rung[0].repository, "platform/shop-api");
        }
        None => {
            assert_eq!(status, 200, "{name}, {what}");
            assert_eq!(rung, [], "{name}, {what}");
        }
    }
}

#[tokio::test]
async fn every_vector_is_accepted_in_every_servers_headers_as_json_and_as_form() {
    for vector in vectors() {
        for signed in &vector.sig {
            let bell = Bell::working();
            *bell.secrets.lock().unwrap() = secrets(&["another", &signed.secret]);
            for (server, headers) in SERVERS {
                let json = sent(&vector, signed, headers);
                let form = as_form(json.clone());
                assert_eq!(form.body.len(), vector.form_bytes, "{}", vector.name);
                for sent in [json, form] {
                    let answer = send(&bell, sent.request()).await;
                    let rung = bell.take_rung();
                    assert_effect(&vector.name, server, answer.status.as_u16(), &rung);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_flipped_bit_passes_in_any_servers_headers() {
    let bell = Bell::working();
    let vectors = vectors();
    let secrets_of: BTreeMap<&str, &Signed> = vectors[0]
        .sig
        .iter()
        .map(|signed| (signed.secret.as_str(), signed))
        .collect();
    for (secret, signed) in secrets_of {
        *bell.secrets.lock().unwrap() = secrets(&[secret]);
        for (server, headers) in SERVERS {
            for form in [false, true] {
                let mut genuine = sent(&vectors[0], signed, headers);
                if form {
                    genuine = as_form(genuine);
                }
                for bit in (0..256).step_by(5) {
                    let forged = genuine.clone().with_flipped_signature(bit);
                    let answer = send(&bell, forged.request()).await;
                    assert_eq!(answer.status, 403, "{server}, form {form}, bit {bit}");
                }
            }
        }
    }
    assert_eq!(bell.rung(), []);
}

#[tokio::test]
async fn a_vectors_signature_by_another_secret_is_refused() {
    let bell = Bell::working();
    for vector in vectors() {
        for signed in &vector.sig {
            let answer = send(&bell, sent(&vector, signed, SERVERS[0].1).request()).await;
            assert_eq!(answer.status, 403, "{}", vector.name);
        }
    }
    assert_eq!(bell.rung(), []);
}
