//! What real servers sent: each delivery gets the right answer and effect, and none of its
//! forgeries gets any.

use webhook::{Delivery, Event};

use crate::harness::{Bell, Sent, names, read, recorded, send};

const FOLDERS: [&str; 2] = ["gitea-1.15-dev", "gitea-1.26"];

/// A prime, so that all bits of a byte get their turn over the samples.
const SAMPLES: usize = 61;

fn all() -> Vec<String> {
    let folders = FOLDERS.iter();
    folders
        .flat_map(|folder| names(&format!("deliveries/{folder}"), ".body"))
        .collect()
}

fn genuine() -> Vec<String> {
    let mut all = all();
    all.retain(|name| !name.contains("without-secret"));
    all
}

/// The effect in the words of `expected.txt`.
fn effect(rung: &[Delivery]) -> String {
    match rung {
        [] => String::new(),
        [delivery] => match &delivery.event {
            Event::Pushed { branch } => format!("pushed {branch}"),
            Event::Deleted { branch } => format!("deleted {branch}"),
            Event::Test { branch } => format!("test {branch}"),
            Event::Ignored { .. } => panic!("rung for an ignored event"),
        },
        more => panic!("rung more than once: {more:?}"),
    }
}

#[tokio::test]
async fn every_recorded_delivery_gets_its_answer_and_its_effect() {
    let expected = String::from_utf8(read("deliveries/expected.txt")).unwrap();
    let mut lines = expected.lines();
    for name in all() {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("nothing is expected of {name}"));
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), name.strip_prefix("deliveries/"));
        let status = words.next().unwrap();
        let expected = words.collect::<Vec<_>>().join(" ");

        let bell = Bell::working();
        let sent = recorded(&name);
        let answer = send(&bell, sent.request()).await;
        let rung = bell.take_rung();
        let (event, verdict) = bell.take_answered()[0];
        assert_eq!(answer.status.as_str(), status, "{name}");
        match status {
            "202" => {
                assert_eq!(effect(&rung), expected, "{name}");
                assert_eq!(rung[0].repository, "infra-team/infra");
                if event == "push" && expected.starts_with("pushed") {
                    assert_eq!(rung[0].head.as_ref().map(String::len), Some(40), "{name}");
                }
                assert_eq!(
                    rung[0].id,
                    sent.headers["x-gitea-delivery"].to_str().unwrap()
                );
                assert_eq!((answer.text.as_str(), verdict), ("accepted\n", "accepted"));
            }
            "200" => {
                assert_eq!(effect(&rung), "", "{name}");
                let (coarse, reason) = expected.split_once(' ').unwrap();
                assert!(sent.headers["x-gitea-event"] == coarse, "{name}");
                assert!(answer.text.contains(reason), "{name}: {}", answer.text);
                assert_eq!(verdict, "ignored");
            }
            _ => {
                assert_eq!(effect(&rung), "", "{name}");
                assert_eq!((event, verdict), ("push", "not_signed"));
            }
        }
    }
    assert_eq!(lines.next(), None, "a delivery is missing");
}

#[tokio::test]
async fn no_flipped_bit_in_the_signed_json_passes() {
    let bell = Bell::working();
    for name in genuine() {
        let sent = recorded(&name);
        let json = sent.signed();
        for sample in 0..SAMPLES {
            let mut flipped = json.clone();
            let byte = sample * (json.len() - 1) / (SAMPLES - 1);
            flipped[byte] ^= 1 << (sample % 8);
            // A form cannot carry what is not UTF-8; the decoder's replacement is no more genuine.
            let forged = sent.clone().with_json(&flipped);
            assert_refused(&bell, &forged, &format!("{name}, byte {byte}")).await;
        }
    }
}

#[tokio::test]
async fn no_flipped_bit_anywhere_in_a_body_passes() {
    let bell = Bell::working();
    for name in ["15-push-force", "40-delete-branch"] {
        let folder = if name.starts_with("15") {
            FOLDERS[0]
        } else {
            FOLDERS[1]
        };
        let sent = recorded(&format!("deliveries/{folder}/{name}"));
        for byte in 0..sent.body.len() {
            let mut forged = sent.clone();
            forged.body[byte] ^= 1 << (byte % 8);
            assert_refused(&bell, &forged, &format!("{name}, byte {byte}")).await;
        }
    }
}

#[tokio::test]
async fn no_flipped_bit_in_the_signature_passes() {
    let bell = Bell::working();
    for (number, name) in genuine().iter().enumerate() {
        let sent = recorded(name);
        // Every bit for some deliveries, and some bits for every delivery.
        let step = if number % 25 == 2 { 1 } else { 23 };
        for bit in (number % step..256).step_by(step) {
            let forged = sent.clone().with_flipped_signature(bit);
            assert_refused(&bell, &forged, &format!("{name}, bit {bit}")).await;
        }
    }
}

#[tokio::test]
async fn the_clear_text_secret_in_an_old_body_opens_nothing() {
    let bell = Bell::working();
    let sent = recorded("deliveries/gitea-1.15-dev/02-push-first-branch");
    let text = String::from_utf8(sent.body.clone()).unwrap();
    assert!(text.contains(r#""secret": "fixture-secret""#));
    let forged = sent
        .clone()
        .with_json(text.replace("master", "mister").as_bytes());
    assert_refused(&bell, &forged, "a body that names the right secret").await;
    assert_refused(&bell, &sent.without("x-gitea-signature"), "no signature").await;
}

#[tokio::test]
async fn a_delivery_under_another_events_name_can_do_no_more_than_ring() {
    for name in genuine() {
        for event in ["push", "create", "delete", "status"] {
            let bell = Bell::working();
            let mut sent = recorded(&name);
            for header in ["x-gitea-event-type", "x-gitea-event"] {
                sent = sent.with(header, event);
            }
            let answer = send(&bell, sent.request()).await;
            assert!(
                matches!(answer.status.as_u16(), 200 | 202 | 400),
                "{name} as {event}"
            );
            assert!(bell.rung().len() <= 1);
        }
    }
}

async fn assert_refused(bell: &std::sync::Arc<Bell>, forged: &Sent, what: &str) {
    let answer = send(bell, forged.request()).await;
    assert_eq!(answer.status, 403, "{what}");
    assert_eq!(answer.text, "Forbidden\n", "{what}");
    assert_eq!(bell.rung(), [], "{what}");
}
